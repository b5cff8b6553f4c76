"""Scores of single photos, and the metrics that follow from them: pooled, averaged over photos, by session."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from eggseg.evaluation import metrics

RESAMPLES = 1000
"""Number of bootstrap samples for each confidence interval."""


@dataclasses.dataclass(frozen=True)
class PhotoScores:
    """Scores of n photos, measured at each photo's original size."""

    names: tuple[str, ...]
    sessions: tuple[str, ...]
    counts: np.ndarray
    """(n, classes, classes) int64 confusion matrix of each photo, truth in rows."""
    boundaries: np.ndarray
    """(n, classes) float64 boundary F1 of each photo."""
    false_regions: np.ndarray
    """(n, classes) int64 number of predicted regions of classes that the photo's truth lacks."""

    @classmethod
    def from_json(cls, photos: Mapping[str, Mapping[str, Any]]) -> PhotoScores:
        """Read what `to_json` wrote, from one or several dictionaries merged into one."""
        rows = photos.values()
        return cls(
            tuple(photos),
            tuple(row["session"] for row in rows),
            np.array([row["confusion"] for row in rows], np.int64),
            np.array([row["boundary_f1"] for row in rows], np.float64),  # null becomes NaN
            np.array([row["false_regions"] for row in rows], np.int64),
        )

    def to_json(self) -> dict[str, dict[str, Any]]:
        """The scores of each photo, by its name."""
        values = (self.sessions, self.counts.tolist(), self.boundaries.tolist(), self.false_regions.tolist())
        keys = ("session", "confusion", "boundary_f1", "false_regions")
        return {name: dict(zip(keys, row, strict=True)) for name, *row in zip(self.names, *values, strict=True)}

    def report(self, classes: Sequence[str]) -> dict[str, Any]:
        """All metrics as JSON values; `classes` are the names of the classes.

        `pooled` is over all pixels, `photo_mean` over the photos, and `sessions` has the same for each camera session.
        Intervals are [low, high] of the middle 95 % of bootstrap samples of photos.
        """
        names = np.array(self.sessions)
        return (
            self._summary(classes)
            | {
                "sessions": {
                    name: self._chosen(names == name)._summary(classes) for name in sorted(set(names.tolist()))
                }
            }
            | {"confusion": self.counts.sum(0).tolist(), "by_photo": self.to_json()}
        )

    def _chosen(self, chosen: np.ndarray) -> PhotoScores:
        return PhotoScores(
            tuple(np.array(self.names)[chosen].tolist()),
            tuple(np.array(self.sessions)[chosen].tolist()),
            self.counts[chosen],
            self.boundaries[chosen],
            self.false_regions[chosen],
        )

    def _summary(self, classes: Sequence[str]) -> dict[str, Any]:
        def per_class(values: Sequence[Any]) -> dict[str, Any]:
            return dict(zip(classes, values, strict=True))

        def mean(values: np.ndarray) -> dict[str, float]:
            return per_class(metrics.mean(values.T).tolist())

        def mean_interval(values: np.ndarray) -> dict[str, list[float]]:
            return per_class([_interval(metrics.mean(values[draws, i])) for i in range(len(classes))])

        draws = _draws(len(self.counts))
        pooled = self.counts.sum(0)
        resampled = metrics.iou(np.array([self.counts[draw].sum(0) for draw in draws]))
        figures: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            "iou": metrics.iou,
            "dice": metrics.dice,
            "precision": metrics.precision,
            "recall": metrics.recall,
        }
        dice, false_regions = metrics.dice(self.counts), self.false_regions.astype(np.float64)
        return {
            "photos": len(self.counts),
            "miou": float(metrics.mean(metrics.iou(pooled))),
            "miou_interval": _interval(metrics.mean(resampled)),
            "pooled": {name: per_class(figure(pooled).tolist()) for name, figure in figures.items()}
            | {"iou_interval": per_class([_interval(resampled[:, i]) for i in range(len(classes))])},
            "photo_mean": {
                "dice": mean(dice),
                "dice_interval": mean_interval(dice),
                "iou": mean(metrics.iou(self.counts)),
                "boundary_f1": mean(self.boundaries),
                "false_regions": mean(false_regions),
                "false_regions_interval": mean_interval(false_regions),
            },
        }


def _draws(n: int) -> np.ndarray:
    """Bootstrap draws of photo indices, (RESAMPLES, n) int64; the fixed seed gives all models the same draws."""
    return np.random.default_rng(0).integers(n, size=(RESAMPLES, n))


def _interval(values: np.ndarray) -> list[float]:
    """[low, high] of the middle 95 % of resampled values, ignoring NaN; [NaN, NaN] if all are NaN."""
    values = values[~np.isnan(values)]
    return np.percentile(values, [2.5, 97.5]).tolist() if len(values) else [np.nan, np.nan]
