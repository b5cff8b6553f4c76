"""Shared fixtures: a small made-up data set, a small trained run, and the folder of the real photos."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers.data_sets import SMALL, draw
from hypothesis import settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
settings.register_profile("any machine", deadline=None)  # a slow processor fails no test
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("data"), 16)


@pytest.fixture(scope="session")
def run_dir(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of a network trained for seconds."""
    from eggseg import train

    folder = tmp_path_factory.mktemp("run")
    args = ["--data_dir", str(data_dir), "--output_dir", str(folder), *SMALL, "--epochs", "30"]
    assert train.main([*args, "--learning_rate", "1e-2"]) == 0
    return folder


@pytest.fixture(scope="session")
def real_dir() -> Path:
    """The folder of the real photos; without it, tests that need it are skipped with a message."""
    folder = Path(os.environ.get("EGGSEG_DATA", "../shared/data/eggs-and-pans"))
    if not (folder / "train" / "images").is_dir():
        pytest.skip(f"NO REAL PHOTOS at {folder}: set EGGSEG_DATA to the folder that holds train/ and test/")
    return folder
