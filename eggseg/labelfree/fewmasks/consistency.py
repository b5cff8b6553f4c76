"""Signs of how well a model knows photos, which need no masks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from eggseg.data import labelled
from eggseg.evaluation import metrics
from eggseg.exported.saved_model import Segmenter

PHOTOS = 40
"""Largest number of photos, spread over all, from which the signs are computed."""

MARGIN = 8
"""The second view leaves out this fraction of the photo, one eighth, at each side."""

SURE = 0.9
"""Probability from which a pixel counts as confident."""


@dataclasses.dataclass(frozen=True)
class Signs:
    """Signs of how well a model knows some photos: the first two are high for photos like those of its training."""

    agreement: float
    """mIoU between the masks of two views: the photo, and the middle of its mirror image."""
    confident: float
    """Share of the pixels whose class has a probability of at least `SURE`."""
    objects: float
    """Mean number of classes other than the background that a photo's mask has."""

    def no_worse_than(self, other: Signs) -> bool:
        """Whether agreement and confidence are not lower, and not more than half of the objects are gone.

        A model that finds nothing agrees with itself, and is confident.
        """
        keeps_objects = self.objects >= other.objects / 2
        return keeps_objects and self.agreement >= other.agreement and self.confident >= other.confident


def signs(segmenter: Segmenter, photos: Sequence[Path]) -> Signs:
    """The signs of a model for photos, with a progress bar; `InputError` if a photo cannot be read."""
    classes = len(segmenter.classes)
    counts = np.zeros((classes, classes), np.int64)
    confident, objects = [], []
    chosen = photos[:: -(-len(photos) // PHOTOS)]
    for path in track(chosen, "comparing views"):
        image, _ = labelled.read_photo(path, segmenter.max_pixels)
        ids, probabilities = segmenter(image)
        confident.append(float((probabilities.max(-1) >= SURE).mean()))
        objects.append(int(np.count_nonzero(np.unique(ids))))
        height, width = ids.shape
        top, left = height // MARGIN, width // MARGIN
        middle = slice(top, height - top), slice(left, width - left)
        view = np.ascontiguousarray(image[middle][:, ::-1])
        counts += metrics.confusion(ids[middle], segmenter.class_ids(view)[:, ::-1], classes)
    return Signs(float(metrics.mean(metrics.iou(counts))), float(np.mean(confident)), float(np.mean(objects)))
