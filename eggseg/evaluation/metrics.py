"""Confusion counts first, one-line formulas on them.

A count matrix is (..., classes, classes) int64 with the truth in rows and the prediction in columns. Every score is
(..., classes) float64, and NaN for a class that neither truth nor prediction has: absent is neither right nor wrong.
"""

from __future__ import annotations

import cv2
import numpy as np


def confusion(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Count class ids of the same shape, uint8, into (classes, classes) int64; pixels whose truth is VOID stay out."""
    if truth.shape != prediction.shape:
        raise ValueError(f"truth is {truth.shape}, prediction is {prediction.shape}: restore it to the photo's size")
    known = truth < classes
    pairs = truth[known].astype(np.int64) * classes + prediction[known]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0)


def _hits(counts: np.ndarray) -> np.ndarray:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def iou(counts: np.ndarray) -> np.ndarray:
    """Intersection over union."""
    return _ratio(_hits(counts), counts.sum(-1) + counts.sum(-2) - _hits(counts))


def dice(counts: np.ndarray) -> np.ndarray:
    """Dice coefficient, the F1 of pixels."""
    return _ratio(2 * _hits(counts), counts.sum(-1) + counts.sum(-2))


def precision(counts: np.ndarray) -> np.ndarray:
    """Share of the predicted pixels that are right."""
    return _ratio(_hits(counts), counts.sum(-2))


def recall(counts: np.ndarray) -> np.ndarray:
    """Share of the true pixels that were found."""
    return _ratio(_hits(counts), counts.sum(-1))


def mean(scores: np.ndarray) -> np.ndarray:
    """Mean over the last axis without the NaNs; NaN where nothing else is there."""
    there = ~np.isnan(scores)
    return _ratio(np.where(there, scores, 0).sum(-1), there.sum(-1))


def boundary_f1(truth: np.ndarray, prediction: np.ndarray, classes: int, tolerance: float = 0.0075) -> np.ndarray:
    """Boundary F1 of each class between class ids (h, w), uint8: (classes,) float64, NaN for an absent class.

    A boundary pixel counts as found when the other boundary runs within `tolerance` of the diagonal (Csurka et al.
    2013). VOID pixels belong to no object.
    """
    reach = max(1.0, tolerance * float(np.hypot(*truth.shape)))
    prediction = np.where(truth < classes, prediction, truth)
    return np.array([_boundary_f1(truth == c, prediction == c, reach) for c in range(classes)])


def _boundary_f1(truth: np.ndarray, prediction: np.ndarray, reach: float) -> float:
    edges = [_boundary(mask) for mask in (truth, prediction)]
    if not (truth.any() or prediction.any()):
        return np.nan
    if not all(edge.any() for edge in edges):
        # One of them has the class, perhaps all over the picture, where it has no boundary.
        return float(np.array_equal(truth, prediction))
    found = [
        float((cv2.distanceTransform(1 - other.astype(np.uint8), cv2.DIST_L2, 5)[edge] <= reach).mean())
        for edge, other in (edges, edges[::-1])
    ]
    return 2 * found[0] * found[1] / (found[0] + found[1]) if sum(found) else 0.0


def _boundary(mask: np.ndarray) -> np.ndarray:
    """The pixels of a mask, (h, w) bool, that touch something else; the frame of the picture is no boundary."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    return mask & (inner == 0)
