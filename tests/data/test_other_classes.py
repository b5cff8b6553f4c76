"""The whole chain with a class table that is not eggs and pans: four classes, told apart by colour."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers.data_sets import SMALL
from PIL import Image

import eggseg
from eggseg import audit, evaluate, predict, train
from eggseg.data.classes import ClassTable

TABLE = [
    {"name": "table", "value": [0, 0, 0]},
    {"name": "onion", "value": [200, 0, 200], "color": [1, 2, 3]},
    {"name": "pot", "value": [0, 128, 0]},
    {"name": "spoon", "value": [255, 255, 0]},
]
SHOWN = [(90, 90, 90), (240, 240, 255), (40, 10, 10), (10, 60, 200)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that saw a few photos with a square of each class; odd masks are JPEG, even ones palette PNG."""
    folder = tmp_path_factory.mktemp("four")
    for kind in ("images", "masks"):
        (folder / "data" / kind).mkdir(parents=True)
    (folder / "classes.json").write_text(json.dumps(TABLE))
    classes = ClassTable.read(folder / "classes.json")
    rng = np.random.default_rng(0)
    for i in range(16):
        ids = np.zeros((60, 80), np.uint8)
        for c, column in zip((1, 2, 3), rng.permutation(3), strict=True):
            top, left = rng.integers(2, 38), 2 + 26 * column
            ids[top : top + 20, left : left + 22] = c
        photo = np.array(SHOWN)[ids] + rng.integers(-9, 10, (60, 80, 3))
        Image.fromarray(np.clip(photo, 0, 255).astype(np.uint8)).save(folder / "data/images" / f"{i}.jpg", quality=95)
        mask = Image.fromarray(classes.paint(ids))
        if i % 2:
            mask.save(folder / "data/masks" / f"{i}.jpg", quality=98, subsampling=0)
        else:
            mask.quantize(4).save(folder / "data/masks" / f"{i}.png")
    args = ["--data_dir", str(folder / "data"), "--output_dir", str(folder / "run"), *SMALL, "--epochs", "25"]
    assert train.main([*args, "--classes", str(folder / "classes.json"), "--learning_rate", "1e-2"]) == 0
    return folder


def test_the_audit_knows_the_table(folder: Path) -> None:
    args = [str(folder / "data"), "--output_dir", str(folder / "audit")]
    assert audit.main([*args, "--classes", str(folder / "classes.json")]) == 0
    report = json.loads((folder / "audit/audit.json").read_text())
    assert all(row["share"]["spoon"] > 0.05 for row in report["sessions"].values())
    assert audit.main(args) == 1, "none of its colours is egg or pan"


def test_training_learns_the_classes_of_the_table(folder: Path) -> None:
    metrics = json.loads((folder / "run/metrics.json").read_text())
    assert list(metrics["pooled"]["iou"]) == ["table", "onion", "pot", "spoon"]
    assert metrics["miou"] > 0.6
    assert len(metrics["confusion"]) == 4


def test_predicted_and_served_masks_have_the_colours_of_the_table(folder: Path) -> None:
    photos, out = folder / "data/images", folder / "out"
    args = [str(photos), "--model", str(folder / "run"), "--output_dir", str(out), "--objects", "--overlay"]
    assert predict.main(args) == 0
    segment = eggseg.load(folder / "run")
    assert segment.classes.names == ("table", "onion", "pot", "spoon")
    data = (photos / "3.jpg").read_bytes()
    served = segment.signatures["serving_default"](image_bytes=tf.constant([data]))["mask_bytes"][0].numpy()
    mask = tf.io.decode_png(served).numpy()
    np.testing.assert_array_equal(mask, np.asarray(Image.open(out / "masks/3.jpg.png")))
    colors, counts = np.unique(mask.reshape(-1, 3), axis=0, return_counts=True)
    assert {tuple(color) for color in colors.tolist()} == {tuple(row["value"]) for row in TABLE}
    assert counts.min() > 50
    objects = json.loads((out / "objects/3.jpg.json").read_text())
    assert {item["class"] for item in objects} <= {"onion", "pot", "spoon"}


def test_what_was_predicted_is_measured_as_labels(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The masks of a model, taken for labels, agree with the model."""
    labels = folder / "own"
    (labels / "masks").mkdir(parents=True)
    (labels / "images").mkdir()
    for path in (folder / "data/images").iterdir():
        (labels / "images" / path.name).write_bytes(path.read_bytes())
    args = [str(labels / "images"), "--model", str(folder / "run"), "--output_dir", str(labels), "--overwrite"]
    assert predict.main(args) == 0
    assert evaluate.main(["--model", str(folder / "run"), "--data_dir", str(labels)]) == 0
    assert "miou=1.0000" in capsys.readouterr().out


def test_a_run_is_not_resumed_with_another_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "classes.json"
    before = path.read_text()
    path.write_text(before.replace("onion", "leek"))
    args = ["--data_dir", str(folder / "data"), "--output_dir", str(folder / "run"), *SMALL, "--epochs", "25"]
    try:
        assert train.main([*args, "--classes", str(path), "--learning_rate", "1e-2", "--resume"]) == 2
    finally:
        path.write_text(before)
    assert "other classes" in capsys.readouterr().err
