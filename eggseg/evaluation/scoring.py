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
from eggseg.evaluation.photo_scores import PhotoScores
from eggseg.evaluation.plots import Row
from eggseg.evaluation.reliability import NONE, Reliability
from eggseg.exported.saved_model import Segmenter


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of a model on labelled photos."""

    pairs: tuple[Pair, ...]
    photos: PhotoScores
    reliability: Reliability
    segmenter: Segmenter

    def report(self) -> dict[str, Any]:
        """The report of `PhotoScores`, and as `calibration` that of `Reliability` with the numbers it is made of."""
        calibration = self.reliability.report() | {"bins": self.reliability.to_json()}
        return self.photos.report(self.segmenter.classes.names) | {"calibration": calibration}

    def order(self) -> list[int]:
        """Indices of the photos, lowest mean Dice of the object classes first.

        The mean leaves out classes that neither truth nor prediction has. Photos without any object class come last.
        """
        return np.argsort(metrics.mean(metrics.dice(self.photos.counts)[:, 1:]), kind="stable").tolist()


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
    counts, boundaries, false_regions, reliability = [], [], [], NONE
    for pair in track(pairs, "measuring"):
        sample = labelled.read(pair, segmenter.classes, segmenter.max_pixels)
        prediction, probabilities = segmenter(sample.image)
        reliability += Reliability.of_photo(sample.ids, prediction, probabilities.max(-1), classes)
        counts.append(metrics.confusion(sample.ids, prediction, classes))
        boundaries.append(metrics.boundary_f1(sample.ids, prediction, classes))
        false_regions.append(metrics.false_regions(sample.ids, prediction, classes))
    names = tuple(pair.name for pair in pairs)
    photos = PhotoScores(names, tuple(sessions), np.array(counts), np.array(boundaries), np.array(false_regions))
    return Scores(tuple(pairs), photos, reliability, segmenter)


def row(scores: Scores, index: int) -> Row:
    """A row of `plots.comparison`: photo, truth, prediction; name and mean Dice of the objects as caption."""
    pair = scores.pairs[index]
    sample = labelled.read(pair, scores.segmenter.classes, scores.segmenter.max_pixels)
    dice = metrics.mean(metrics.dice(scores.photos.counts[index])[1:])
    return (
        sample.image,
        sample.ids,
        scores.segmenter.class_ids(sample.image),
        f"{printable(pair.name)}  Dice {dice:.2f}",
    )
