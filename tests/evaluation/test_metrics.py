from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from eggseg.data.classes import VOID
from eggseg.evaluation import metrics

TRUTH = np.array([[0, 0, 0, 1], [0, 2, 2, 1], [VOID, 2, VOID, 1]], np.uint8)
GUESS = np.array([[0, 0, 1, 1], [0, 2, 0, 1], [2, 2, 1, 0]], np.uint8)
COUNTS = np.array([[3, 1, 0], [1, 2, 0], [1, 0, 2]])
NAN = np.nan


def ids(classes: int):
    return hnp.arrays(np.uint8, (5, 7), elements=st.sampled_from([*range(classes), VOID]))


def test_confusion_counts_truth_in_rows_without_void():
    counts = metrics.confusion(TRUTH, GUESS, 3)
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, COUNTS)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (metrics.iou, [3 / 6, 2 / 4, 2 / 3]),
        (metrics.dice, [6 / 9, 4 / 6, 4 / 5]),
        (metrics.precision, [3 / 5, 2 / 3, 1]),
        (metrics.recall, [3 / 4, 2 / 3, 2 / 3]),
    ],
)
def test_scores_by_hand(score, expected):
    np.testing.assert_allclose(score(COUNTS), expected, rtol=1e-12)
    np.testing.assert_allclose(score(np.stack([COUNTS, COUNTS])), [expected, expected], rtol=1e-12)


def test_another_shape_is_an_error_that_names_both():
    with pytest.raises(ValueError, match=r"truth is \(3, 4\), prediction is \(4, 3\)"):
        metrics.confusion(TRUTH, GUESS.T, 3)


def test_an_absent_class_has_no_score():
    counts = np.array([[5, 0, 0], [0, 0, 0], [0, 0, 4]])
    for score in (metrics.iou, metrics.dice, metrics.precision, metrics.recall):
        np.testing.assert_array_equal(score(counts), [1, NAN, 1])


def test_a_speck_of_an_absent_class_scores_nothing():
    truth = np.zeros((37, 91), np.uint8)
    guess = truth.copy()
    guess[5, 5] = 1
    counts = metrics.confusion(truth, guess, 3)
    np.testing.assert_array_equal(metrics.iou(counts), [(37 * 91 - 1) / (37 * 91), 0, NAN])
    assert metrics.dice(counts)[1] == 0
    assert metrics.precision(counts)[1] == 0
    assert np.isnan(metrics.recall(counts)[1])


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.5, NAN, 1.0], 0.75), ([NAN, NAN], NAN), ([[0.0, 1.0], [NAN, 0.25]], [0.5, 0.25])],
)
def test_the_mean_leaves_absent_classes_out(scores, expected):
    np.testing.assert_array_equal(metrics.mean(np.array(scores)), expected)


@settings(max_examples=80)
@given(ids(3), ids(3))
def test_dice_and_iou_are_one_measure(truth, guess):
    counts = metrics.confusion(truth, np.where(guess == VOID, 0, guess).astype(np.uint8), 3)
    assert counts.sum() == (truth != VOID).sum()
    iou, dice = metrics.iou(counts), metrics.dice(counts)
    np.testing.assert_allclose(dice, 2 * iou / (1 + iou), rtol=1e-12)
    assert np.nanmax(np.append(iou, 0)) <= 1


@settings(max_examples=80)
@given(ids(3), st.integers(0, 2))
def test_what_is_predicted_on_void_does_not_matter(truth, there):
    guess = np.where(truth == VOID, there, 1).astype(np.uint8)
    reference = np.ones_like(truth)
    np.testing.assert_array_equal(metrics.confusion(truth, guess, 3), metrics.confusion(truth, reference, 3))
    np.testing.assert_array_equal(metrics.boundary_f1(truth, guess, 3), metrics.boundary_f1(truth, reference, 3))


def disc(row: int = 40, column: int = 60, radius: int = 15) -> np.ndarray:
    y, x = np.mgrid[:101, :133]
    return ((y - row) ** 2 + (x - column) ** 2 <= radius**2).astype(np.uint8)


@pytest.mark.parametrize(
    ("guess", "egg"),
    [
        (disc(), 1),
        (disc(41), 1),
        (disc(40, 61), 1),
        (disc(85, 115, 5), 0),
        (np.zeros((101, 133), np.uint8), 0),
    ],
    ids=["identical", "a pixel down", "a pixel right", "far apart", "missed"],
)
def test_boundary_f1_of_an_egg(guess, egg):
    scores = metrics.boundary_f1(disc(), guess, 3)  # the tolerance is 1.25 pixels
    assert scores[1] == egg
    assert np.isnan(scores[2])


def test_boundary_f1_falls_beyond_the_tolerance():
    near, far = (metrics.boundary_f1(disc(), disc(40, 60 + shift), 2)[1] for shift in (2, 4))
    assert 0 < far < near < 1
    assert metrics.boundary_f1(disc(), disc(40, 64), 2, tolerance=0.03)[1] == 1


def test_boundary_f1_by_hand():
    truth, guess = np.zeros((9, 9), np.uint8), np.zeros((9, 9), np.uint8)
    truth[:, 2] = 1  # a line of 9 pixels
    guess[:3, 2] = 1  # a third of it, and 3 pixels elsewhere
    guess[6:, 7] = 1
    precision, recall = 3 / 6, 4 / 9  # the fourth true pixel is one away from a predicted one
    expected = 2 * precision * recall / (precision + recall)
    assert metrics.boundary_f1(truth, guess, 2)[1] == pytest.approx(expected)


def test_a_class_that_fills_the_picture_has_no_boundary_and_still_a_score():
    everything = np.ones((9, 11), np.uint8)
    np.testing.assert_array_equal(metrics.boundary_f1(everything, everything, 3), [NAN, 1, NAN])
    np.testing.assert_array_equal(metrics.boundary_f1(everything, everything * 2, 3), [NAN, 0, 0])
