"""Smoothing of scores along the edges of a photo."""

from __future__ import annotations

import cv2
import numpy as np

RADIUS, EPSILON = 8, 1e-3
"""The filter's windows have a side of 2 * RADIUS + 1 pixels; EPSILON is the filter's regularisation.

The filter averages the scores in a window if the variance of the grey values, 0 to 1, is far below EPSILON.
"""


def guided(scores: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Smooth scores (size, size, k) float32 with the guided filter (He et al. 2010); the photo `square` is the guide.

    `square` is (size, size, 3) uint8. In each window, the smoothed score is a linear function of the photo's grey
    value. So scores are averaged where the photo is flat, and can change sharply at the photo's edges.
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
