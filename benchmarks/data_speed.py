"""How fast photos become squares, and whether training waits for them.

    python benchmarks/data_speed.py [DATA] [--size 400]

DATA is a folder with images/ and masks/, `$EGGSEG_DATA/train` if not given; where there are no photos, some are made
up. The rows are measured in turns, one fresh pass over all files each, with the files in the system's page cache. To
compare with PyTorch: `pip install -r benchmarks/requirements.txt`. Prints a Markdown table: the seconds until the first
photo is there, which a run pays once (tracing graphs, starting workers), and the photos a second from then on; for
photos with their masks, photos a second over all.
"""

from __future__ import annotations

import argparse
import contextlib
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
PLAIN, LOADER = "plain decoding, no resizing", "DataLoader with Pillow, photos"
ROUNDS = 5
BATCH = 8
STEP, STEPS = 0.5, 20
"""How long a made-up training step keeps the processor busy, seconds, and how many of them are waited for."""

Pass = tuple[float, float]
"""Seconds until the first photo is there, and photos a second from then on."""


def timed(photos: Iterable[object], count: int) -> Pass:
    """Take so many photos."""
    start = time.perf_counter()
    left = iter(photos)
    next(left)
    first = time.perf_counter()
    for _ in left:
        pass
    return first - start, (count - 1) / (time.perf_counter() - first)


def mapped(paths: list[Path], function: Callable[[tf.Tensor], tf.Tensor]) -> tf.data.Dataset:
    """`function` applied to the bytes of all files, as `squares.read` does."""
    names = tf.data.Dataset.from_tensor_slices([str(path) for path in paths])
    return names.map(lambda name: function(tf.io.read_file(name)), tf.data.AUTOTUNE).apply(untuned)


def plain_decode(file: tf.Tensor) -> tf.Tensor:
    """The limit: TensorFlow's decoders and nothing else."""
    return tf.cond(
        tf.io.is_jpeg(file), lambda: tf.io.decode_jpeg(file, channels=3), lambda: tf.io.decode_png(file, channels=3)
    )


def pillow_loader(paths: list[Path], size: int) -> Pass:
    script = Path(__file__).with_name("pillow_loader.py")
    args = [sys.executable, str(script), str(size), *map(str, paths)]
    first, rate = subprocess.run(args, capture_output=True, text=True, check=True).stdout.split()
    return float(first), float(rate)


def with_masks(found: list[Pair], size: int) -> Pass:
    start = time.perf_counter()
    squares_of(found, size)
    return float("nan"), len(found) / (time.perf_counter() - start)


def squares_of(found: list[Pair], size: int) -> Squares:
    """`squares.read`, whose progress does not belong among the tables."""
    with contextlib.redirect_stdout(sys.stderr):
        return read(found, size, EGGS_AND_PANS)


def passes(found: list[Pair], size: int) -> dict[str, list[Pass]]:
    """A fresh pass over the files, in each of the ways in turns."""
    paths, count = [pair.image for pair in found], len(found)
    works: dict[str, Callable[[], Pass]] = {
        PLAIN: lambda: timed(mapped(paths, plain_decode), count),
        "eggseg, decoding alone": lambda: timed(mapped(paths, lambda file: decode(file, size)), count),
        "eggseg, photos": lambda: timed(mapped(paths, lambda file: letterbox(decode(file, size), size)), count),
        "eggseg, photos and masks": lambda: with_masks(found, size),
    }
    if importlib.util.find_spec("torch"):
        works[LOADER] = lambda: pillow_loader(paths, size)
    turns = [{name: work() for name, work in works.items()} for _ in range(ROUNDS)]
    return {name: [turn[name] for turn in turns] for name in works}


def rows(files: str, found: dict[str, list[Pass]]) -> list[list[str]]:
    """Rows of the table: medians, and how many times the rates of plain decoding and of the DataLoader."""
    medians = {name: np.median(of, axis=0) for name, of in found.items()}

    def compared(rate: float, other: str) -> str:
        return f"{rate / medians[other][1]:.2f}" if other in medians else ""

    return [
        [
            f"{files}, {name}",
            "" if np.isnan(first) else f"{first:.2f}",
            f"{rate:.0f}",
            compared(rate, PLAIN),
            compared(rate, LOADER),
        ]
        for name, (first, rate) in medians.items()
    ]


def waiting(batches: tf.data.Dataset) -> float:
    """The share of its time that a training loop waits for batches, the first of which it has."""
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
        found = pairs.find(folder)
        jpegs = [pair for pair in found if pair.image.suffix.lower() != ".png"]
        shown = rows("all", passes(found, args.size))
        shown += rows("JPEG", passes(jpegs, args.size))
        squares = squares_of(found, args.size)

    everything, steps = list(range(len(found))), len(found) // BATCH
    plain = loader.plain_batches(squares, everything[: steps * BATCH], batch_size=BATCH, steps=steps, weight=1.0)
    augmented = loader.train_batches(squares, everything, batch_size=BATCH, steps=steps, seed=0, strength=1.0)
    shown += rows(
        "in memory",
        {
            name: [timed(batches.take(steps).unbatch(), steps * BATCH) for _ in range(ROUNDS)]
            for name, batches in (("as they are", plain), ("augmented", augmented))
        },
    )
    print(f"{len(found)} {'real' if real else 'made-up'} photos, squares of {args.size} pixels.\n")
    print(table(["", "s until the first", "a second", "times plain decoding", "times the DataLoader"], shown))
    share = waiting(augmented)
    print(f"\nOf a loop with steps of {1000 * STEP:.0f} ms and batches of {BATCH}, {share:.2%} is waiting.")


if __name__ == "__main__":
    main()
