"""Overlay of a mask on its photo."""

from __future__ import annotations

import numpy as np

from eggseg.data.classes import ClassTable

BAND = 1 << 18
"""Number of pixels that are tinted at a time: each pixel takes 100 bytes of temporary memory."""


def overlay(image: np.ndarray, ids: np.ndarray, classes: ClassTable, opacity: float = 0.45) -> np.ndarray:
    """Tint a photo, (h, w, 3) uint8, by class ids, (h, w) uint8, except the background, and outline the regions."""
    edge = np.zeros(ids.shape, bool)
    edge[1:] |= ids[1:] != ids[:-1]
    edge[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    tinted = np.empty_like(image)
    rows = max(1, BAND // ids.shape[1])
    for top in range(0, len(ids), rows):
        band = np.s_[top : top + rows]
        tinted[band] = _tinted(image[band], ids[band], edge[band], classes, opacity)
    return tinted


def _tinted(image: np.ndarray, ids: np.ndarray, edge: np.ndarray, classes: ClassTable, opacity: float) -> np.ndarray:
    colors = np.zeros((256, 3), np.uint8)
    colors[: len(classes)] = classes.colors
    alpha = np.where(ids == 0, 0, opacity) + np.where(edge, 0.5, 0)
    alpha = np.minimum(alpha, 1)[..., None]
    return np.round(image * (1 - alpha) + colors[ids] * alpha).astype(np.uint8)
