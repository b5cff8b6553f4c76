"""The Python API: its examples, in the order of a user's work."""

from __future__ import annotations

import doctest
import inspect
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import eggseg
import eggseg.train
from eggseg import api
from eggseg.errors import InputError


def test_the_examples_are_true(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(data_dir, tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    shown = ["audit", "train", "Run", "load", "evaluate", "predict"]
    assert set(shown) == set(eggseg.__all__) - {"__version__"}
    for name in shown:
        variables: dict[str, Any] = {"eggseg": eggseg, "np": np}
        steps = doctest.DocTestParser().get_examples(getattr(api, name).__doc__)
        assert any(step.want for step in steps), name
        # Not doctest's own runner: what the commands print would have to stand in the examples too.
        for step in steps:
            if step.want:
                assert f"{eval(step.source, variables)!r}\n" == step.want, step.source
            else:
                exec(step.source, variables)


def test_a_command_is_a_module_and_a_function() -> None:
    assert eggseg.train.main
    with pytest.raises(InputError, match="nowhere is not there: expected a folder with images/ and masks/"):
        eggseg.train("nowhere", "run")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": -1}, "--epochs is -1, expected at least 1"),
        ({"epochs": "3"}, "--epochs is '3', expected int"),
        ({"audit": "Refuse"}, "--audit is 'Refuse', expected one of refuse, warn"),
        ({"profile": "fast"}, "--profile is 'fast', expected one of quick, default, best"),
        ({"fold": "first"}, "--fold is 'first', expected int or one of all, session"),
        ({"folds": 5}, "--folds trains several runs: expected one of them, as --fold"),
        ({"classes": 3}, "--classes is 3, expected Path or None"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_it(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        eggseg.train("photos", "run", **settings)


def test_an_unknown_setting_is_an_error_that_names_it() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'"):
        eggseg.train("photos", "run", epoch=3)
    with pytest.raises(InputError, match="data_dir is None: expected a folder"):
        eggseg.train(None, "run")
    with pytest.raises(InputError, match="no photos were named"):
        eggseg.predict("run", [], "out")


def test_rows_are_as_the_command_counts_them_whatever_a_photo_is_called(run_dir: Path, tmp_path: Path) -> None:
    names = ["=a.png", "b\u2028c.png"]
    for name in names:
        Image.new("RGB", (31, 47)).save(tmp_path / name)
    rows = eggseg.predict(eggseg.Run(run_dir), [tmp_path / name for name in names], tmp_path / "out")
    assert [row["file"] for row in rows] == names
    assert [row["width"] for row in rows] == [31, 31]


def test_a_function_shows_its_arguments() -> None:
    assert {"Run", "audit", "evaluate", "load", "predict", "train"} <= set(dir(eggseg))
    assert list(inspect.signature(eggseg.train).parameters) == ["data_dir", "output_dir", "settings"]
