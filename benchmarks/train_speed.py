"""Benchmark of the training step: eggseg and PyTorch with the same network, and the share of the processor's peak.

    python benchmarks/train_speed.py [--encoder NAME, or any other setting of eggseg.train]

The row `eggseg train` takes the path of the command: its strategy, and its data pipeline with augmentation. The other
rows repeat one batch, without a strategy, so that only the step is measured: forward, loss, backward and AdamW. Both
rows of eggseg run `model.fit` with the metric and the moving average of the weights. PyTorch runs the twin (see
twin.py) under bfloat16 autocast in the `channels_last` layout, with cross-entropy that ignores VOID, clipped gradients
and the fused AdamW, which was faster than the `foreach` one. All run in turns in one process, with all cores. Prints a
Markdown table.

Beside other programs, PyTorch's threads wait for each other and lose more time than TensorFlow's: measure on an idle
machine, or on one core, as in `taskset -c 0 python benchmarks/train_speed.py`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from machine import WANTED, in_turns, table

from eggseg.data import loader
from eggseg.data.classes import EGGS_AND_PANS, VOID
from eggseg.data.squares import Squares
from eggseg.devices import distribution, hardware
from eggseg.devices.pipelines import untuned
from eggseg.training import building
from eggseg.training.callbacks import AveragedWeights
from eggseg.training.config import Config

# PyTorch's optimizers import Triton, whose LLVM and TensorFlow's crash the process when both are loaded.
sys.modules["triton"] = None  # type: ignore[assignment]
try:
    import torch
    from twin import twin
except ModuleNotFoundError:
    torch = None

STEP = "eggseg, the step"
STEPS = 8
"""Steps per turn."""
ROUNDS = 5
SIDE = 4096
"""Side of the square matrices whose product measures the processor's peak."""


def flops(network: keras.Model) -> int:
    """Floating-point operations of a training step, per photo.

    Counts convolutions only, two operations per multiplication. A convolution is computed up to three times: forward;
    backward for its kernel, unless frozen; and backward for its input, if any layer before it is trained.
    """
    total, trained = 0, set()
    for layer in network.layers:
        if isinstance(layer, layers.InputLayer):
            continue
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        after_trained = any(tensor._keras_history.operation.name in trained for tensor in inputs)
        is_trained = bool(layer.trainable_weights)
        if is_trained or after_trained:
            trained.add(layer.name)
        total += _forward(layer) * (1 + is_trained + after_trained)
    return total


def _forward(layer: layers.Layer) -> int:
    """Floating-point operations of a layer's forward pass, per photo."""
    if isinstance(layer, layers.Conv2DTranspose):
        pixels = layer.input.shape[1:3]
    elif isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
        pixels = layer.output.shape[1:3]
    else:
        return 0
    return int(2 * np.prod(pixels) * np.prod(layer.kernel.shape))


def command_turn(images: np.ndarray, truth: np.ndarray, config: Config) -> Callable[[], object]:
    """The command's steps, on squares that are in memory as they are there."""
    squares = Squares(np.concatenate([images, truth[..., None]], -1), tuple(range(len(images))), (), (), ())
    workers = distribution.join(config.distribution, config.num_gpus)
    batches = loader.train_batches(
        squares, squares.held, batch_size=config.batch_size, steps=STEPS, seed=config.seed, strength=config.augment
    )
    with workers.strategy.scope():
        model = building.compiled(config, EGGS_AND_PANS, STEPS)
        return fit_turn(model, workers.batches(batches), config)


def step_turn(model: keras.Model, images: np.ndarray, truth: np.ndarray, config: Config) -> Callable[[], object]:
    return fit_turn(model, tf.data.Dataset.from_tensors((images, truth)).repeat().apply(untuned), config)


def fit_turn(model: keras.Model, batches: tf.data.Dataset, config: Config) -> Callable[[], object]:
    averaged = AveragedWeights(model, config.ema_decay)
    return lambda: model.fit(batches, steps_per_epoch=STEPS, callbacks=[averaged], verbose=0, shuffle=False)


def torch_turn(model: keras.Model, images: np.ndarray, truth: np.ndarray, config: Config) -> Callable[[], object]:
    module = twin(model).train()
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, config.learning_rate, weight_decay=config.weight_decay, fused=True)
    # A view of shape (n, 3, h, w) whose memory is (n, h, w, 3): the `channels_last` layout.
    images, truth = torch.from_numpy(images).float().permute(0, 3, 1, 2), torch.from_numpy(truth).long()

    def turn() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=hardware.cpu_has_bfloat16()):
                logits = module(images)
            torch.nn.functional.cross_entropy(logits, truth, ignore_index=VOID).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()

    return turn


def products(precision: str) -> dict[str, Callable[[], object]]:
    """The product of two large matrices, by library."""
    a = tf.random.normal((SIDE, SIDE), dtype=precision)
    works = {f"TensorFlow, {precision}": lambda: tf.matmul(a, a)}
    if torch:
        b = torch.randn(SIDE, SIDE, dtype=getattr(torch, precision))
        works[f"PyTorch, {precision}"] = lambda: b @ b
    return works


def main() -> None:
    config = Config.from_args()
    tf.config.experimental.enable_op_determinism()  # as in training
    keras.utils.set_random_seed(0)
    model = building.compiled(config, EGGS_AND_PANS, STEPS)
    rng = np.random.default_rng(0)
    shape = (config.batch_size, config.image_size, config.image_size)
    images = rng.integers(0, 256, (*shape, 3), np.uint8)
    truth = rng.choice(np.array([0, 1, 2, VOID], np.uint8), shape)

    turns = {STEP: step_turn(model, images, truth, config), "eggseg train": command_turn(images, truth, config)}
    if torch:
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        turns["PyTorch"] = torch_turn(model, images, truth, config)
    else:
        print(f"PyTorch is missing; {WANTED}", file=sys.stderr)
    precisions = ("bfloat16", "float32") if hardware.cpu_has_bfloat16() else ("float32",)
    peaks = {precision: products(precision) for precision in precisions}
    seconds = in_turns(turns | {name: work for works in peaks.values() for name, work in works.items()}, ROUNDS)

    peak = {precision: 2 * SIDE**3 / min(seconds[name] for name in works) for precision, works in peaks.items()}
    step = config.batch_size * flops(model)
    print(
        f"Network `{config.encoder}` of {config.image_size} pixels, batches of {config.batch_size}: a step has "
        f"{step / 1e9:.0f} GFLOP of convolutions. The faster product of two {SIDE}x{SIDE} matrices reaches "
        + " and ".join(f"{p / 1e9:.0f} GFLOP/s in {name}" for name, p in peak.items())
        + ".\n"
    )
    rows = [
        [
            name,
            f"{config.batch_size * STEPS / seconds[name]:.1f}",
            f"{seconds[name] / seconds[STEP]:.2f}",
            f"{1000 * seconds[name] / STEPS:.0f}",
            *(f"{step * STEPS / seconds[name] / p:.0%}" for p in peak.values()),
        ]
        for name in turns
    ]
    print(table(["", "photos/s", "time / the step's", "ms a step", *(f"of {name}'s peak" for name in peak)], rows))


if __name__ == "__main__":
    main()
