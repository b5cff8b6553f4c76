"""How often a model is right where it is sure: reliability diagram, calibration error, error of what is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

BINS = 100
"""Number of bins of equal width, by the probability of the predicted class."""

BAND = 1 << 18
"""Number of pixels that are counted at a time: each takes tens of bytes of temporary memory."""

LIMITS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
"""Probabilities for which a report says what is left, and how much of it is wrong, if all pixels below are left out."""


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Sums over photos, each of which counts alike; the arrays are (BINS,) float64, as shares of a photo's pixels."""

    photos: int
    share: np.ndarray
    """Pixels in each bin."""
    right: np.ndarray
    """Pixels in each bin whose predicted class is right."""
    confidence: np.ndarray
    """Sum of the probabilities in each bin."""

    @classmethod
    def of_photo(cls, truth: np.ndarray, ids: np.ndarray, highest: np.ndarray, classes: int) -> Reliability:
        """The reliability of class ids (h, w) uint8 with probabilities `highest` (h, w) float32, for one photo.

        Pixels that are VOID in `truth` do not count; a photo without other pixels counts as no photo.
        """
        sums = np.zeros((3, BINS))
        rows = max(1, BAND // truth.shape[1])
        for top in range(0, len(truth), rows):
            band = np.s_[top : top + rows]
            known = truth[band] < classes
            sure, right = highest[band][known], (truth[band] == ids[band])[known]
            bins = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
            sums += [np.bincount(bins, weights, BINS) for weights in (None, right, sure)]
        pixels = sums[0].sum()
        return cls(int(pixels > 0), *(sums / max(1, pixels)))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Reliability:
        arrays = (np.array(value[name], np.float64) for name in ("share", "right", "confidence"))
        return cls(int(value["photos"]), *arrays)

    def to_json(self) -> dict[str, Any]:
        return {
            "photos": self.photos,
            **{name: np.round(getattr(self, name), 9).tolist() for name in ("share", "right", "confidence")},
        }

    def __add__(self, other: Reliability) -> Reliability:
        return Reliability(
            self.photos + other.photos,
            self.share + other.share,
            self.right + other.right,
            self.confidence + other.confidence,
        )

    def report(self) -> dict[str, Any]:
        """`error`, the expected calibration error (Guo et al. 2017, arXiv 1706.04599), and a row for each of `LIMITS`.

        `kept` is the share of pixels whose probability is at least `limit`, `wrong` the share of these with a wrong
        class, NaN if there are none.
        """
        total = max(self.share.sum(), np.finfo(float).tiny)
        rows = []
        for limit in LIMITS:
            first = round(limit * BINS)
            kept, right = self.share[first:].sum(), self.right[first:].sum()
            rows.append({"limit": limit, "kept": kept / total, "wrong": 1 - right / kept if kept else np.nan})
        return {"error": float(np.abs(self.right - self.confidence).sum() / total), "limits": rows}


NONE = Reliability(0, np.zeros(BINS), np.zeros(BINS), np.zeros(BINS))
"""The reliability of no photos: the start of a sum."""
