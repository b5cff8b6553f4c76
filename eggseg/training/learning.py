"""The network that settings describe, and what it needs to learn."""

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
"""Largest share of a run's steps in which the learning rate rises, or the encoder is frozen."""


def arithmetic(config: Config) -> hardware.Precision:
    """The precision that `config` asks for, on this machine."""
    return hardware.precision(config.num_gpus) if config.precision == "auto" else config.precision


def check(config: Config, classes: ClassTable) -> None:
    """`InputError` where the network cannot be built, or begin with the weights that it is to begin with."""
    if config.encoder != "plain":
        encoders.check(config.encoder, config.image_size, config.encoder_weights)
    if config.init:
        load(network(config, classes), config.init)


def load(model: keras.Model, init: Path) -> None:
    """Start from a run folder's averaged weights, or from a weights file; `InputError` where they do not fit."""
    path = init / AVERAGED if init.is_dir() else init
    if not path.is_file():
        raise InputError(f"--init {init} holds no weights: expected a run folder or a .weights.h5 file")
    try:
        with warnings.catch_warnings():
            # Keras only warns of layers that it finds no weights for, and leaves them as they were.
            warnings.simplefilter("error", UserWarning)
            layers_of(model).load_weights(path)
    except Exception as error:  # what Keras raises for a damaged file is not bounded
        what = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(f"--init {path} does not fit this network: {what}") from None


def network(config: Config, classes: ClassTable) -> keras.Model:
    """The float32 network, with weights yet to be loaded."""
    return _network(config, classes, _encoder(config, "float32"), "float32")


def learner(
    config: Config, classes: ClassTable, steps: int, kind: Callable[..., keras.Model] = keras.Model
) -> keras.Model:
    """The network at its first step of training, `steps` an epoch, compiled, with what its encoder knows.

    A `kind` of model, made from inputs and outputs, has a `train_step` of its own.
    """
    digits = arithmetic(config)
    policy = digits if digits == "float32" else f"mixed_{digits}"
    encoder = _encoder(config, policy)
    learned: list[keras.Variable] = []
    if encoder and config.encoder_weights != "none":
        encoders.load(encoder, config.encoder, config.encoder_weights)
        encoders.freeze(encoder, config.frozen_levels)
        learned = encoder.trainable_variables
    model = _network(config, classes, encoder, policy)
    if isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
        kind = Learner
    model = kind(model.input, model.output)
    total = config.epochs * steps
    # A short run is not over before it has warmed up, and its encoder learns too.
    warmup, frozen = (
        round(min(epochs * steps, MOST_WARMUP * total)) for epochs in (config.warmup_epochs, config.frozen_epochs)
    )
    optimizer = EncoderAdamW(
        WarmupCosine(config.learning_rate, warmup, total),
        weight_decay=config.weight_decay,
        global_clipnorm=1.0,
        encoder=learned,
        rate=config.encoder_rate,
        frozen_steps=frozen,
    )
    # Decay would move the encoder even while it stands still.
    optimizer.exclude_from_weight_decay(var_list=learned, var_names=["gamma", "beta", "bias"])
    if digits == "float16":
        optimizer = LossScaling(optimizer)
    # Without XLA, which Keras would else take on a single GPU alone: there it was not measured yet.
    model.compile(optimizer, KnownPixelCrossentropy(config.dice), metrics=[IoU(classes)], jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


class EncoderAdamW(keras.optimizers.AdamW):
    """AdamW under which a pretrained encoder stands still for `frozen_steps`, then learns at a share of the rate."""

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
        """A step along the gradients, summed over all replicas before they are clipped: Keras would clip each one's."""
        replica = tf.distribute.get_replica_context()
        if replica and replica.num_replicas_in_sync > 1:
            grads = replica.all_reduce(tf.distribute.ReduceOp.SUM, list(grads))
        super().apply(grads, trainable_variables)

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        """They are."""
        return grads_and_vars

    def build(self, variables: Sequence[keras.Variable]) -> None:
        super().build(variables)
        self.slow = {self._get_variable_index(variable) for variable in self.encoder}

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        if self._get_variable_index(variable) in self.slow:
            learning_rate = learning_rate * tf.where(self.iterations < self.frozen_steps, 0.0, self.rate)
        super().update_step(gradient, variable, learning_rate)


class LossScaling(keras.optimizers.LossScaleOptimizer):
    """Keras' own, under which a step whose gradients overflow is left out by all replicas or by none."""

    def check_finite(self, grads: Sequence[tf.Tensor]) -> tf.Tensor:
        finite = super().check_finite(grads)
        replica = tf.distribute.get_replica_context()
        if replica is None or replica.num_replicas_in_sync == 1:
            return finite
        overflows = tf.cast(tf.logical_not(finite), tf.float32)
        return replica.all_reduce(tf.distribute.ReduceOp.SUM, overflows) == 0


@keras.saving.register_keras_serializable("eggseg")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises linearly over `warmup` steps and falls to 0 as a cosine over the rest of `steps`."""

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
