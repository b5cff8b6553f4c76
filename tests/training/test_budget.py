"""Plans of a run with a time budget. The clock is a fake one: each look at it takes a second."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from helpers.data_sets import SMALL
from hypothesis import given
from hypothesis import strategies as st

from eggseg import train
from eggseg.data import labelled
from eggseg.devices.distribution import Workers
from eggseg.training import budget, fit, run_data
from eggseg.training.budget import Pace
from eggseg.training.config import Config
from eggseg.training.fit import Setup
from eggseg.training.tasks import Supervised


@pytest.mark.parametrize(
    ("size", "epochs", "tried"),
    [
        (400, 15.0, 400),
        (400, 14.9, 384),
        (384, 14.9, 320),
        (384, 7.0, 256),
        (384, 5.2, 224),
        (384, 0.0, 128),
        (384, -3.0, 128),
        (512, 9.0, 384),
        (128, 2.0, 128),
        (96, 2.0, 96),
    ],
)
def test_the_square_shrinks_until_fifteen_epochs_should_fit(size: int, epochs: float, tried: int) -> None:
    assert budget.square(size, epochs) == tried


@given(st.integers(16, 1000), st.floats(-10, 1000))
def test_a_square_never_grows_and_stays_where_enough_epochs_fit(size: int, epochs: float) -> None:
    tried = budget.square(size, epochs)
    assert tried == size or tried in budget.SQUARES
    assert tried <= size
    assert tried == size or epochs < budget.ENOUGH


def test_the_pace_is_that_of_the_second_epoch_without_its_first_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    first = [9.0 + step for step in range(8)]  # after 8 s of building and tracing
    second = [19.1, 19.2, 19.3, 20.3, 21.3, 22.3, 23.3, 24.3]
    times = iter([0.0, *first, 19.0, *second, 27.0])
    monkeypatch.setattr(budget, "clock", lambda: next(times))
    stopwatch = budget.Stopwatch()
    for epoch in range(2):
        for step in range(8):
            stopwatch.on_train_batch_end(step)
        stopwatch.on_epoch_end(epoch)
    pace = stopwatch.pace()
    assert (pace.step, pace.rest) == (pytest.approx(1.0), pytest.approx(2.7))
    assert pace.start == pytest.approx(19.0 - 8.0 - 2.7)
    assert pace.epoch(10) == pytest.approx(12.7)


def test_the_first_reading_which_traces_a_graph_is_not_the_pace_of_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([9.0, *[0.5] * 5])
    now = 0.0

    def read(*_: object) -> None:
        nonlocal now
        now += next(seconds)

    monkeypatch.setattr(budget, "clock", lambda: now)
    monkeypatch.setattr(labelled, "read", read)
    data = SimpleNamespace(squares=SimpleNamespace(pairs=[None] * 7), split=SimpleNamespace(val=(0, 2, 4, 5, 6)))
    setup = Setup(Config(), None, data, (), None, None, Supervised())
    expected = budget.EXPORTS * 10 + budget.SCORES * 5 * 0.5
    assert budget.after(setup, Pace(1.0, 1.0, start=10.0)) == pytest.approx(expected)


class Planner:
    """Plans for a machine on which a step of 100 pixels takes `step` seconds; `tried` are the squares it measured."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, step: float) -> None:
        self.tried: list[int] = []
        self.now = 0.0

        def measure(setup: Setup) -> Pace:
            size = setup.config.image_size
            self.tried.append(size)
            self.now += 10
            return Pace(step * (size / 100) ** 2, 1.0, 0.0)

        monkeypatch.setattr(budget, "clock", lambda: self.now)
        monkeypatch.setattr(budget, "measure", measure)
        monkeypatch.setattr(budget, "after", lambda *_: 20.0)
        monkeypatch.setattr(run_data, "resized", lambda config, *_: SimpleNamespace(squares=None, split=None))
        monkeypatch.setattr(Setup, "prepare", lambda self: None)

    def plan(self, **settings: float) -> Config:
        workers = Workers(tf.distribute.get_strategy())
        setup = Setup(Config(**settings), None, None, (), SimpleNamespace(steps=10), workers, Supervised())
        return budget.plan(setup, Path("run"), begun=0.0).config


def test_as_many_epochs_are_planned_as_fit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    planner = Planner(monkeypatch, step=0.1)
    config = planner.plan(minutes=10, image_size=200)
    # 97 % of 600 s, less 10 s of measuring and 20 s of export: 552 s, at 10 * 0.4 + 1 s an epoch.
    assert (config.epochs, config.image_size, planner.tried) == (110, 200, [200])
    assert capsys.readouterr().out == "110 epochs of 5.0 s planned for 10 minutes\n"


