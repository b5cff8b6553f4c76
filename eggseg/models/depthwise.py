"""A depthwise convolution with a fast gradient for stride 2 in bfloat16."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers


@keras.saving.register_keras_serializable("eggseg")
class FastDepthwiseConv2D(layers.DepthwiseConv2D):
    """Keras' depthwise convolution with `same` padding, one filter per channel, and its own gradient for stride 2.

    The own gradient puts zeros between the output's gradients, up to the input's size, then convolves with stride 1. It
    is used in bfloat16, where TensorFlow's takes longer on a processor; in other precisions TensorFlow's is the faster
    one (`benchmarks/depthwise_speed.py`). `ValueError` for other options.
    """

    def __init__(self, kernel_size: int | tuple[int, int], strides: int | tuple[int, int] = 1, **options: Any) -> None:
        super().__init__(kernel_size, strides, **options)
        odd = all(side % 2 and (side > 1 or self.strides == (1, 1)) for side in self.kernel_size)
        plain = odd and (self.padding, self.depth_multiplier, self.dilation_rate) == ("same", 1, (1, 1))
        if not plain or self.strides not in ((1, 1), (2, 2)) or self.activation is not keras.activations.linear:
            raise ValueError(
                "expected an odd kernel size (3 or more with strides of 2), same padding, strides of 1 or 2, "
                "one filter per channel, no dilation, no activation"
            )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        kernel = tf.convert_to_tensor(self.kernel)
        # At one pixel all strides give the same, and TensorFlow's bfloat16 kernel for a stride of 2 leaves parts of the
        # kernel's gradient uninitialised.
        strides = self.strides if inputs.shape[1] > 1 else (1, 1)
        if strides == (2, 2) and self.compute_dtype == "bfloat16":
            out = _convolve_with_stride_2(inputs, kernel)
        else:
            out = tf.nn.depthwise_conv2d(inputs, kernel, (1, *strides, 1), "SAME")
        return tf.nn.bias_add(out, tf.convert_to_tensor(self.bias)) if self.use_bias else out


@tf.custom_gradient
def _convolve_with_stride_2(x: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, object]:
    """Depthwise convolution of `x` (n, size, size, c) with `kernel` (k, k, c, 1), stride 2; k is odd and at least 3."""
    size, half = x.shape[1], -(-x.shape[1] // 2)

    def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # Put each gradient at the pixel that was the kernel's centre: rows and columns 1, 3, ... if the size is even,
        # 0, 2, ... if the size is odd.
        before, after = (1, 0) if size % 2 == 0 else (0, 1)
        between = [[0, 0], [0, 0], [before, after], [0, 0], [before, after], [0, 0]]
        spread = tf.reshape(tf.pad(dy[:, :, None, :, None], between), (-1, 2 * half, 2 * half, dy.shape[-1]))
        dx = tf.nn.depthwise_conv2d(spread[:, :size, :size], kernel[::-1, ::-1], (1, 1, 1, 1), "SAME")
        dkernel = tf.nn.depthwise_conv2d_backprop_filter(x, kernel.shape, dy, (1, 2, 2, 1), "SAME")
        return dx, dkernel

    return tf.nn.depthwise_conv2d(x, kernel, (1, 2, 2, 1), "SAME"), gradient
