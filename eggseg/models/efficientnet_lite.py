"""EfficientNet-Lite0: the encoder and its ImageNet weights, which come with eggseg.

EfficientNet-B0 (Tan and Le 2019, arXiv 1905.11946) for small devices: without squeeze-and-excitation, and with ReLU6
instead of swish. `pretrained/NOTICE` names the origin of the weights and how they were packed.
"""

from __future__ import annotations

from pathlib import Path

import keras
from keras import layers

from eggseg.models import packed
from eggseg.models.depthwise import FastDepthwiseConv2D

STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
          (1, 3, 1, 6, 320))  # fmt: skip
"""For each stage: its number of blocks, kernel size, stride of the first block, expansion factor, output channels."""

WEIGHTS = Path(__file__).parent.parent / "pretrained" / "efficientnet_lite0.npz"


def efficientnet_lite0(size: int) -> keras.Model:
    """Build the encoder with random weights: (n, size, size, 3) in 0..255 to features of stride 2, 4, 8, 16 and 32."""
    inputs = keras.Input((size, size, 3), name="image")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescale")(inputs)
    x = _relu6(_norm(_conv(x, 32, "stem", kernel=3, strides=2), "stem_norm"), "stem")
    features, block = [], 0
    for blocks, kernel, stride, expansion, filters in STAGES:
        for i in range(blocks):
            if i == 0 and stride == 2:
                features.append(x)
            x = _block(x, f"block{block}", kernel, stride if i == 0 else 1, expansion, filters)
            block += 1
    return keras.Model(inputs, [*features, x], name="efficientnet_lite0")


def load(model: keras.Model, path: Path = WEIGHTS) -> None:
    """Load weights in the format of `packed` into a model from `efficientnet_lite0`; `InputError` if they do not fit.

    By default, the file is that of the ImageNet weights.
    """
    packed.fill(model, path)


def _block(
    x: keras.KerasTensor, name: str, kernel: int, stride: int, expansion: int, filters: int
) -> keras.KerasTensor:
    """An inverted bottleneck: expand the channels, convolve depthwise, project to `filters` channels."""
    before = x
    if expansion > 1:
        x = _conv(x, x.shape[-1] * expansion, f"{name}_expand")
        x = _relu6(_norm(x, f"{name}_expand_norm"), f"{name}_expand")
    x = FastDepthwiseConv2D(kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    x = _relu6(_norm(x, f"{name}_depthwise_norm"), f"{name}_depthwise")
    x = _norm(_conv(x, filters, f"{name}_project"), f"{name}_project_norm")
    return layers.Add(name=f"{name}_add")([before, x]) if before.shape == x.shape else x


def _conv(x: keras.KerasTensor, filters: int, name: str, kernel: int = 1, strides: int = 1) -> keras.KerasTensor:
    return layers.Conv2D(filters, kernel, strides, padding="same", use_bias=False, name=name)(x)


def _norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.BatchNormalization(epsilon=1e-3, name=name)(x)


def _relu6(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.ReLU(6.0, name=f"{name}_relu6")(x)
