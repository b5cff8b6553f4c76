"""Batch normalisation: fast in training, and folded away once its statistics stand."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers


@keras.saving.register_keras_serializable("eggseg")
class FusedBatchNormalization(layers.BatchNormalization):
    """Keras' batch normalisation of (n, h, w, c), over the last axis, by TensorFlow's fused kernel.

    Keras composes it of elementary operations, each of which passes over the whole tensor: on a processor that took
    more time than the convolutions.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: None = None) -> tf.Tensor:
        learns = bool(training and self.trainable)
        scale = tf.convert_to_tensor(self.gamma) if self.scale else tf.ones(inputs.shape[-1:])
        offset = tf.convert_to_tensor(self.beta) if self.center else tf.zeros(inputs.shape[-1:])
        if learns and tf.distribute.get_strategy().num_replicas_in_sync > 1:
            values = tf.cast(inputs, tf.float32)
            mean, variance = _moments_of_all_replicas(values)
            normal = tf.nn.batch_normalization(values, mean, variance, offset, scale, self.epsilon)
            out = tf.cast(normal, inputs.dtype)
        else:
            out, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
                x=inputs,
                scale=scale,
                offset=offset,
                mean=[] if learns else tf.convert_to_tensor(self.moving_mean),
                variance=[] if learns else tf.convert_to_tensor(self.moving_variance),
                epsilon=self.epsilon,
                is_training=learns,
            )
        if learns:
            for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(self.momentum * moving + (1 - self.momentum) * now)
        return out


def _moments_of_all_replicas(values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance, (c,), of (n, h, w, c) float32, of which every replica has as large a part."""
    replica = tf.distribute.get_replica_context()

    def mean_of(part: tf.Tensor) -> tf.Tensor:
        return replica.all_reduce(tf.distribute.ReduceOp.MEAN, tf.reduce_mean(part, (0, 1, 2)))

    mean = mean_of(values)
    # One after the other: the mean of squares less the square of the mean is two large numbers' difference.
    return mean, mean_of(tf.math.squared_difference(values, mean))


def fused(model: keras.Model) -> keras.Model:
    """A copy of a functional model, with its weights, whose batch normalisation is fused."""

    def clone(layer: layers.Layer) -> layers.Layer:
        kind = FusedBatchNormalization if _is_norm(layer) else type(layer)
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=clone)
    copy.set_weights(model.get_weights())
    return copy


def folded(model: keras.Model) -> keras.Model:
    """A copy of a functional model that computes the same with constant statistics, in fewer steps.

    Each batch normalisation that follows a convolution, and alone does, becomes part of its kernel and bias.
    """
    norm_of = {
        norm.input._keras_history.operation.name: norm
        for norm in model.layers
        if _is_norm(norm) and _is_foldable(norm.input._keras_history.operation)
    }
    gone = {norm.name for norm in norm_of.values()}

    def clone(layer: layers.Layer) -> layers.Layer:
        config = layer.get_config()
        if layer.name in norm_of:
            return type(layer).from_config(config | {"use_bias": True})
        return type(layer).from_config(config)

    def call(layer: layers.Layer, x: keras.KerasTensor, *args: Any, **kwargs: Any) -> keras.KerasTensor:
        return x if layer.name in gone else layer(x, *args, **kwargs)

    copy = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for layer in copy.layers:
        if layer.weights:
            theirs, norm = model.get_layer(layer.name), norm_of.get(layer.name)
            layer.set_weights(_fold(theirs, norm) if norm else theirs.get_weights())
    return copy


def _is_norm(layer: layers.Layer) -> bool:
    return isinstance(layer, layers.BatchNormalization)


def _is_foldable(layer: layers.Layer) -> bool:
    """Whether nothing but a batch normalisation sees the plain result of this convolution."""
    return (
        isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D)
        and layer.activation is keras.activations.linear
        and len(layer._outbound_nodes) == 1
    )


def _fold(conv: layers.Layer, norm: layers.BatchNormalization) -> list[np.ndarray]:
    """Kernel and bias of a convolution that does what `conv` and `norm` do."""
    kernel, bias = [*conv.get_weights(), 0.0][:2]
    scale = norm.gamma.numpy() if norm.scale else 1.0
    offset = norm.beta.numpy() if norm.center else 0.0
    factor = scale / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
    # A depthwise kernel is (h, w, channels, 1), a full one (h, w, in, out).
    shape = (-1, 1) if isinstance(conv, layers.DepthwiseConv2D) else (-1,)
    return [kernel * factor.reshape(shape), (bias - norm.moving_mean.numpy()) * factor + offset]
