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

from eggseg.training import fit, run_data
from eggseg.training.config import Config
from eggseg.training.fit import Setup

FEWEST, ENOUGH, MOST = 5, 15, 300
"""Epochs: the fewest of any plan, those below which the square shrinks, and the most of any plan."""

SQUARES = (384, 320, 256, 224, 192, 160, 128)
"""Sides to which the square shrinks, pixels."""

MARGIN = 0.97
"""Share of the budget that is planned: a run that has begun does not change its number of epochs."""

MEASURED_STEPS = 8

clock = time.perf_counter


@dataclasses.dataclass(frozen=True)
class Pace:
    """Measured times of a run, in seconds."""

    step: float
    """A training step, with its share of the data pipeline and of the averaging."""
    rest: float
    """What an epoch takes beside its steps: validation, checkpoint and logs."""

    def epoch(self, steps: int) -> float:
        return steps * self.step + self.rest


def plan(setup: Setup, folder: Path, begun: float) -> Setup:
    """Set the epochs, and if need be a smaller square, with which a run that began at `begun` keeps its --minutes.

    Reads the photos again for a smaller square, into `folder` if they do not fit into memory.
    """
    config, workers = setup.config, setup.workers
    while True:
        pace = measure(setup)
        left = 60 * config.minutes * MARGIN - (clock() - begun) - after(setup)
        fitting = workers.told_by(0, left / pace.epoch(setup.share.steps))
        size = square(setup.config.image_size, fitting)
        if size == setup.config.image_size:
            break
        few = f"{max(0, int(fitting))} epochs of {setup.config.image_size} pixels"
        print(f"in {config.minutes:g} minutes, {few} would fit: trying {size} pixels")
        smaller = dataclasses.replace(config, image_size=size)
        data = run_data.resized(smaller, setup.classes, folder, workers, setup.data)
        setup = dataclasses.replace(setup, config=smaller, data=data)
        setup.prepare()
    epochs = min(MOST, max(FEWEST, int(fitting)))
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
    """Train a model, which is then thrown away, for two short epochs like those of the run, and time the second."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        config = dataclasses.replace(
            setup.config, output_dir=Path(folder), folds=0, fold="all", epochs=1, resume=False, patience=0
        )
        share = dataclasses.replace(setup.share, steps=2)
        # A run of one step in all: nothing is left for later, such as the photos without masks of some tasks.
        recorder = fit.new_recorder(
            dataclasses.replace(setup, config=config, share=dataclasses.replace(share, steps=1))
        )
        fit.fit(dataclasses.replace(setup, config=config, share=share), recorder)
        stopwatch = Stopwatch()
        config = dataclasses.replace(config, epochs=2)
        share = dataclasses.replace(share, steps=MEASURED_STEPS)
        fit.fit(dataclasses.replace(setup, config=config, share=share), recorder, [stopwatch])
    return stopwatch.pace()


def after(setup: Setup) -> float:
    """Estimated seconds of export and measurement."""
    return 30.0 + 0.5 * len(setup.data.split.val)


class Stopwatch(keras.callbacks.Callback):
    """Times the steps of one epoch, and what it takes beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0.0
        self.ended = 0.0
        self.steps: list[float] = []
        """When each step ended."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.begun = clock()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.steps.append(clock())

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.ended = clock()

    def pace(self) -> Pace:
        # The first steps take batches that were made before.
        few = len(self.steps) // 4
        step = (self.steps[-1] - self.steps[few]) / (len(self.steps) - 1 - few)
        return Pace(step, self.ended - self.steps[-1])
