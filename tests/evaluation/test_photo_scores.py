from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eggseg.evaluation import metrics, tables
from eggseg.evaluation.photo_scores import PhotoScores
from eggseg.evaluation.reliability import NONE

CLASSES = ("background", "egg", "pan")


def scores(counts, sessions, false_regions=None):
    n = len(counts)
    names = tuple(f"{i}.png" for i in range(n))
    false_regions = np.zeros((n, 3), np.int64) if false_regions is None else np.array(false_regions)
    return PhotoScores(names, tuple(sessions), np.array(counts), np.full((n, 3), np.nan), false_regions)


def test_pooled_metrics_count_pixels_and_means_count_photos():
    # A large photo without a mistake, and a small one whose egg was taken for background.
    report = scores([[[80, 0, 0], [0, 20, 0], [0, 0, 0]], [[6, 0, 0], [4, 0, 0], [0, 0, 0]]], "ab").report(CLASSES)
    assert report["pooled"]["iou"]["egg"] == pytest.approx(20 / 24)
    assert report["pooled"]["iou"]["background"] == pytest.approx(86 / 90)
    assert np.isnan(report["pooled"]["iou"]["pan"])
    assert report["miou"] == pytest.approx((20 / 24 + 86 / 90) / 2)
    assert report["photo_mean"]["dice"]["egg"] == pytest.approx(0.5)
    assert report["sessions"]["b"]["pooled"]["iou"]["egg"] == 0
    assert report["sessions"]["a"]["photos"] == 1
    assert report["confusion"] == [[86, 0, 0], [4, 20, 0], [0, 0, 0]]


def test_a_speck_of_a_class_that_is_not_there_scores_zero():
    assert scores([[[9, 1, 0], [0, 0, 0], [0, 0, 0]]], "a").report(CLASSES)["photo_mean"]["dice"]["egg"] == 0


def test_false_regions_are_counted_per_photo():
    report = scores(np.ones((4, 3, 3), int), "aaab", [[0, 2, 0], [0, 0, 0], [0, 1, 0], [0, 0, 5]]).report(CLASSES)
    assert report["photo_mean"]["false_regions"] == {"background": 0, "egg": 0.75, "pan": 1.25}
    assert report["sessions"]["a"]["photo_mean"]["false_regions"] == {"background": 0, "egg": 1, "pan": 0}
    low, high = report["photo_mean"]["false_regions_interval"]["egg"]
    assert 0 <= low < 0.75 < high <= 2


@given(st.integers(0, 99), st.integers(2, 12))
def test_intervals_hold_the_value_and_are_the_same_each_time(seed, n):
    counts = np.random.default_rng(seed).integers(1, 100, (n, 3, 3)).tolist()
    first, second = (scores(counts, "a" * n).report(CLASSES) for _ in range(2))
    low, high = first["miou_interval"]
    assert low <= high
    assert first["miou_interval"] == second["miou_interval"]
    assert first["photo_mean"]["dice_interval"] == second["photo_mean"]["dice_interval"]
    low, high = first["photo_mean"]["dice_interval"]["pan"]
    assert low <= first["photo_mean"]["dice"]["pan"] <= high


def test_scores_come_back_from_json():
    before = scores(np.arange(27).reshape(3, 3, 3), "aab", [[0, 1, 0], [0, 0, 0], [0, 0, 7]])
    after = PhotoScores.from_json(json.loads(json.dumps(before.to_json())))
    assert (after.names, after.sessions) == (before.names, before.sessions)
    for field in ("counts", "boundaries", "false_regions"):
        np.testing.assert_array_equal(getattr(after, field), getattr(before, field))
    assert after.report(CLASSES)["miou"] == before.report(CLASSES)["miou"]


@pytest.mark.parametrize(
    ("sessions", "title", "row"), [("aaab", "by camera session", "a "), ("abcd", "by photo", "3.png")]
)
def test_the_table_has_sessions_or_photos(sessions, title, row, capsys):
    report = scores(np.ones((4, 3, 3), int), sessions).report(CLASSES) | {"calibration": NONE.report()}
    tables.show(report, CLASSES)
    shown = capsys.readouterr().out
    assert title in shown
    assert f" {row}" in shown
    assert "…" not in shown, "80 columns are enough for all numbers"


@pytest.mark.parametrize(
    ("truth", "guess", "expected"),
    [
        ([[0, 0, 0, 0]], [[1, 0, 1, 2]], [0, 2, 1]),
        ([[0, 1, 0, 0]], [[1, 0, 1, 2]], [0, 0, 1]),
        ([[0, 255, 255, 0]], [[0, 1, 1, 2]], [0, 0, 1]),
        ([[0, 0], [0, 0]], [[1, 0], [0, 1]], [0, 1, 0]),
        ([[1, 1]], [[0, 1]], [1, 0, 0]),
        ([[255, 255]], [[1, 2]], [0, 0, 0]),
    ],
)
def test_false_regions_by_hand(truth, guess, expected):
    found = metrics.false_regions(np.array(truth, np.uint8), np.array(guess, np.uint8), 3)
    assert found.tolist() == expected
