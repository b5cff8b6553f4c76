"""On the real photos: the data as it is, and a model's masks at every size that occurs."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers.data_sets import SMALL
from PIL import Image

import eggseg
from eggseg import audit, predict, train
from eggseg.data import pairs
from eggseg.data.classes import EGGS_AND_PANS
from eggseg.data.split import sessions, split
from eggseg.data.squares import Squares, read
from eggseg.pictures.pillow import listed

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def squares(real_dir: Path) -> Squares:
    return read(pairs.find(real_dir / "train"), 64, EGGS_AND_PANS)


@pytest.fixture(scope="module")
def real_run(real_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that saw the real photos for a moment: its masks are poor, and hold every class."""
    folder = tmp_path_factory.mktemp("real") / "run"
    args = ["--data_dir", str(real_dir / "train"), "--output_dir", str(folder), *SMALL, "--image_size", "96"]
    assert train.main([*args, "--epochs", "3", "--learning_rate", "5e-3", "--ema_decay", "0.9"]) == 0
    return folder


def test_every_pair_is_found_and_read(squares: Squares) -> None:
    assert len(squares.photos) == 295
    assert Counter(name for photo in squares.photos for name in photo.classes) == {0: 295, 1: 260, 2: 105}


def test_the_audit_finds_what_is_odd_about_them(real_dir: Path, tmp_path: Path) -> None:
    assert audit.main([str(real_dir / "train"), "--output_dir", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "audit.json").read_text())["findings"]
    (stray,) = (finding for finding in found if "value 170 matches no class" in finding["message"])
    assert stray["files"] == ["image_54.png", "image_66.png", "image_73.png", "image_84.png"]
    twice = [finding["files"] for finding in found if finding["kind"] == "duplicates"]
    assert twice == [["6 (1).JPG", "6 (20).JPG"], ["6 (11).JPG", "6 (21).JPG"]]
    near = [finding for finding in found if finding["kind"] == "near copies"]
    assert len(near[0]["details"]) > 20
    assert "validation photos look like a training photo" in near[1]["message"]


def test_the_camera_sessions_are_told_apart(squares: Squares) -> None:
    assert sorted(Counter(sessions(squares.photos)).values()) == [2, 5, 6, 9, 13, 13, 14, 15, 18, 38, 45, 50, 67]


@pytest.mark.parametrize("method", ["blocks", "session", "random"])
def test_every_split_has_every_class_on_both_sides(squares: Squares, method: str) -> None:
    parts = split(squares.photos, method, 0.2, 0)  # type: ignore[arg-type]
    assert 50 <= len(parts.val) <= 70
    assert sorted(parts.train + parts.val) == list(range(295))
    for side in (parts.train, parts.val):
        assert {c for i in side for c in squares.photos[i].classes} == {0, 1, 2}


def test_command_line_and_signatures_agree_on_every_unlabelled_photo(
    real_dir: Path, real_run: Path, tmp_path: Path
) -> None:
    photos = listed(real_dir / "test" / "images")
    assert predict.main([str(real_dir / "test/images"), "--model", str(real_run), "--output_dir", str(tmp_path)]) == 0
    assert len(list((tmp_path / "masks").iterdir())) == len(photos) == 102
    segment = eggseg.load(real_run)
    serve = segment.signatures["serving_default"]
    for path in photos:
        mask = np.asarray(Image.open(tmp_path / "masks" / f"{path.name}.png"))
        with Image.open(path) as photo:
            assert mask.shape == photo.size[::-1]
        served = serve(image_bytes=tf.constant([path.read_bytes()]))["mask_bytes"][0]
        np.testing.assert_array_equal(tf.io.decode_png(served)[..., 0], mask)
        ids, _ = segment(segment.decode(path.read_bytes()))
        np.testing.assert_array_equal(segment.classes.paint(ids), mask)
