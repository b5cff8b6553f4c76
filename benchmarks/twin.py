"""The twin of a Keras network in PyTorch: the same layers in the same order, with the same weights.

The twin runs like a hand-written module, in the layout that is fastest in PyTorch (`channels_last`).
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable

import keras
import numpy as np
import torch
from keras import layers
from torch import fx, nn

Step = nn.Module | Callable[..., fx.Proxy]


def twin(network: keras.Model) -> fx.GraphModule:
    """Convert `network` to a module from (n, 3, h, w) float32 to logits (n, classes, h, w).

    `network` must be functional, with one input and one output, and call each layer once. Frozen layers stay frozen.
    `TypeError` for layers without a twin.
    """
    modules, graph = nn.ModuleDict(), fx.Graph()
    tracer = fx.proxy.GraphAppendingTracer(graph)
    values: dict[str, fx.Proxy] = {}
    for layer in network.layers:
        if isinstance(layer, layers.InputLayer):
            values[layer.name] = fx.Proxy(graph.placeholder("image"), tracer)
            continue
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        args = [values[tensor._keras_history.operation.name] for tensor in inputs]
        for i, step in enumerate(_steps(layer)):
            if isinstance(step, nn.Module):
                name = f"{layer.name}_{i}" if i else layer.name
                modules[name] = step.requires_grad_(layer.trainable)
                args = [fx.Proxy(graph.call_module(name, tuple(arg.node for arg in args)), tracer)]
            else:
                args = [step(*args)]
        values[layer.name] = args[0]
    graph.output(args[0].node)
    return fx.GraphModule(modules, graph, "Twin").to(memory_format=torch.channels_last)


@functools.singledispatch
def _steps(layer: layers.Layer) -> list[Step]:
    """A layer in PyTorch: modules and functions to call in sequence."""
    raise TypeError(f"{layer.name}: there is no twin of a {type(layer).__name__} yet")


@_steps.register
def _(layer: layers.Conv2D) -> list[Step]:
    return _convolution(layer, layer.filters, groups=1, axes=(3, 2, 0, 1))


@_steps.register
def _(layer: layers.DepthwiseConv2D) -> list[Step]:
    channels = layer.input.shape[-1]
    return _convolution(layer, channels, groups=channels, axes=(2, 3, 0, 1))


def _convolution(
    layer: layers.Conv2D | layers.DepthwiseConv2D, filters: int, groups: int, axes: tuple[int, ...]
) -> list[Step]:
    """A convolution whose kernel is Keras', transposed to `axes`."""
    if layer.activation is not keras.activations.linear or any(d != 1 for d in layer.dilation_rate):
        raise TypeError(f"{layer.name}: there is no twin of a convolution with an activation or dilation yet")
    sides = [(0, 0), (0, 0)]
    if layer.padding == "same":
        sides = [_same(*s) for s in zip(layer.input.shape[1:3], layer.kernel_size, layer.strides, strict=True)]
    conv = nn.Conv2d(
        layer.input.shape[-1],
        filters,
        layer.kernel_size,
        layer.strides,
        padding=tuple(before for before, _ in sides),
        groups=groups,
        bias=layer.use_bias,
    )
    _set(conv, layer.get_weights(), axes)
    (top, bottom), (left, right) = sides
    if top == bottom and left == right:
        return [conv]
    # PyTorch's convolutions pad both sides alike: pad the rest of the far side first.
    return [nn.ZeroPad2d((0, right - left, 0, bottom - top)), conv]


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """The padding (before, after) of TensorFlow's `same` along an axis."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


@_steps.register
def _(layer: layers.Conv2DTranspose) -> list[Step]:
    if layer.kernel_size != layer.strides or layer.activation is not keras.activations.linear:
        raise TypeError(f"{layer.name}: there is no twin of a transposed convolution whose windows overlap yet")
    conv = nn.ConvTranspose2d(
        layer.input.shape[-1], layer.filters, layer.kernel_size, layer.strides, bias=layer.use_bias
    )
    _set(conv, layer.get_weights(), (3, 2, 0, 1))
    return [conv]


@_steps.register
def _(layer: layers.BatchNormalization) -> list[Step]:
    # PyTorch's momentum is the weight of the new value, Keras' that of the old.
    norm = nn.BatchNorm2d(layer.input.shape[-1], eps=layer.epsilon, momentum=1 - layer.momentum)
    gamma, beta, mean, variance = layer.get_weights()
    with torch.no_grad():
        for ours, theirs in (
            (norm.weight, gamma),
            (norm.bias, beta),
            (norm.running_mean, mean),
            (norm.running_var, variance),
        ):
            ours.copy_(torch.from_numpy(theirs))
    return [norm]


@_steps.register
def _(layer: layers.ReLU) -> list[Step]:
    return [nn.ReLU6(inplace=True) if layer.max_value == 6 else nn.ReLU(inplace=True)]


@_steps.register
def _(layer: layers.Add) -> list[Step]:
    return [operator.add]


@_steps.register
def _(layer: layers.Concatenate) -> list[Step]:
    return [lambda *features: torch.cat(features, 1)]


@_steps.register
def _(layer: layers.MaxPooling2D) -> list[Step]:
    if layer.pool_size != layer.strides:
        raise TypeError(f"{layer.name}: there is no twin of a pooling whose windows overlap yet")
    return [nn.MaxPool2d(layer.pool_size, ceil_mode=layer.padding == "same")]


@_steps.register
def _(layer: layers.UpSampling2D) -> list[Step]:
    return [nn.Upsample(scale_factor=tuple(map(float, layer.size)), mode=layer.interpolation)]


@_steps.register
def _(layer: layers.Cropping2D) -> list[Step]:
    (top, bottom), (left, right) = layer.cropping
    return [nn.ZeroPad2d((-left, -right, -top, -bottom))]


@_steps.register
def _(layer: layers.ZeroPadding2D) -> list[Step]:
    (top, bottom), (left, right) = layer.padding
    return [nn.ZeroPad2d((left, right, top, bottom))]


@_steps.register
def _(layer: layers.Rescaling) -> list[Step]:
    return [lambda image: image * layer.scale + layer.offset]


@_steps.register
def _(layer: layers.Activation) -> list[Step]:
    if layer.activation is not keras.activations.linear or layer.compute_dtype != "float32":
        raise TypeError(f"{layer.name}: there is no twin of this activation yet")
    return [lambda scores: scores.float()]


@_steps.register
def _(layer: layers.Dropout) -> list[Step]:
    return [nn.Dropout(layer.rate)]


def _set(conv: nn.Conv2d | nn.ConvTranspose2d, weights: list[np.ndarray], axes: tuple[int, ...]) -> None:
    with torch.no_grad():
        for ours, theirs in zip((conv.weight, conv.bias), weights, strict=False):
            ours.copy_(torch.from_numpy(theirs.transpose(axes) if theirs.ndim == 4 else theirs))
