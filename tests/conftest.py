"""What several tests share: small made-up data sets, a small trained run, and where the real photos are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
settings.register_profile("any machine", deadline=None)  # no test fails because a processor is slow
settings.load_profile("any machine")

SIZES = ((96, 64), (64, 96), (77, 51), (120, 90))  # width, height


def draw(folder: Path, count: int, seed: int = 0) -> Path:
    """A data set of `count` photos with one pan and one egg each, PNG and JPEG in turn, of several odd sizes."""
    rng = np.random.default_rng(seed)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for i in range(count):
        width, height = SIZES[i % len(SIZES)]
        ids = np.zeros((height, width), np.uint8)
        y, x = np.mgrid[:height, :width]
        for value, radius in ((255, 0.24), (128, 0.14)):
            cy, cx = rng.uniform(0.25, 0.75, 2) * (height, width)
            ids[(y - cy) ** 2 + (x - cx) ** 2 < (radius * min(height, width)) ** 2] = value
        image = rng.integers(100, 140, (height, width, 3))
        image[ids == 255] = (30, 30, 35)
        image[ids == 128] = (230, 200, 160)
        name = f"photo_{i}.{'png' if i % 2 else 'jpg'}"
        Image.fromarray(image.astype(np.uint8)).save(folder / "images" / name, quality=92)
        Image.fromarray(ids).convert("RGB").save(folder / "masks" / name, quality=92)
    return folder


SMALL = (
    *("--encoder", "plain", "--image_size", "49", "--base_filters", "4", "--depth", "2", "--batch_size", "4"),
    *("--precision", "float32", "--learning_rate", "1.5e-3", "--dice", "0"),
)
"""Settings of a network that trains in seconds."""


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("data"), 16)


@pytest.fixture(scope="session")
def run_dir(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder, trained for a moment."""
    from eggseg import train

    folder = tmp_path_factory.mktemp("run")
    args = ["--data_dir", str(data_dir), "--output_dir", str(folder), *SMALL, "--epochs", "30"]
    assert train.main([*args, "--learning_rate", "1e-2"]) == 0
    return folder


@pytest.fixture(scope="session")
def real_dir() -> Path:
    """The folder of the real photos; tests that ask for it are skipped, aloud, where it is not."""
    folder = Path(os.environ.get("EGGSEG_DATA", "../shared/data/eggs-and-pans"))
    if not (folder / "train" / "images").is_dir():
        pytest.skip(f"NO REAL PHOTOS at {folder}: set EGGSEG_DATA to the folder that holds train/ and test/")
    return folder