def test_a_slow_machine_trains_on_smaller_squares(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    planner = Planner(monkeypatch, step=0.5)
    config = planner.plan(minutes=10, image_size=400)
    # 552 s at 81 s an epoch are 6.8 epochs; 542 s at 33.8 s for 256 pixels are 16.
    assert (config.epochs, config.image_size, planner.tried) == (16, 256, [400, 256])
    assert capsys.readouterr().out.splitlines() == [
        "in 10 minutes, 6 epochs of 400 pixels would fit: trying 256 pixels",
        "16 epochs of 33.8 s planned for 10 minutes",
    ]


def test_a_machine_that_is_too_slow_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    planner = Planner(monkeypatch, step=20.0)
    config = planner.plan(minutes=5)
    assert (config.epochs, config.image_size, planner.tried) == (5, 128, [400, 128])
    assert capsys.readouterr().out.splitlines()[-1] == (
        "5 epochs of 328.7 s planned: they take longer than 5 minutes, but fewer would not train a network"
    )


def test_a_run_that_continues_another_keeps_its_square(monkeypatch: pytest.MonkeyPatch) -> None:
    planner = Planner(monkeypatch, step=0.5)
    config = planner.plan(minutes=10, image_size=400, init=Path("before"))
    assert (config.epochs, config.image_size, planner.tried) == (6, 400, [400])
    assert planner.plan(minutes=1, image_size=400, init=Path("before")).epochs == 1


def test_a_fast_machine_stops_at_three_hundred_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Planner(monkeypatch, step=1e-4).plan(minutes=600).epochs == 300


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(budget, "clock", lambda: float(next(ticks)))
    monkeypatch.setattr(budget, "after", lambda *_: 0.0)
    monkeypatch.setattr(budget, "FEWEST", 1)
    monkeypatch.setattr(budget, "ENOUGH", 1)


@pytest.mark.usefixtures("seconds")
def test_a_planned_run_equals_one_of_as_many_epochs_and_resumes_with_its_plan(data_dir: Path, tmp_path: Path) -> None:
    args = ["--data_dir", str(data_dir), *SMALL, "--split", "random"]
    planned, plain = tmp_path / "planned", tmp_path / "plain"
    assert train.main([*args, "--minutes", "0.6", "--output_dir", str(planned)]) == 0
    record = json.loads((planned / "config.json").read_text())
    # 97 % of 36 s, less the 20 looks that the measuring takes, at a second a step and a second for the rest.
    assert record["settings"]["epochs"] == 3
    assert record["asked"] == {"epochs": 0, "image_size": 49}
    assert train.main([*args, "--epochs", "3", "--output_dir", str(plain)]) == 0
    with np.load(planned / "checkpoint.npz") as one, np.load(plain / "checkpoint.npz") as other:
        assert [name for name in one if name != "record" and not np.array_equal(one[name], other[name])] == []

    before = (planned / "history.csv").read_text()
    assert train.main([*args, "--minutes", "0.6", "--resume", "--output_dir", str(planned)]) == 0
    resumed = json.loads((planned / "config.json").read_text())
    assert resumed.pop("settings") | {"resume": False} == record.pop("settings")
    assert resumed == record
    assert (planned / "history.csv").read_text() == before


@pytest.mark.usefixtures("seconds")
def test_another_budget_is_another_run(data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["--data_dir", str(data_dir), *SMALL, "--split", "random", "--output_dir", str(tmp_path / "run")]
    assert train.main([*args, "--minutes", "0.3"]) == 0
    capsys.readouterr()
    assert train.main([*args, "--minutes", "0.5", "--resume"]) == 2
    assert "--minutes was 0.3, is 0.5" in capsys.readouterr().err


def test_the_measured_model_is_thrown_away(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes nothing where the run writes, and trains the number of steps that it should."""
    seen: list[tuple[Path, int, int]] = []
    original = fit.fit

    def spy(setup: Setup, *args: object) -> None:
        seen.append((setup.config.run_dir, setup.share.steps, setup.config.epochs))
        original(setup, *args)

    monkeypatch.setattr(fit, "fit", spy)
    monkeypatch.setattr(budget, "after", lambda *_: 1e9)
    monkeypatch.setattr(budget, "FEWEST", 2)
    args = ["--data_dir", str(data_dir), *SMALL, "--split", "random", "--output_dir", str(tmp_path / "run")]
    assert train.main([*args, "--minutes", "1"]) == 0
    (trial, *eight), (run, _, epochs) = seen
    assert (eight, epochs) == ([8, 2], 2)
    assert trial != run == tmp_path / "run"
    assert not trial.exists()
