"""A time budget: plan the epochs of a run, and on a slow machine a smaller square, from the measured time of a step."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import tempfile
import time
from pathlib import Path
from typing import Any

import keras

from eggseg.data import labelled
from eggseg.training import fit, run_data
from eggseg.training.config import Config
from eggseg.training.fit import Setup

FEWEST, ENOUGH, MOST = 5, 15, 300
"""Epochs: the fewest of any plan, those below which the square shrinks, and the most of any plan.

A run that --init continues from an earlier one has at least one epoch, and keeps its square.
"""

SQUARES = (384, 320, 256, 224, 192, 160, 128)
"""Sides to which the square shrinks, pixels."""

MARGIN = 0.97
"""Share of the budget that is planned: a run that has begun does not change its number of epochs."""

MEASURED_STEPS, MEASURED_PHOTOS = 8, 20

EXPORTS, SCORES = 1.5, 6.0
"""Estimates, rather too large than too small: the time of export and loading, as a multiple of building and tracing the
network for training; the time of scoring a photo, as a multiple of reading the photo and its mask."""

clock = time.perf_counter


@dataclasses.dataclass(frozen=True)
class Pace:
    """Measured times of a run, in seconds."""

    step: float
    """A training step, with its share of the data pipeline and of the averaging."""
    rest: float
    """What an epoch takes beside its steps: validation, checkpoint and logs."""
    start: float
    """Building and tracing the network."""

    def epoch(self, steps: int) -> float:
        return steps * self.step + self.rest


def plan(setup: Setup, folder: Path, begun: float) -> Setup:
    """Set the epochs, and if need be a smaller square, with which a run that began at `begun` keeps its --minutes.

    Reads the photos again for a smaller square, into `folder` if they do not fit into memory.
    """
    config, workers = setup.config, setup.workers
    continues = isinstance(config.init, Path)
    while True:
        pace = measure(setup)
        left = 60 * config.minutes * MARGIN - (clock() - begun) - after(setup, pace)
        fitting = workers.told_by(0, left / pace.epoch(setup.share.steps))
        # The weights of an earlier run belong to its square.
        size = config.image_size if continues else square(setup.config.image_size, fitting)
        if size == setup.config.image_size:
            break
        few = f"{max(0, int(fitting))} epochs of {setup.config.image_size} pixels"
        print(f"in {config.minutes:g} minutes, {few} would fit: trying {size} pixels")
        smaller = dataclasses.replace(config, image_size=size)
        data = run_data.resized(smaller, setup.classes, folder, workers, setup.data)
        setup = dataclasses.replace(setup, config=smaller, data=data)
        setup.prepare()
    epochs = min(MOST, max(1 if continues else FEWEST, int(fitting)))
    planned = f"{epochs} epochs of {pace.epoch(setup.share.steps):.1f} s planned"
    if epochs > fitting:
        print(f"{planned}: they take longer than {config.minutes:g} minutes, but fewer would not train a network")
    else:
        print(f"{planned} for {config.minutes:g} minutes")
    return dataclasses.replace(setup, config=dataclasses.replace(setup.config, epochs=epochs))


def asked(config: Config) -> dict[str, Any]:
    """The settings that a plan replaces, as they were given."""
    return {"epochs": config.epochs, "image_size": config.image_size}


def square(size: int, epochs: float) -> int:
    """The square to try where so many `epochs` fit with one of `size` pixels.

    The largest of `SQUARES` with which `ENOUGH` epochs should fit, as the time of a step goes by the pixels, or the
    smallest; `size` itself where enough epochs fit or no square is smaller.
    """
    smaller = [side for side in SQUARES if side < size]
    if epochs >= ENOUGH or not smaller:
        return size
    return next((side for side in smaller if epochs * (size / side) ** 2 >= ENOUGH), smaller[-1])


def measure(setup: Setup) -> Pace:
    """Train a model, which is then thrown away, for two short epochs like those of the run, and time them."""
    stopwatch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        config = dataclasses.replace(
            setup.config, output_dir=Path(folder), folds=0, fold="all", epochs=2, resume=False, patience=0
        )
        short = dataclasses.replace(setup, config=config, share=dataclasses.replace(setup.share, steps=MEASURED_STEPS))
        fit.fit(short, fit.new_recorder(short), [stopwatch])
    return stopwatch.pace()


def after(setup: Setup, pace: Pace) -> float:
    """Estimated seconds of export and measurement."""
    val = setup.data.split.val
    some = val[:: -(-len(val) // MEASURED_PHOTOS)]
    pairs = [setup.data.squares.pairs[i] for i in (some[0], *some)]
    times = [clock()]
    for pair in pairs:
        labelled.read(pair, setup.classes, setup.config.max_pixels)
        times.append(clock())
    # The first reading also traces the graph that decodes photos.
    return EXPORTS * pace.start + SCORES * len(val) * (times[-1] - times[1]) / len(some)


class Stopwatch(keras.callbacks.Callback):
    """Times two epochs: the first includes the start, the second shows the pace."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = clock()
        self.steps: list[float] = []
        """When each step ended."""
        self.epochs: list[float] = []
        """When each epoch ended."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.steps.append(clock())

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epochs.append(clock())

    def pace(self) -> Pace:
        steps = self.steps[MEASURED_STEPS:]
        # The batches of the first steps were made during validation.
        few = MEASURED_STEPS // 4
        step = (steps[-1] - steps[few]) / (MEASURED_STEPS - 1 - few)
        rest = self.epochs[1] - steps[-1]
        return Pace(step, rest, start=max(0.0, self.epochs[0] - self.begun - MEASURED_STEPS * step - rest))
