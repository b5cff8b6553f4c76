"""Scores of a model on labelled photos, at each photo's original size."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from rich.progress import track

from eggseg.data import labelled
from eggseg.data.classes import ClassTable
from eggseg.data.masks import Labels
from eggseg.data.pairs import Pair
from eggseg.data.split import Photo
from eggseg.errors import InputError, printable
from eggseg.evaluation import metrics
from eggseg.evaluation.plots import Row
from eggseg.exported.saved_model import Segmenter

RESAMPLES = 1000
"""Number of bootstrap samples for each confidence interval."""


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of a model on labelled photos."""

    pairs: tuple[Pair, ...]
    sessions: tuple[str, ...]
    counts: np.ndarray
    """(n, classes, classes) int64 confusion matrix of each photo, truth in rows."""
    boundaries: np.ndarray
    """(n, classes) float64 boundary F1 of each photo."""
    segmenter: Segmenter

    def order(self) -> list[int]:
        """Indices of the photos, lowest mean Dice of the object classes first.

        The mean leaves out classes that neither truth nor prediction has. Photos without any object class come last.
        """
        return np.argsort(metrics.mean(metrics.dice(self.counts)[:, 1:]), kind="stable").tolist()


@dataclasses.dataclass(frozen=True)
class Look:
    """Size, classes and label statistics of a usable pair of photo and mask."""

    pair: Pair
    photo: Photo
    labels: Labels


def look_at_all(pairs: Sequence[Pair], classes: ClassTable, max_pixels: int) -> tuple[list[Look], list[str]]:
    """Read all pairs in threads, with a progress bar; return the usable ones, and error messages for the others."""
    looks, faults = [], []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in track(pool.map(lambda pair: _look(pair, classes, max_pixels), pairs), "reading", len(pairs)):
            if isinstance(result, Look):
                looks.append(result)
            else:
                faults += str(result).splitlines()
    return looks, faults


def _look(pair: Pair, classes: ClassTable, max_pixels: int) -> Look | InputError:
    try:
        sample = labelled.read(pair, classes, max_pixels)
    except InputError as error:
        return error
    height, width = sample.ids.shape
    present = frozenset(c for c, count in enumerate(sample.labels.class_pixels) if count)
    return Look(pair, Photo(pair.name, (width, height), present), sample.labels)


def score(segmenter: Segmenter, pairs: Sequence[Pair], sessions: Sequence[str]) -> Scores:
    """Predict and score all pairs, with a progress bar; `InputError` if a file cannot be used.

    `sessions` has the camera session of each pair.
    """
    classes = len(segmenter.classes)
    counts, boundaries = [], []
    for pair in track(pairs, "measuring"):
        sample = labelled.read(pair, segmenter.classes, segmenter.max_pixels)
        prediction = segmenter.class_ids(sample.image)
        counts.append(metrics.confusion(sample.ids, prediction, classes))
        boundaries.append(metrics.boundary_f1(sample.ids, prediction, classes))
    return Scores(tuple(pairs), tuple(sessions), np.array(counts), np.array(boundaries), segmenter)


def row(scores: Scores, index: int) -> Row:
    """A row of `plots.comparison`: photo, truth, prediction; name and mean Dice of the objects as caption."""
    pair = scores.pairs[index]
    sample = labelled.read(pair, scores.segmenter.classes, scores.segmenter.max_pixels)
    dice = metrics.mean(metrics.dice(scores.counts[index])[1:])
    return (
        sample.image,
        sample.ids,
        scores.segmenter.class_ids(sample.image),
        f"{printable(pair.name)}  Dice {dice:.2f}",
    )


def report(scores: Scores, classes: ClassTable) -> dict[str, Any]:
    """All scores as JSON values: pooled over all pixels, averaged over photos, and pooled over each camera session."""
    pooled = scores.counts.sum(0)
    figures = {"iou": metrics.iou, "dice": metrics.dice, "precision": metrics.precision, "recall": metrics.recall}

    def per_class(values: np.ndarray) -> dict[str, float]:
        return dict(zip(classes.names, values.tolist(), strict=True))

    resampled = _resample(len(scores.counts))
    mious = metrics.mean(metrics.iou(np.array([scores.counts[draw].sum(0) for draw in resampled])))
    by_photo = metrics.dice(scores.counts)
    return {
        "photos": len(scores.pairs),
        "miou": float(metrics.mean(metrics.iou(pooled))),
        "miou_interval": _interval(mious),
        "pooled": {name: per_class(figure(pooled)) for name, figure in figures.items()},
        "photo_mean": {
            "dice": per_class(metrics.mean(by_photo.T)),
            "dice_interval": {
                name: _interval(np.array([metrics.mean(by_photo[draw, i]) for draw in resampled]))
                for i, name in enumerate(classes.names)
            },
            "iou": per_class(metrics.mean(metrics.iou(scores.counts).T)),
            "boundary_f1": per_class(metrics.mean(scores.boundaries.T)),
        },
        "sessions": {
            session: {"photos": int(chosen.sum())}
            | {"miou": float(metrics.mean(metrics.iou(scores.counts[chosen].sum(0))))}
            | {"iou": per_class(metrics.iou(scores.counts[chosen].sum(0)))}
            for session in sorted(set(scores.sessions))
            for chosen in [np.array(scores.sessions) == session]
        },
        "confusion": pooled.tolist(),
    }


def _resample(n: int) -> np.ndarray:
    """Bootstrap draws of photo indices, (RESAMPLES, n) int64; the fixed seed gives all models the same draws."""
    return np.random.default_rng(0).integers(n, size=(RESAMPLES, n))


def _interval(values: np.ndarray) -> list[float]:
    """[low, high] of the middle 95 % of resampled values, ignoring NaN; [NaN, NaN] if all are NaN."""
    values = values[~np.isnan(values)]
    return np.percentile(values, [2.5, 97.5]).tolist() if len(values) else [np.nan, np.nan]
