"""Build the network of the settings, with first weights, optimizer and learning rate schedule."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from eggseg.data.classes import ClassTable
from eggseg.devices import hardware
from eggseg.devices.distribution import Learner
from eggseg.errors import InputError
from eggseg.models import encoders
from eggseg.models.unet import precision, unet
from eggseg.training.callbacks import AVERAGED, layers_of
from eggseg.training.config import Config
from eggseg.training.objective import IoU, KnownPixelCrossentropy

MOST_WARMUP = 0.2
"""Largest share of a run's steps for the warm-up, and for the frozen encoder."""


def arithmetic(config: Config) -> hardware.Precision:
    """The precision of training on this machine; resolves `auto`."""
    return hardware.precision(config.num_gpus) if config.precision == "auto" else config.precision


def check(config: Config, classes: ClassTable) -> None:
    """`InputError` where the network cannot be built, or its first weights are missing or do not fit."""
    if config.encoder != "plain":
        encoders.check(config.encoder, config.image_size, config.encoder_weights)
    if config.init:
        load(network(config, classes), config.init)


def load(model: keras.Model, init: Path) -> None:
    """Load the averaged weights of a run folder, or a weights file; `InputError` where they do not fit."""
    path = init / AVERAGED if init.is_dir() else init
    if not path.is_file():
        raise InputError(f"--init {init} holds no weights: expected a run folder or a .weights.h5 file")
    try:
        with warnings.catch_warnings():
            # Keras only warns about layers without weights in the file, and leaves them unchanged.
            warnings.simplefilter("error", UserWarning)
            layers_of(model).load_weights(path)
    except Exception as error:  # Keras raises all kinds of exceptions for damaged files
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(f"--init {path} does not fit this network: {reason}") from None


def network(config: Config, classes: ClassTable) -> keras.Model:
    """The float32 network, without trained weights."""
    return _network(config, classes, _encoder(config, "float32"), "float32")


def learner(
    config: Config, classes: ClassTable, steps: int, kind: Callable[..., keras.Model] = keras.Model
) -> keras.Model:
    """The compiled network before its first step, with the pretrained weights of its encoder.

    `steps` is the number of steps per epoch. `kind` builds the model from inputs and outputs, for a class with its own
    `train_step`.
    """
    number_type = arithmetic(config)
    policy = number_type if number_type == "float32" else f"mixed_{number_type}"
    encoder = _encoder(config, policy)
    pretrained: list[keras.Variable] = []
    if encoder and config.encoder_weights != "none":
        encoders.load(encoder, config.encoder, config.encoder_weights)
        encoders.freeze(encoder, config.frozen_levels)
        pretrained = encoder.trainable_variables
    model = _network(config, classes, encoder, policy)
    if isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
        kind = Learner
    model = kind(model.input, model.output)
    total = config.epochs * steps
    # Capped, so that a short run gets past the warm-up and trains its encoder.
    warmup, frozen = (
        round(min(epochs * steps, MOST_WARMUP * total)) for epochs in (config.warmup_epochs, config.frozen_epochs)
    )
    optimizer = EncoderAdamW(
        WarmupCosine(config.learning_rate, warmup, total),
        weight_decay=config.weight_decay,
        global_clipnorm=1.0,
        encoder=pretrained,
        rate=config.encoder_rate,
        frozen_steps=frozen,
    )
    # Weight decay would change the encoder even while it is frozen.
    optimizer.exclude_from_weight_decay(var_list=pretrained, var_names=["gamma", "beta", "bias"])
    if number_type == "float16":
        optimizer = LossScaling(optimizer)
    # No XLA: Keras would use it on a single GPU only, and its speed there was never measured.
    model.compile(optimizer, KnownPixelCrossentropy(config.dice), metrics=[IoU(classes)], jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


class EncoderAdamW(keras.optimizers.AdamW):
    """AdamW that freezes a pretrained encoder for `frozen_steps`, then trains it at `rate` times the learning rate."""

    def __init__(
        self,
        learning_rate: Any,
        *,
        encoder: Sequence[keras.Variable] = (),
        rate: float = 1.0,
        frozen_steps: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.encoder, self.rate, self.frozen_steps = list(encoder), rate, frozen_steps
        self.slow: set[int] = set()

    def apply(self, grads: Sequence[tf.Tensor], trainable_variables: Sequence[keras.Variable] | None = None) -> None:
        """Sum the gradients over replicas, then clip and step; Keras would clip on each replica before the sum."""
        replica = tf.distribute.get_replica_context()
        if replica and replica.num_replicas_in_sync > 1:
            grads = replica.all_reduce(tf.distribute.ReduceOp.SUM, list(grads))
        super().apply(grads, trainable_variables)

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        """No-op: `apply` already summed the gradients over replicas."""
        return grads_and_vars

    def build(self, variables: Sequence[keras.Variable]) -> None:
        super().build(variables)
        self.slow = {self._get_variable_index(variable) for variable in self.encoder}

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        if self._get_variable_index(variable) in self.slow:
            learning_rate = learning_rate * tf.where(self.iterations < self.frozen_steps, 0.0, self.rate)
        super().update_step(gradient, variable, learning_rate)


class LossScaling(keras.optimizers.LossScaleOptimizer):
    """Keras' loss scaling, except that all replicas skip a step together if the gradients of one overflow."""

    def check_finite(self, grads: Sequence[tf.Tensor]) -> tf.Tensor:
        finite = super().check_finite(grads)
        replica = tf.distribute.get_replica_context()
        if replica is None or replica.num_replicas_in_sync == 1:
            return finite
        overflows = tf.cast(tf.logical_not(finite), tf.float32)
        return replica.all_reduce(tf.distribute.ReduceOp.SUM, overflows) == 0


@keras.saving.register_keras_serializable("eggseg")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate with linear warm-up over `warmup` steps, then cosine decay to 0 over the rest of `steps`."""

    def __init__(self, peak: float, warmup: int, steps: int) -> None:
        self.peak, self.warmup, self.steps = peak, warmup, steps

    def __call__(self, step: Any) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        rise = (step + 1) / max(1, self.warmup)
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        fall = 0.5 * (1 + tf.cos(math.pi * tf.clip_by_value(done, 0, 1)))
        return self.peak * tf.where(step < self.warmup, rise, fall)

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "warmup": self.warmup, "steps": self.steps}


def _encoder(config: Config, policy: str) -> keras.Model | None:
    if config.encoder == "plain":
        return None
    with precision(policy):
        return encoders.build(config.encoder, config.image_size, pretrained=config.encoder_weights != "none")


def _network(config: Config, classes: ClassTable, encoder: keras.Model | None, policy: str) -> keras.Model:
    return unet(
        config.image_size,
        len(classes),
        base_filters=config.base_filters,
        depth=config.depth,
        stem_stride=encoders.STRIDES.get(config.encoder, config.stem_stride),
        dropout=config.dropout,
        encoder=encoder,
        policy=policy,
    )
