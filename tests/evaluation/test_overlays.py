from __future__ import annotations

import numpy as np
import pytest

from eggseg.data.classes import EGGS_AND_PANS, VOID
from eggseg.evaluation import overlays
from eggseg.evaluation.overlays import overlay


def test_overlay_tints_the_classes_and_leaves_the_background():
    image = np.full((7, 9, 3), 100, np.uint8)
    ids = np.zeros((7, 9), np.uint8)
    ids[2:6, 3:8] = 2
    shown = overlay(image, ids, EGGS_AND_PANS, opacity=0.5)
    assert shown.dtype == np.uint8
    assert (shown[0] == 100).all()
    assert (shown[:, 0] == 100).all()
    np.testing.assert_array_equal(shown[4, 5], [93, 140, 166])  # half 100, half the pan's sky blue
    assert (shown[2, 5] != shown[4, 5]).any(), "the outline stands out"


def test_overlay_takes_void():
    shown = overlay(np.full((3, 3, 3), 200, np.uint8), np.full((3, 3), VOID, np.uint8), EGGS_AND_PANS, opacity=0.5)
    assert (shown == 100).all()


def test_overlay_is_the_same_in_bands(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    image, ids = rng.integers(0, 256, (37, 53, 3), np.uint8), rng.integers(0, 3, (37, 53), np.uint8)
    whole = overlay(image, ids, EGGS_AND_PANS)
    for pixels in (1, 53 * 5, 53 * 36):
        monkeypatch.setattr(overlays, "BAND", pixels)
        np.testing.assert_array_equal(overlay(image, ids, EGGS_AND_PANS), whole)
