"""Batch normalisation: a fast layer for training, and folding into convolutions once the statistics are fixed."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers


@keras.saving.register_keras_serializable("eggseg")
class FusedBatchNormalization(layers.BatchNormalization):
    """Keras' batch normalisation over the last axis of (n, h, w, c), with TensorFlow's fused kernel.

    Keras' own layer consists of elementary operations, each of which reads the whole tensor: on a CPU they took more
    time than the convolutions. Training on several replicas uses mean and variance over the batches of all replicas,
    and therefore elementary operations instead of the fused kernel.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: None = None) -> tf.Tensor:
        trains = bool(training and self.trainable)
        scale = tf.convert_to_tensor(self.gamma) if self.scale else tf.ones(inputs.shape[-1:])
        offset = tf.convert_to_tensor(self.beta) if self.center else tf.zeros(inputs.shape[-1:])
        if trains and tf.distribute.get_strategy().num_replicas_in_sync > 1:
            values = tf.cast(inputs, tf.float32)
            mean, variance = _moments_of_all_replicas(values)
            normal = tf.nn.batch_normalization(values, mean, variance, offset, scale, self.epsilon)
            out = tf.cast(normal, inputs.dtype)
        else:
            out, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
                x=inputs,
                scale=scale,
                offset=offset,
                mean=[] if trains else tf.convert_to_tensor(self.moving_mean),
                variance=[] if trains else tf.convert_to_tensor(self.moving_variance),
                epsilon=self.epsilon,
                is_training=trains,
            )
        if trains:
            for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(self.momentum * moving + (1 - self.momentum) * now)
        return out


def _moments_of_all_replicas(values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance, (c,), of (n, h, w, c) float32 over the batches of all replicas, which have equal sizes."""
    replica = tf.distribute.get_replica_context()

    def mean_of(part: tf.Tensor) -> tf.Tensor:
        return replica.all_reduce(tf.distribute.ReduceOp.MEAN, tf.reduce_mean(part, (0, 1, 2)))

    mean = mean_of(values)
    # In two passes: the mean of squares minus the square of the mean would lose digits if both are large.
    return mean, mean_of(tf.math.squared_difference(values, mean))


def fused(model: keras.Model) -> keras.Model:
    """Copy a functional model and its weights; `FusedBatchNormalization` replaces each batch normalisation."""

    def clone(layer: layers.Layer) -> layers.Layer:
        kind = FusedBatchNormalization if _is_norm(layer) else type(layer)
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=clone)
    copy.set_weights(model.get_weights())
    return copy


def folded(model: keras.Model) -> keras.Model:
    """Copy a functional model for inference, with batch normalisation folded into the convolutions before it.

    The copy gives the same results with fewer operations. A batch normalisation is folded if its input is the output of
    a convolution without activation, and no other layer uses that output.
    """
    norm_of = {
        norm.input._keras_history.operation.name: norm
        for norm in model.layers
        if _is_norm(norm) and _is_foldable(norm.input._keras_history.operation)
    }
    removed = {norm.name for norm in norm_of.values()}

    def clone(layer: layers.Layer) -> layers.Layer:
        config = layer.get_config()
        if layer.name in norm_of:
            return type(layer).from_config(config | {"use_bias": True})
        return type(layer).from_config(config)

    def call(layer: layers.Layer, x: keras.KerasTensor, *args: Any, **kwargs: Any) -> keras.KerasTensor:
        return x if layer.name in removed else layer(x, *args, **kwargs)

    copy = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for layer in copy.layers:
        if layer.weights:
            original, norm = model.get_layer(layer.name), norm_of.get(layer.name)
            layer.set_weights(_fold(original, norm) if norm else original.get_weights())
    return copy


def _is_norm(layer: layers.Layer) -> bool:
    return isinstance(layer, layers.BatchNormalization)


def _is_foldable(layer: layers.Layer) -> bool:
    """Whether `layer` is a convolution without activation, and only one layer uses its output."""
    return (
        isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D)
        and layer.activation is keras.activations.linear
        and len(layer._outbound_nodes) == 1
    )


def _fold(conv: layers.Layer, norm: layers.BatchNormalization) -> list[np.ndarray]:
    """Kernel and bias of one convolution that equals `conv` followed by `norm`."""
    kernel, bias = [*conv.get_weights(), 0.0][:2]
    scale = norm.gamma.numpy() if norm.scale else 1.0
    offset = norm.beta.numpy() if norm.center else 0.0
    factor = scale / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
    # The kernel of a depthwise convolution is (h, w, channels, 1), that of any other convolution (h, w, in, out).
    shape = (-1, 1) if isinstance(conv, layers.DepthwiseConv2D) else (-1,)
    return [kernel * factor.reshape(shape), (bias - norm.moving_mean.numpy()) * factor + offset]
