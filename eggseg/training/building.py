"""Build the network that the settings describe, its initial weights, optimizer and learning rate schedule."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from eggseg.data.classes import ClassTable
from eggseg.devices import hardware
from eggseg.devices.distribution import DistributedModel
from eggseg.errors import InputError
from eggseg.models import encoders, packed
from eggseg.models.unet import dtype_policy, unet
from eggseg.training.callbacks import AVERAGED, uncompiled
from eggseg.training.config import Config
from eggseg.training.objective import IoU, KnownPixelCrossentropy
from eggseg.training.optimizer import EncoderAdamW, LossScaling, WarmupCosine

MOST_WARMUP = 0.2
"""Largest share of a run's steps for the warm-up of the learning rate, and for training with a frozen encoder."""


def precision(config: Config) -> hardware.Precision:
    """The precision of training on this machine; resolves `auto`."""
    return hardware.fastest_precision(config.num_gpus) if config.precision == "auto" else config.precision


def check(config: Config, classes: ClassTable) -> None:
    """`InputError` if the network cannot be built, or its initial weights are missing or do not fit."""
    if config.encoder != "plain":
        encoders.check(config.encoder, config.image_size, config.encoder_weights)
    if config.init not in ("auto", "none"):
        start(network(config, classes), config)


def start(model: keras.Model, config: Config) -> None:
    """Load the initial weights that --init names, if any; `InputError` if they are missing or do not fit.

    A run folder gives its averaged weights.
    """
    if config.starts_from_scenes:
        try:
            packed.fill(uncompiled(model), packed.SCENES)
        except InputError as error:
            raise InputError(f"--init scenes does not fit this network: {error}") from None
    elif isinstance(config.init, Path):
        _load(model, config.init)


def _load(model: keras.Model, init: Path) -> None:
    path = init / AVERAGED if init.is_dir() else init
    if not path.is_file():
        raise InputError(f"--init {init} holds no weights: expected a run folder or a .weights.h5 file")
    try:
        with warnings.catch_warnings():
            # Make this an error: Keras only warns about a layer whose weights the file lacks, and keeps its weights.
            warnings.simplefilter("error", UserWarning)
            uncompiled(model).load_weights(path)
    except Exception as error:  # Keras raises all kinds of exceptions for damaged files
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(f"--init {path} does not fit this network: {reason}") from None


def network(config: Config, classes: ClassTable) -> keras.Model:
    """The network in float32, with random weights and not compiled."""
    return _network(config, classes, _encoder(config, "float32"), "float32")


def compiled(
    config: Config, classes: ClassTable, steps: int, kind: Callable[..., keras.Model] = keras.Model
) -> keras.Model:
    """The compiled network before its first step, with the pretrained weights of its encoder, if any.

    `steps` is the number of steps per epoch. `kind` builds the model from inputs and outputs, such as a class with its
    own `train_step`; on several machines, `DistributedModel` replaces `kind`.
    """
    number_type = precision(config)
    policy = number_type if number_type == "float32" else f"mixed_{number_type}"
    encoder = _encoder(config, policy)
    pretrained: list[keras.Variable] = []
    if encoder and config.encoder_weights != "none":
        encoders.load(encoder, config.encoder, config.encoder_weights)
        encoders.freeze(encoder, config.frozen_levels)
        pretrained = encoder.trainable_variables
    model = _network(config, classes, encoder, policy)
    if isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
        kind = DistributedModel
    model = kind(model.input, model.output)
    total = config.epochs * steps
    # Limited, so that a short run ends its warm-up early and then trains the encoder.
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


def _encoder(config: Config, policy: str) -> keras.Model | None:
    if config.encoder == "plain":
        return None
    with dtype_policy(policy):
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
