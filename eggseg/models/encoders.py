"""Known backbones as encoders of the U-Net, with or without pretrained weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf
from keras import layers

from eggseg.errors import InputError
from eggseg.models import efficientnet_lite
from eggseg.models.normalization import folded, fused

_APPLICATIONS: dict[str, tuple[Callable[..., keras.Model], tuple[str, ...]]] = {
    "mobilenet_v3": (
        keras.applications.MobileNetV3Large,
        tuple(f"expanded_conv_{i}_expand" for i in (1, 3, 6, 12)),
    ),
    "efficientnet_v2_b0": (
        keras.applications.EfficientNetV2B0,
        tuple(f"block{i}a_expand_conv" for i in (2, 3, 4, 6)),
    ),
    "resnet50": (
        keras.applications.ResNet50,
        ("pool1_pad", *(f"conv{i}_block1_1_conv" for i in (3, 4, 5))),
    ),
    "convnext_tiny": (
        keras.applications.ConvNeXtTiny,
        tuple(f"convnext_tiny_downsampling_block_{i}" for i in range(3)),
    ),
}
"""Backbones of `keras.applications`: the builder, and the downsampling layers, whose inputs are the features.

For a downsampling block of several layers, this is the first layer of the block.
"""

NAMES = ("efficientnet_lite0", *_APPLICATIONS)

STRIDES = dict.fromkeys(NAMES, 2) | {"convnext_tiny": 4}
"""Stride of the finest features of each encoder, in pixels."""

_DIVISORS = {"convnext_tiny": 32}
"""Networks with unpadded convolutions: they ignore the last rows and columns if this does not divide the side."""


def build(name: str, size: int, *, pretrained: bool) -> keras.Model:
    """Build an encoder with random weights: (n, size, size, 3) in 0..255 to its features, the finest first.

    The finest features have stride `STRIDES[name]`, and each further level has twice the stride of the level before.
    If a stride does not divide `size`, the last row and column of that level extend beyond the picture. With
    `pretrained`, batch normalisation is folded into the convolutions, so that its statistics stay fixed; `load` must
    then load the weights. `InputError` if the encoder cannot be built for `size`.
    """
    model = _unfolded(name, size, None)
    return fused(folded(model) if pretrained else model)


def check(name: str, size: int, weights: str) -> None:
    """`InputError` if an encoder cannot be built for `size`, or if its `weights` are unavailable or do not fit.

    `weights` is "imagenet", "none" or a file. Keras caches the weights that this function downloads.
    """
    # efficientnet_lite0 works at any size, and its ImageNet weights come with eggseg.
    if (name, weights) not in (("efficientnet_lite0", "imagenet"), ("efficientnet_lite0", "none")):
        _unfolded(name, size, None if weights == "none" else weights)


def load(encoder: keras.Model, name: str, weights: str) -> None:
    """Load `weights`, "imagenet" or a file, into an encoder that `build` made with `pretrained`.

    `InputError` if the weights are unavailable or do not fit.
    """
    encoder.set_weights(folded(_unfolded(name, encoder.input_shape[1], weights)).get_weights())


def freeze(encoder: keras.Model, levels: int) -> None:
    """Freeze the `levels` finest levels of an encoder and all its depthwise filters; the rest becomes trainable.

    The finest levels respond to edges and colours, which are similar in all photos. The gradients of the frozen
    layers would take half the time of a training step.
    """
    for layer in encoder.layers:
        depthwise = isinstance(layer, layers.DepthwiseConv2D) or getattr(layer, "groups", 1) > 1
        layer.trainable = not depthwise
    if levels:
        for layer in keras.Model(encoder.input, encoder.outputs[levels - 1]).layers:
            layer.trainable = False


def _unfolded(name: str, size: int, weights: str | None) -> keras.Model:
    """The encoder before batch normalisation is folded; `weights` is "imagenet", a file, or None for random weights."""
    if name == "efficientnet_lite0":
        model = efficientnet_lite.efficientnet_lite0(size)
        if weights:
            path = efficientnet_lite.WEIGHTS if weights == "imagenet" else _existing_file(weights)
            efficientnet_lite.load(model, path)
        return model
    application, halvings = _APPLICATIONS[name]
    inputs = keras.Input((size, size, 3), name="image")
    x = _to_caffe(inputs) if name == "resnet50" else _padded(inputs, _DIVISORS.get(name, 1))
    source = str(_existing_file(weights)) if weights and weights != "imagenet" else weights
    try:
        with warnings.catch_warnings():
            # MobileNetV3 warns that its weights were trained at 224 pixels; its features work at any size.
            warnings.simplefilter("ignore", UserWarning)
            model = application(include_top=False, weights=source, input_tensor=x)
    except tf.errors.OpError:  # another worker has ended; the weights are not the cause
        raise
    except Exception as error:  # Keras raises a bare Exception where it cannot download.
        raise InputError(_error_message(name, size, weights, error)) from None
    features = [*(model.get_layer(layer).input for layer in halvings), model.output]
    if name in _DIVISORS:
        features = [_cropped(x, -(-size // (STRIDES[name] << level))) for level, x in enumerate(features)]
    return keras.Model(inputs, features, name=name)


def _padded(x: keras.KerasTensor, divisor: int) -> keras.KerasTensor:
    """Pad (n, size, size, 3) with black at the bottom and right, up to the next multiple of `divisor`."""
    missing = -x.shape[1] % divisor
    return layers.ZeroPadding2D(((0, missing), (0, missing)), name="pad")(x) if missing else x


def _cropped(x: keras.KerasTensor, size: int) -> keras.KerasTensor:
    """Crop features to `size` rows and columns: the other cells cover only padding."""
    excess = x.shape[1] - size
    return layers.Cropping2D(((0, excess), (0, excess)))(x) if excess else x


def _to_caffe(x: keras.KerasTensor) -> keras.KerasTensor:
    """Convert RGB in 0..255 to BGR minus ImageNet's mean colour, the input that the weights of ResNet50 expect."""
    return layers.Rescaling(1.0, offset=(-103.939, -116.779, -123.68), name="rescale")(x[..., ::-1])


def _existing_file(path: str) -> Path:
    if not Path(path).is_file():
        raise InputError(f"--encoder_weights {path} is not there: expected imagenet, none or a file of weights")
    return Path(path)


def _error_message(name: str, size: int, weights: str | None, error: Exception) -> str:
    if weights is None:
        return f"--encoder {name} cannot be built for --image_size {size}: expected a larger size"
    if weights != "imagenet":
        return f"--encoder_weights {weights} does not fit {name}: expected weights that Keras saved, without the top"
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return (
        f"the ImageNet weights of {name} cannot be downloaded ({reason}): download that file elsewhere and pass "
        f"--encoder_weights FILE, or take --encoder efficientnet_lite0, whose weights come with eggseg"
    )
