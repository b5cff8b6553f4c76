from __future__ import annotations

import json

import numpy as np
import pytest

from eggseg.data.classes import EGGS_AND_PANS
from eggseg.evaluation import objects


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A pan of 5x4 pixels, an egg of 3x2 and an egg of one pixel, and their probabilities."""
    ids = np.zeros((9, 13), np.uint8)
    ids[3:7, 1:6] = 2
    ids[1:3, 9:12] = 1
    ids[8, 12] = 1
    probabilities = np.full((9, 13, 3), 0.25, np.float32)
    probabilities[..., 2][ids == 2] = 0.75
    probabilities[1:3, 9:12, 1] = [[0.5, 0.6, 0.7], [0.8, 0.9, 1.0]]
    return ids, probabilities


def test_each_object_is_described_the_largest_first():
    pan, egg, speck = objects.find(*scene(), EGGS_AND_PANS)
    assert {key: value for key, value in pan.items() if key != "contour"} == {
        "class": "pan",
        "box": [1, 3, 5, 4],
        "centroid": [3.0, 4.5],
        "area": 20,
        "confidence": 0.75,
    }
    assert (egg["class"], egg["box"], egg["centroid"], egg["area"]) == ("egg", [9, 1, 3, 2], [10.0, 1.5], 6)
    assert egg["confidence"] == pytest.approx(0.75)
    assert (speck["class"], speck["box"], speck["area"], speck["confidence"]) == ("egg", [12, 8, 1, 1], 1, 0.25)


def test_the_contour_runs_through_the_outermost_pixels():
    pan, egg, speck = objects.find(*scene(), EGGS_AND_PANS)
    assert sorted(pan["contour"]) == [[1, 3], [1, 6], [5, 3], [5, 6]]
    assert sorted(egg["contour"]) == [[9, 1], [9, 2], [11, 1], [11, 2]]
    assert speck["contour"] == [[12, 8]]


@pytest.mark.parametrize(("min_area", "areas"), [(1, [20, 6, 1]), (2, [20, 6]), (6, [20, 6]), (7, [20]), (21, [])])
def test_small_objects_are_left_out(min_area, areas):
    assert [item["area"] for item in objects.find(*scene(), EGGS_AND_PANS, min_area)] == areas


def test_pixels_that_touch_at_a_corner_are_one_object():
    ids = np.eye(5, dtype=np.uint8)
    (found,) = objects.find(ids, np.ones((5, 5, 3), np.float32), EGGS_AND_PANS)
    assert (found["area"], found["centroid"]) == (5, [2.0, 2.0])


def test_an_egg_in_a_pan_is_an_object_and_the_pans_outline_goes_around_it():
    ids = np.full((11, 11), 2, np.uint8)
    ids[4:7, 4:7] = 1
    pan, egg = objects.find(ids, np.ones((11, 11, 3), np.float32), EGGS_AND_PANS)
    assert (pan["area"], pan["box"], egg["area"]) == (112, [0, 0, 11, 11], 9)
    assert sorted(pan["contour"]) == [[0, 0], [0, 10], [10, 0], [10, 10]]


def test_another_object_in_the_same_box_lends_no_confidence():
    ids = np.zeros((7, 7), np.uint8)
    ids[0], ids[:, 0] = 1, 1
    ids[4:, 4:] = 1
    probabilities = np.where(np.add.outer(np.arange(7), np.arange(7)) > 6, 0.0, 1.0)[..., None].repeat(3, -1)
    corner, block = objects.find(ids, probabilities.astype(np.float32), EGGS_AND_PANS)
    assert (corner["area"], corner["confidence"]) == (13, 1)
    assert (block["area"], block["confidence"]) == (9, 0)


def test_objects_are_plain_json():
    found = objects.find(*scene(), EGGS_AND_PANS)
    assert json.loads(json.dumps(found)) == found


def test_background_alone_has_no_objects():
    assert objects.find(np.zeros((5, 7), np.uint8), np.ones((5, 7, 3), np.float32), EGGS_AND_PANS) == []
