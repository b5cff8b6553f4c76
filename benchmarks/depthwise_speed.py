"""Benchmark of the gradient of strided depthwise convolutions: eggseg's layer and Keras'.

    python benchmarks/depthwise_speed.py [--image_size SIDE, or any other setting of eggseg.train]

Measures the depthwise convolutions with stride 2 of EfficientNet-Lite0, forward and backward, for a batch of photos, in
each precision that the processor multiplies. Prints a Markdown table.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
from keras import layers
from machine import in_turns, table

from eggseg.devices import hardware
from eggseg.models.depthwise import FastDepthwiseConv2D
from eggseg.models.efficientnet_lite import efficientnet_lite0
from eggseg.training.config import Config

ROUNDS, REPEATS = 7, 4


def turn(layer: layers.DepthwiseConv2D, x: tf.Tensor) -> Callable[[], object]:
    """Forward and backward, for the input and the kernel, `REPEATS` times."""
    layer.build(x.shape)

    @tf.function
    def gradients(x: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            out = layer(x)
        return tape.gradient(out, [x, layer.kernel.value])

    return lambda: [gradients(x)[1].numpy() for _ in range(REPEATS)]


def main() -> None:
    config = Config.from_args()
    tf.config.experimental.enable_op_determinism()  # as in training
    tf.random.set_seed(0)
    strided = [
        layer
        for layer in efficientnet_lite0(config.image_size).layers
        if isinstance(layer, FastDepthwiseConv2D) and layer.strides == (2, 2)
    ]
    rows = []
    for precision in ("bfloat16", "float32") if hardware.cpu_has_bfloat16() else ("float32",):
        for layer in strided:
            size, channels, kernel = layer.input.shape[1], layer.input.shape[3], layer.kernel_size[0]
            x = tf.cast(tf.random.normal((config.batch_size, size, size, channels)), precision)
            options = {
                "padding": "same",
                "use_bias": False,
                "dtype": f"mixed_{precision}".replace("mixed_float32", "float32"),
            }
            turns = {
                "ours": turn(FastDepthwiseConv2D(kernel, 2, **options), x),
                "Keras'": turn(layers.DepthwiseConv2D(kernel, 2, **options), x),
            }
            ours, theirs = (1000 * seconds / REPEATS for seconds in in_turns(turns, ROUNDS).values())
            shape = f"{size}x{size}x{channels}, kernel {kernel}x{kernel}"
            rows.append([f"{precision}, {shape}", f"{ours:.1f}", f"{theirs:.1f}", f"{theirs / ours:.2f}"])
    print(f"Batches of {config.batch_size}, photos of {config.image_size} pixels.\n")
    print(table(["", "eggseg's, ms", "Keras', ms", "Keras' / eggseg's"], rows))


if __name__ == "__main__":
    main()
