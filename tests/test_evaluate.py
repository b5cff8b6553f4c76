"""Evaluation: the figures of known masks, and the files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eggseg import evaluate
from eggseg.classes import EGGS_AND_PANS
from eggseg.pairs import Pair
from eggseg.scoring import Scores, report


def scores(counts: list[list[list[int]]], sessions: tuple[str, ...]) -> Scores:
    n = len(counts)
    pairs = tuple(Pair(f"{i}.png", Path(), Path()) for i in range(n))
    return Scores(pairs, sessions, np.array(counts), np.full((n, 3), np.nan), segmenter=None)  # type: ignore[arg-type]


def test_pooled_figures_count_pixels_and_means_count_photos() -> None:
    # One large photo without a mistake, one small one whose egg was missed, by background and all.
    figures = report(scores([[[80, 0, 0], [0, 20, 0], [0, 0, 0]], [[6, 0, 0], [4, 0, 0], [0, 0, 0]]], ("a", "b")),
                     EGGS_AND_PANS)  # fmt: skip
    assert figures["pooled"]["iou"]["egg"] == pytest.approx(20 / 24)
    assert figures["pooled"]["iou"]["background"] == pytest.approx(86 / 90)
    assert np.isnan(figures["pooled"]["iou"]["pan"])
    assert figures["miou"] == pytest.approx((20 / 24 + 86 / 90) / 2)
    assert figures["photo_mean"]["dice"]["egg"] == pytest.approx(0.5)
    assert figures["sessions"]["b"]["iou"]["egg"] == 0
    assert figures["confusion"] == [[86, 0, 0], [4, 20, 0], [0, 0, 0]]


def test_a_speck_of_a_class_that_is_not_there_scores_zero() -> None:
    figures = report(scores([[[9, 1, 0], [0, 0, 0], [0, 0, 0]]], ("a",)), EGGS_AND_PANS)
    assert figures["photo_mean"]["dice"]["egg"] == 0


def test_intervals_hold_the_mean_and_are_the_same_each_time() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 100, (12, 3, 3)).tolist()
    figures = [report(scores(counts, ("a",) * 12), EGGS_AND_PANS) for _ in range(2)]
    low, high = figures[0]["miou_interval"]
    assert low < figures[0]["miou"] < high
    assert figures[0]["miou_interval"] == figures[1]["miou_interval"]
    assert figures[0]["photo_mean"]["dice_interval"] == figures[1]["photo_mean"]["dice_interval"]


def test_evaluate_writes_figures_and_pictures(
    run_dir: Path, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["--model", str(run_dir), "--data_dir", str(data_dir), "--output_dir", str(tmp_path)]
    assert evaluate.main(args) == 0
    figures = json.loads((tmp_path / "metrics.json").read_text())
    assert figures["photos"] == 16
    assert f"miou={figures['miou']:.4f}" in capsys.readouterr().out
    for name in ("confusion.png", "worst.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 300


def test_the_validation_photos_give_the_figure_of_the_run(run_dir: Path, data_dir: Path, tmp_path: Path) -> None:
    args = ["--model", str(run_dir), "--data_dir", str(data_dir), "--output_dir", str(tmp_path), "--split", "val"]
    assert evaluate.main(args) == 0
    figures = [json.loads((folder / "metrics.json").read_text()) for folder in (tmp_path, run_dir)]
    assert figures[0]["miou"] == figures[1]["miou"]
    assert figures[0]["photos"] == len(json.loads((run_dir / "config.json").read_text())["split"]["val"])


def test_a_model_without_its_run_has_no_split(
    run_dir: Path, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run_dir / "saved_model", tmp_path / "saved_model")
    assert evaluate.main(["--model", str(tmp_path), "--data_dir", str(data_dir), "--split", "val"]) == 2
    assert "is no run folder: --split val needs its config.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: (data / "images/photo_0.jpg").write_text("x"), "images/photo_0.jpg is no picture"),
        (lambda data: Image.new("L", (5, 7)).save(data / "masks/photo_1.png"), "masks/photo_1.png is 5x7, its photo "),
    ],
)
def test_bad_data_is_one_clear_error(
    run_dir: Path, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: object, message: str
) -> None:
    mine = shutil.copytree(data_dir, tmp_path / "data")
    spoil(mine)  # type: ignore[operator]
    args = ["--model", str(run_dir), "--data_dir", str(mine), "--output_dir", str(tmp_path / "out")]
    assert evaluate.main(args) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
