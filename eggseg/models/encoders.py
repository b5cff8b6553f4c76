"""Encoders for the U-Net's way down that have learned from other photos before."""

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
"""Of each network of `keras.applications`: what builds it, and the layers that halve the picture further."""

NAMES = ("efficientnet_lite0", *_APPLICATIONS)

STRIDES = dict.fromkeys(NAMES, 2) | {"convnext_tiny": 4}
"""Pixels of the picture along a side of a cell of the finest features."""

_DIVISORS = {"convnext_tiny": 32}
"""Of the networks whose convolutions are not padded: what divides the sides of a picture of which no row is dropped."""


def build(name: str, size: int, *, pretrained: bool) -> keras.Model:
    """Build an encoder from (n, size, size, 3), 0..255, to its features, the finest first, with weights yet to learn.

    The finest features are `STRIDES[name]` pixels apart, each following level twice as far; where a stride does not
    divide the size, the last cell reaches past the picture. The statistics of a `pretrained` one's batch normalisation
    stay as they are: they are folded into its convolutions.
    """
    model = _bare(name, size, None)
    return fused(folded(model) if pretrained else model)


def check(name: str, size: int, weights: str) -> None:
    """`InputError` where an encoder cannot be built for `size`, or its `weights` cannot be had or do not fit.

    What Keras downloads is in its cache afterwards.
    """
    # The weights that come with eggseg are there and fit.
    if (name, weights) not in (("efficientnet_lite0", "imagenet"), ("efficientnet_lite0", "none")):
        _bare(name, size, None if weights == "none" else weights)


def load(encoder: keras.Model, name: str, weights: str) -> None:
    """Give a pretrained `encoder` the `weights` that it learned before: "imagenet", or those in a file.

    `InputError` where they cannot be had or do not fit.
    """
    encoder.set_weights(folded(_bare(name, encoder.input_shape[1], weights)).get_weights())


def freeze(encoder: keras.Model, levels: int) -> None:
    """Let the first `levels` levels of an encoder, from the finest, stay as they are, and all depthwise filters.

    Edges and colours are the same in every kitchen, and the gradients of these parts would take half of a step.
    """
    for layer in encoder.layers:
        depthwise = isinstance(layer, layers.DepthwiseConv2D) or getattr(layer, "groups", 1) > 1
        layer.trainable = not depthwise
    if levels:
        for layer in keras.Model(encoder.input, encoder.outputs[levels - 1]).layers:
            layer.trainable = False


def _bare(name: str, size: int, weights: str | None) -> keras.Model:
    if name == "efficientnet_lite0":
        model = efficientnet_lite.efficientnet_lite0(size)
        if weights:
            efficientnet_lite.load(model, efficientnet_lite.WEIGHTS if weights == "imagenet" else _file(weights))
        return model
    application, halvings = _APPLICATIONS[name]
    inputs = keras.Input((size, size, 3), name="image")
    x = _caffe(inputs) if name == "resnet50" else _padded(inputs, _DIVISORS.get(name, 1))
    source = str(_file(weights)) if weights and weights != "imagenet" else weights
    try:
        with warnings.catch_warnings():
            # MobileNetV3 remarks that its weights were learned at 224 pixels; any size will do for features.
            warnings.simplefilter("ignore", UserWarning)
            model = application(include_top=False, weights=source, input_tensor=x)
    except tf.errors.OpError:  # of another worker that has ended, not of the weights
        raise
    except Exception as error:  # Keras raises a bare Exception where it cannot download.
        raise InputError(_why(name, size, weights, error)) from None
    features = [*(model.get_layer(layer).input for layer in halvings), model.output]
    if name in _DIVISORS:
        features = [_cropped(x, -(-size // (STRIDES[name] << level))) for level, x in enumerate(features)]
    return keras.Model(inputs, features, name=name)


def _padded(x: keras.KerasTensor, divisor: int) -> keras.KerasTensor:
    """Black at the lower right, up to a multiple of `divisor`."""
    missing = -x.shape[1] % divisor
    return layers.ZeroPadding2D(((0, missing), (0, missing)), name="pad")(x) if missing else x


def _cropped(x: keras.KerasTensor, size: int) -> keras.KerasTensor:
    """Without the cells that show nothing but padding."""
    excess = x.shape[1] - size
    return layers.Cropping2D(((0, excess), (0, excess)))(x) if excess else x


def _caffe(x: keras.KerasTensor) -> keras.KerasTensor:
    """RGB in 0..255 to BGR around ImageNet's mean, as ResNet50 has learned it."""
    return layers.Rescaling(1.0, offset=(-103.939, -116.779, -123.68), name="rescale")(x[..., ::-1])


def _file(path: str) -> Path:
    if not Path(path).is_file():
        raise InputError(f"--encoder_weights {path} is not there: expected imagenet, none or a file of weights")
    return Path(path)


def _why(name: str, size: int, weights: str | None, error: Exception) -> str:
    if weights is None:
        return f"--encoder {name} cannot be built for --image_size {size}: expected a larger size"
    if weights != "imagenet":
        return f"--encoder_weights {weights} does not fit {name}: expected a file of Keras, without the top"
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return (
        f"the ImageNet weights of {name} cannot be downloaded ({reason}): fetch that file elsewhere and give it as "
        f"--encoder_weights FILE, or take --encoder efficientnet_lite0, whose weights come with eggseg"
    )
