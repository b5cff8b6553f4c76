"""Benchmark of the data loader: how fast photos become squares, and whether training waits for them.

    python benchmarks/data_speed.py [DATA] [--size 400]

DATA is a folder with images/ and masks/, by default `$EGGSEG_DATA/train`; without photos there, scenes are made up. The
rows are measured in turns, each with a fresh pass over all files, which the system's page cache holds. To compare with
PyTorch: `pip install -r benchmarks/requirements.txt`. Prints a Markdown table: the seconds until the first photo, which
a run pays once (tracing graphs, starting workers), and the photos per second from then on; for photos with their masks,
the photos per second of the whole pass.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf
from machine import WANTED, table

from eggseg import synthetic
from eggseg.data import loader, pairs
from eggseg.data.classes import EGGS_AND_PANS
from eggseg.data.pairs import Pair
from eggseg.data.squares import Squares, read
from eggseg.devices.pipelines import untuned
from eggseg.pictures.decoding import decode
from eggseg.pictures.geometry import letterbox

DATA = "../shared/data/eggs-and-pans"
PLAIN = "plain decoding, no resizing"
LOADERS = {False: "DataLoader with Pillow, photos", True: "DataLoader with Pillow, photos and masks"}
ROUNDS = 5
BATCH = 8
STEP, STEPS = 0.5, 20
"""Seconds for which a simulated training step keeps the processor busy, and the number of these steps."""

Pass = tuple[float, float]
"""Seconds until the first photo, and photos per second from then on."""


def timed(photos: Iterable[object], count: int) -> Pass:
    """Time a pass over `count` photos."""
    start = time.perf_counter()
    iterator = iter(photos)
    next(iterator)
    first = time.perf_counter()
    for _ in iterator:
        pass
    return first - start, (count - 1) / (time.perf_counter() - first)


def mapped(paths: list[Path], function: Callable[[tf.Tensor], tf.Tensor]) -> tf.data.Dataset:
    """Map `function` over the bytes of all files, as `squares.read` does."""
    names = tf.data.Dataset.from_tensor_slices([str(path) for path in paths])
    return names.map(lambda name: function(tf.io.read_file(name)), tf.data.AUTOTUNE).apply(untuned)


def plain_decode(file: tf.Tensor) -> tf.Tensor:
    """The upper limit of speed: TensorFlow's decoders and nothing else."""
    return tf.cond(
        tf.io.is_jpeg(file), lambda: tf.io.decode_jpeg(file, channels=3), lambda: tf.io.decode_png(file, channels=3)
    )


def pillow_loader(photos: list[Pair], size: int, masks: bool) -> Pass:
    script = Path(__file__).with_name("pillow_loader.py")
    args = [sys.executable, str(script), str(size), *(str(pair.image) for pair in photos)]
    if masks:
        args += ["--masks", *(str(pair.mask) for pair in photos)]
    first, rate = subprocess.run(args, capture_output=True, text=True, check=True).stdout.split()
    return float(first), float(rate)


def with_masks(photos: list[Pair], size: int) -> Pass:
    start = time.perf_counter()
    squares_of(photos, size)
    return float("nan"), len(photos) / (time.perf_counter() - start)


def squares_of(photos: list[Pair], size: int) -> Squares:
    """`squares.read`, with its progress on stderr, away from the tables."""
    with contextlib.redirect_stdout(sys.stderr):
        return read(photos, size, EGGS_AND_PANS)


def passes(photos: list[Pair], size: int) -> dict[str, list[Pass]]:
    """Fresh passes over the files, by row of the table, measured in turns."""
    paths, count = [pair.image for pair in photos], len(photos)
    works: dict[str, Callable[[], Pass]] = {
        PLAIN: lambda: timed(mapped(paths, plain_decode), count),
        "eggseg, decoding alone": lambda: timed(mapped(paths, lambda file: decode(file, size)), count),
        "eggseg, photos": lambda: timed(mapped(paths, lambda file: letterbox(decode(file, size), size)), count),
        "eggseg, photos and masks": lambda: with_masks(photos, size),
    }
    if importlib.util.find_spec("torch"):
        for masks, name in LOADERS.items():
            works[name] = functools.partial(pillow_loader, photos, size, masks)
    turns = [{name: work() for name, work in works.items()} for _ in range(ROUNDS)]
    return {name: [turn[name] for turn in turns] for name in works}


def rows(files: str, measured: dict[str, list[Pass]]) -> list[list[str]]:
    """Rows of the table: medians, and rates relative to plain decoding and to the DataLoader with or without masks."""
    medians = {name: np.median(times, axis=0) for name, times in measured.items()}

    def compared(rate: float, other: str) -> str:
        return f"{rate / medians[other][1]:.2f}" if other in medians else ""

    return [
        [
            f"{files}, {name}",
            "" if np.isnan(first) else f"{first:.2f}",
            f"{rate:.0f}",
            compared(rate, PLAIN),
            compared(rate, LOADERS["masks" in name]),
        ]
        for name, (first, rate) in medians.items()
    ]


def waiting(batches: tf.data.Dataset) -> float:
    """Share of the time that a simulated training loop waits for batches, after the first batch."""
    matrix = tf.random.normal((1024, 1024))
    batch = iter(batches)
    next(batch)
    waited, start = 0.0, time.perf_counter()
    for _ in range(STEPS):
        begin = time.perf_counter()
        while time.perf_counter() - begin < STEP:
            tf.linalg.matmul(matrix, matrix).numpy()
        begin = time.perf_counter()
        next(batch)
        waited += time.perf_counter() - begin
    return waited / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", default=Path(os.environ.get("EGGSEG_DATA", DATA), "train"))
    parser.add_argument("--size", type=int, default=400, help="side of the square, pixels")
    args = parser.parse_args()
    if not importlib.util.find_spec("torch"):
        print(f"PyTorch is missing; {WANTED}", file=sys.stderr)

    with tempfile.TemporaryDirectory() as made_up:
        real = (args.data / "images").is_dir()
        folder = args.data if real else Path(made_up, "scenes")
        if not real:
            synthetic.main([str(folder), "--count", "100"])
        photos = pairs.find(folder)
        jpegs = [pair for pair in photos if pair.image.suffix.lower() != ".png"]
        shown = rows("all", passes(photos, args.size))
        shown += rows("JPEG", passes(jpegs, args.size))
        squares = squares_of(photos, args.size)

    everything, steps = list(range(len(photos))), len(photos) // BATCH
    plain = loader.plain_batches(squares, everything[: steps * BATCH], batch_size=BATCH, steps=steps, weight=1.0)
    augmented = loader.train_batches(squares, everything, batch_size=BATCH, steps=steps, seed=0, strength=1.0)
    shown += rows(
        "in memory",
        {
            name: [timed(batches.take(steps).unbatch(), steps * BATCH) for _ in range(ROUNDS)]
            for name, batches in (("as they are", plain), ("augmented", augmented))
        },
    )
    print(f"{len(photos)} {'real' if real else 'made-up'} photos, squares of {args.size} pixels.\n")
    print(table(["", "s until the first", "a second", "times plain decoding", "times the DataLoader"], shown))
    share = waiting(augmented)
    print(f"\nOf a loop with steps of {1000 * STEP:.0f} ms and batches of {BATCH}, {share:.2%} is waiting.")


if __name__ == "__main__":
    main()
