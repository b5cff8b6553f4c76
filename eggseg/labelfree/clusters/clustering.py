"""k-means on the pixels of photos, or on the features of a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from rich.progress import track

from eggseg.data import labelled
from eggseg.data.classes import VOID
from eggseg.labelfree.clusters import features, naming, smoothing
from eggseg.labelfree.clusters.centers import Clusters, fit
from eggseg.labelfree.clusters.settings import OfPixels
from eggseg.pictures import geometry

DECISIVE = ("features", "encoder_weights", "size", "position", "texture", "components", "smooth")
"""Settings that change the clusters, in addition to `clusters` and `seed`."""


def run(settings: OfPixels) -> int:
    """Cluster the pixels of the photos in a folder, write the results as in `naming.run`, return the exit code."""
    return naming.run(settings, DECISIVE, Pixels(settings))


class Pixels:
    """A `naming.Method` that clusters single pixels."""

    def __init__(self, settings: OfPixels) -> None:
        self.settings = settings
        if settings.features == "pixels":
            self.see: features.Features = features.pixels
        else:
            self.see = features.of_network(settings.features, settings.encoder_weights, settings.size)

    def fit(self, photos: Mapping[str, Path]) -> Clusters:
        settings = self.settings
        pixels = settings.features == "pixels"
        weights = features.pixel_weights(settings.position, settings.texture) if pixels else None
        return fit(self._vectors(photos), len(photos), settings.clusters, settings.seed, weights, settings.components)

    def labels(self, model: Clusters) -> int:
        return len(model)

    def paint(self, photo: Path, model: Clusters) -> np.ndarray:
        image, _ = labelled.read_photo(photo, self.settings.max_pixels)
        square = geometry.letterbox(image, self.settings.size).numpy()
        scores = model.scores(self.see(square))
        if self.settings.smooth:
            scores = smoothing.guided(tf.image.resize(scores, square.shape[:2]).numpy(), square)
        height, width = image.shape[:2]
        best, clusters = np.full((height, width), -np.inf, np.float32), np.zeros((height, width), np.uint8)
        # One cluster at a time: the scores of all clusters of a large photo would take gigabytes. A cluster that has
        # the best score at no pixel of the square is skipped: at the photo's size, it hardly has the best score either.
        for i in np.unique(tf.argmax(tf.image.resize(scores, square.shape[:2]), -1)):
            score = geometry.restore(scores[..., i : i + 1], height, width).numpy()[..., 0]
            better = score > best
            best[better], clusters[better] = score[better], i
        return clusters

    def _vectors(self, photos: Mapping[str, Path]) -> Iterator[np.ndarray]:
        """Yield the feature vectors of each photo, (n, d) float32, without the vectors of the padding."""
        for photo in track(photos.values(), "reading photos"):
            image, _ = labelled.read_photo(photo, self.settings.max_pixels)
            grid = self.see(geometry.letterbox(image, self.settings.size).numpy())
            blank = np.zeros((*image.shape[:2], 1), np.uint8)
            inside = geometry.letterbox(blank, len(grid), labels=True, pad=VOID).numpy()[..., 0] != VOID
            yield grid[inside]
