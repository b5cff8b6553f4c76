"""One k-means model, fitted to the vectors of all photos of a folder."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from eggseg.errors import InputError, missing_extra
from eggseg.files import write_bytes

SAMPLE, SAMPLES = 4000, 1_200_000
"""Largest number of vectors that k-means is fitted to: per photo, and in total.

With more than 300 photos, each photo contributes fewer than `SAMPLE`.
"""


@dataclasses.dataclass(frozen=True)
class Clusters:
    """Fitted clusters. A vector minus `mean` is multiplied by `projection`, then compared with `centers`."""

    mean: np.ndarray
    """(d,) float32: mean of the fitted vectors."""
    projection: np.ndarray
    """(d, e) float32: weights / standard deviations on a diagonal, or principal components as columns."""
    centers: np.ndarray
    """(clusters, e) float32: cluster centres, after the projection."""

    def __len__(self) -> int:
        return len(self.centers)

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Negative squared distances from vectors, (..., d), to all centres, (..., clusters) float32."""
        points = ((features - self.mean) @ self.projection).astype(np.float32)
        return 2 * points @ self.centers.T - (self.centers**2).sum(1) - (points**2).sum(-1, keepdims=True)

    def save(self, path: Path) -> None:
        """Write the arrays to an .npz file."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **dataclasses.asdict(self))
        write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> Clusters:
        """Read what `save` wrote; `InputError` if the file is missing or lacks one of the arrays."""
        try:
            with path.open("rb") as file, np.load(file) as arrays:
                return cls(**{field.name: arrays[field.name] for field in dataclasses.fields(cls)})
        except (OSError, EOFError, zipfile.BadZipFile, ValueError, KeyError) as error:
            raise InputError(f"{path} holds no clusters: {error}") from None


def fit(
    vectors: Iterable[np.ndarray], photos: int, clusters: int, seed: int, weights: np.ndarray | None, components: int
) -> Clusters:
    """Fit mini-batch k-means (Sculley 2010) to `vectors`, which yields an (n, d) array for each of `photos` photos.

    With `weights`, (d,), each dimension is scaled to unit standard deviation, then multiplied by its weight. Without
    weights, the vectors are projected onto their first `components` principal components. `InputError` if there are
    fewer vectors than `clusters`, or scikit-learn is not installed.
    """
    try:
        from sklearn.cluster import MiniBatchKMeans
        from sklearn.decomposition import PCA
    except ModuleNotFoundError:
        raise missing_extra("k-means", "labelfree") from None
    rng = np.random.default_rng(seed)
    per_photo = min(SAMPLE, max(1, SAMPLES // photos))
    sample = np.concatenate([rng.choice(part, min(per_photo, len(part)), replace=False) for part in vectors])
    if len(sample) < clusters:
        raise InputError(
            f"--clusters is {clusters}, expected at most {len(sample)}, the number of vectors found; or add photos"
        )
    mean = sample.mean(0)
    if weights is None:
        projection = PCA(min(components, *sample.shape), random_state=seed).fit(sample).components_.T
    else:
        projection = np.diag(weights / np.maximum(sample.std(0), 1e-6))
    points = (sample - mean) @ projection
    kmeans = MiniBatchKMeans(clusters, random_state=seed, batch_size=4096, n_init=5).fit(points)
    return Clusters(*(array.astype(np.float32) for array in (mean, projection, kmeans.cluster_centers_)))
