"""Clusters of the objects that Segment Anything finds in photos."""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from eggseg.data import labelled
from eggseg.files import digest, write_bytes
from eggseg.labelfree.clusters import features, naming, weights
from eggseg.labelfree.clusters.centers import Clusters, fit
from eggseg.labelfree.clusters.descriptors import describe
from eggseg.labelfree.clusters.proposals import FRAME, Search, cut, propose, regions
from eggseg.labelfree.clusters.segment_anything import SegmentAnything
from eggseg.labelfree.clusters.settings import OfThings
from eggseg.pictures import geometry

DECISIVE = ("features", "encoder_weights", "encoder", "decoder", "points", "crops", "crop_points")
"""Settings that change the clusters, in addition to `clusters` and `seed`."""

SIZE = 320
"""Side of the square image from which a network other than Segment Anything computes features, pixels."""

COMPONENTS = 24
"""Number of principal components of the descriptors that k-means uses."""


def run(settings: OfThings) -> int:
    """Cluster the objects in the photos of a folder, write the results as in `naming.run`, return the exit code."""
    return naming.run(settings, DECISIVE, Finder(settings))


class Finder:
    """A `naming.Method` that clusters objects; its last label is for pixels outside of all objects.

    OUTPUT/cache keeps the embeddings and masks of each photo, in files named by the digest of the photo's bytes.
    """

    def __init__(self, settings: OfThings) -> None:
        self.settings = settings
        self.search = Search(points=settings.points, crops=settings.crops, crop_points=settings.crop_points)
        self.see: features.Features | None = None
        """Computes the features that describe objects; None if Segment Anything's own embedding describes them."""
        if settings.features != "sam":
            self.see = features.of_network(settings.features, settings.encoder_weights, SIZE)

    @functools.cached_property
    def model(self) -> SegmentAnything:
        encoder, decoder = self.settings.encoder, self.settings.decoder
        return SegmentAnything(*((encoder, decoder) if encoder and decoder else weights.fetch()))

    @functools.cached_property
    def cache(self) -> Path:
        """The folder for cached embeddings and masks of this encoder and this decoder."""
        files = [path for path in (self.settings.encoder, self.settings.decoder) if path]
        model = "-".join(digest(path)[:12] for path in files) or weights.PACKAGE
        return self.settings.output_dir / "cache" / f"{model}-{naming.VERSION}"

    def fit(self, photos: Mapping[str, Path]) -> Clusters:
        descriptors = (self.describe(photo, self.find(photo)) for photo in track(photos.values(), "finding objects"))
        return fit(descriptors, len(photos), self.settings.clusters, self.settings.seed, None, COMPONENTS)

    def labels(self, model: Clusters) -> int:
        return len(model) + 1

    def paint(self, photo: Path, model: Clusters) -> np.ndarray:
        masks = self.find(photo)
        image, _ = labelled.read_photo(photo, self.settings.max_pixels)
        height, width = image.shape[:2]
        painted = np.full((height, width), len(model), np.uint8)
        scale = FRAME / max(height, width)
        rows, columns = (max(1, round(scale * length)) for length in (height, width))
        clusters = model.scores(self.describe(photo, masks)).argmax(-1)
        # Largest first, so that an egg is painted over its pan.
        for i in np.argsort(-masks.sum((1, 2)), kind="stable"):
            large = cv2.resize(masks[i, :rows, :columns].astype(np.float32), (width, height)) >= 0.5
            painted[large] = clusters[i]
        return painted

    def find(self, photo: Path) -> np.ndarray:
        """Masks of the objects in a photo, (n, FRAME, FRAME) bool, most stable first, from the cache or the model."""
        key = _key(photo)
        path = self.cache / f"{key}-{self.settings.points}-{self.settings.crops}-{self.settings.crop_points}.npz"
        if path.exists():
            with np.load(path) as kept:
                masks = np.unpackbits(kept["masks"], count=kept["count"] * FRAME * FRAME).astype(bool)
                return masks.reshape(-1, FRAME, FRAME)
        image, _ = labelled.read_photo(photo, self.settings.max_pixels)
        places = regions(image, self.search)
        embeddings = self._embeddings(key, image)
        masks = propose(self.model, embeddings, places, self.search)
        _keep(path, masks=np.packbits(masks), count=np.array(len(masks)))
        return masks

    def describe(self, photo: Path, masks: np.ndarray) -> np.ndarray:
        """Descriptors (n, d) float32 of the masks that `find` gave for a photo."""
        image, _ = labelled.read_photo(photo, self.settings.max_pixels)
        if self.see is None:
            seen = self._embeddings(_key(photo), image)[0].transpose(1, 2, 0)
        else:
            seen = self.see(_frame(image))
        return describe(masks, image, seen)

    def _embeddings(self, key: str, image: np.ndarray) -> np.ndarray:
        """Embeddings of the photo and its crops, (n, 256, 64, 64) float32, from the cache or the model."""
        path = self.cache / f"{key}-{self.settings.crops}-seen.npz"
        if not path.exists():
            seen = [self.model.embed(cut(image, place)) for place in regions(image, self.search)]
            _keep(path, seen=np.array(seen, np.float16))
        with np.load(path) as kept:
            return kept["seen"].astype(np.float32)


def _frame(image: np.ndarray) -> np.ndarray:
    """A photo (h, w, 3) uint8, resized, in the upper left corner of a square of `SIZE` pixels."""
    square = geometry.letterbox(image, SIZE).numpy()
    inside = geometry.letterbox(np.ones((*image.shape[:2], 1), np.uint8), SIZE, labels=True).numpy()[..., 0]
    top, left = (int(inside.any(axis).argmax()) for axis in (1, 0))
    return np.roll(square, (-top, -left), (0, 1))


def _key(photo: Path) -> str:
    return digest(photo)[:24]


def _keep(path: Path, **arrays: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_bytes(path, buffer.getvalue())
