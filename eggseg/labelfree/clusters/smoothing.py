"""Smoothing of scores along the edges of a photo."""

from __future__ import annotations

import cv2
import numpy as np

RADIUS, EPSILON = 8, 1e-3
"""Radius of the filter, pixels; and the variance of grey values, 0 to 1, below which it takes a window as flat."""


def guided(scores: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Smooth (size, size, k) float32 with the guided filter (He et al. 2010); the photo (size, size, 3) uint8 guides.

    In each window a score is a linear function of the photo's grey value: flat windows are averaged, edges stay.
    """

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.blur(values, (2 * RADIUS + 1, 2 * RADIUS + 1))

    grey = cv2.cvtColor(square, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    center = mean(grey)
    variance = mean(grey * grey) - center**2
    smooth = np.empty_like(scores)
    for i in range(scores.shape[-1]):
        score = np.ascontiguousarray(scores[..., i])
        slope = (mean(grey * score) - center * mean(score)) / (variance + EPSILON)
        smooth[..., i] = mean(slope) * grey + mean(mean(score) - slope * center)
    return smooth
