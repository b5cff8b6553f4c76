"""The Python API: its examples, in the order of a user's work."""

from __future__ import annotations

import doctest
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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


def test_a_setting_that_is_none_is_an_error_that_names_it() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'"):
        eggseg.train("photos", "run", epoch=3)
    with pytest.raises(InputError, match="--epochs is 0, expected at least 1"):
        eggseg.train("photos", "run", epochs=0)
