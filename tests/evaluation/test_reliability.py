from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eggseg.evaluation.reliability import BINS, NONE, Reliability

VOID = 255


def of(truth, ids, highest):
    return Reliability.of_photo(
        np.array([truth], np.uint8), np.array([ids], np.uint8), np.array([highest], np.float32), 3
    )


def rows(reliability):
    return {row["limit"]: (row["kept"], row["wrong"]) for row in reliability.report()["limits"]}


def test_what_is_kept_and_wrong_by_hand():
    found = of([0, 1, 2, 1, VOID], [0, 1, 2, 2, 1], [0.99, 0.85, 0.65, 0.45, 0.99])
    assert rows(found)[0.0] == pytest.approx((1.0, 0.25))
    assert rows(found)[0.5] == pytest.approx((0.75, 0.0))
    assert rows(found)[0.7] == pytest.approx((0.5, 0.0))
    assert found.report()["error"] == pytest.approx((0.01 + 0.15 + 0.35 + 0.45) / 4, abs=1e-6)


def test_each_photo_counts_alike():
    small, large = of([0], [1], [0.9]), of([0] * 9, [0] * 9, [0.9] * 9)
    assert rows(small + large)[0.0] == pytest.approx((1.0, 0.5))
    assert (small + large).report()["error"] == pytest.approx(0.4, abs=1e-6), "9 of 10 sure, half of them right"


def test_a_photo_of_unknown_pixels_counts_as_none():
    nothing = of([VOID], [0], [1.0])
    assert nothing.photos == 0
    assert (nothing + of([0], [0], [1.0])).report()["error"] == 0
    assert NONE.report()["error"] == 0
    assert np.isnan(NONE.report()["limits"][0]["wrong"])


@given(st.integers(0, 2**31))
def test_a_calibrated_model_has_no_error_and_json_keeps_all(seed):
    rng = np.random.default_rng(seed)
    highest = rng.uniform(1 / 3, 1, 40_000).astype(np.float32)
    truth = (rng.uniform(size=40_000) > highest).astype(np.uint8)
    found = of(truth, np.zeros(40_000), highest)
    assert found.report()["error"] < 0.03
    assert len(found.share) == BINS
    again = Reliability.from_json(json.loads(json.dumps(found.to_json())))
    assert again.report()["error"] == pytest.approx(found.report()["error"], abs=1e-6)
