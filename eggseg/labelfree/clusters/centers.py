"""k-means over the photos of a whole folder."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from eggseg.errors import InputError, missing_extra
from eggseg.files import write_bytes

SAMPLE, SAMPLES = 4000, 1_200_000
"""Vectors that k-means learns from, of each photo and of all: of many photos, so many fewer of each."""


@dataclasses.dataclass(frozen=True)
class Clusters:
    """Fitted clusters. Vectors are centred, weighted and projected before they are compared with the centres."""

    mean: np.ndarray
    """(d,)"""
    projection: np.ndarray
    """(d, e)"""
    centers: np.ndarray
    """(clusters, e)"""

    def __len__(self) -> int:
        return len(self.centers)

    def scores(self, features: np.ndarray) -> np.ndarray:
        """(..., d) to (..., clusters) float32: squared distances to the centres, but for their sign."""
        points = ((features - self.mean) @ self.projection).astype(np.float32)
        return 2 * points @ self.centers.T - (self.centers**2).sum(1) - (points**2).sum(-1, keepdims=True)

    def save(self, path: Path) -> None:
        """Write all to an .npz file."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **dataclasses.asdict(self))
        write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> Clusters:
        """What `save` wrote; `InputError` where that is not there."""
        try:
            with np.load(path) as arrays:
                return cls(**{field.name: arrays[field.name] for field in dataclasses.fields(cls)})
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path} holds no clusters: {error}") from None


def fit(
    vectors: Iterable[np.ndarray], photos: int, clusters: int, seed: int, weights: np.ndarray | None, parts: int
) -> Clusters:
    """Fit to the vectors (n, d) of each of so many photos, with k-means on batches (Sculley 2010).

    Each of the d is given the same spread, times its weight; without weights, so many principal components take their
    place.
    """
    try:
        from sklearn.cluster import MiniBatchKMeans
        from sklearn.decomposition import PCA
    except ModuleNotFoundError:
        raise missing_extra("k-means", "labelfree") from None
    rng = np.random.default_rng(seed)
    most = min(SAMPLE, max(1, SAMPLES // photos))
    sample = np.concatenate([rng.choice(some, min(most, len(some)), replace=False) for some in vectors])
    if len(sample) < clusters:
        raise InputError(
            f"--clusters is {clusters}, expected at most the {len(sample)} that were found, or more photos"
        )
    mean = sample.mean(0)
    if weights is None:
        projection = PCA(min(parts, *sample.shape), random_state=seed).fit(sample).components_.T
    else:
        projection = np.diag(weights / np.maximum(sample.std(0), 1e-6))
    points = (sample - mean) @ projection
    found = MiniBatchKMeans(clusters, random_state=seed, batch_size=4096, n_init=5).fit(points)
    return Clusters(*(part.astype(np.float32) for part in (mean, projection, found.cluster_centers_)))
