"""Confusion matrices, and the scores that follow from them.

A confusion matrix is (..., classes, classes) int64, truth in rows, prediction in columns. A score is (..., classes)
float64. It is NaN if its denominator is 0: IoU and Dice for a class that neither truth nor prediction has, precision
for a class that is not predicted, recall for a class that is not in the truth.
"""

from __future__ import annotations

import cv2
import numpy as np


def confusion(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Confusion matrix, (classes, classes) int64, of uint8 class ids; pixels that are VOID in `truth` do not count.

    `ValueError` if the shapes of `truth` and `prediction` differ.
    """
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
    """Share of the pixels predicted as a class that truly have this class."""
    return _ratio(_hits(counts), counts.sum(-2))


def recall(counts: np.ndarray) -> np.ndarray:
    """Share of the true pixels of a class that are predicted as this class."""
    return _ratio(_hits(counts), counts.sum(-1))


def mean(scores: np.ndarray) -> np.ndarray:
    """Mean over the last axis, ignoring NaN; NaN if all scores on this axis are NaN."""
    present = ~np.isnan(scores)
    return _ratio(np.where(present, scores, 0).sum(-1), present.sum(-1))


def boundary_f1(truth: np.ndarray, prediction: np.ndarray, classes: int, tolerance: float = 0.0075) -> np.ndarray:
    """Boundary F1 of each class, (classes,) float64, for class ids (h, w) uint8; NaN for a class that neither has.

    A boundary pixel in one mask is a hit if the boundary in the other mask is near enough: at most `tolerance` times
    the image diagonal away (Csurka et al. 2013), but at least 1 pixel. Pixels that are VOID in `truth` have no class.
    """
    reach = max(1.0, tolerance * float(np.hypot(*truth.shape)))
    prediction = np.where(truth < classes, prediction, truth)
    return np.array([_boundary_f1(truth == c, prediction == c, reach) for c in range(classes)])


def _boundary_f1(truth: np.ndarray, prediction: np.ndarray, reach: float) -> float:
    edges = [_boundary(mask) for mask in (truth, prediction)]
    if not (truth.any() or prediction.any()):
        return np.nan
    if not all(edge.any() for edge in edges):
        # A mask without a boundary is empty or covers the whole image: the score is 1 if the masks are equal, else 0.
        return float(np.array_equal(truth, prediction))
    hit_rates = [
        float((cv2.distanceTransform(1 - other.astype(np.uint8), cv2.DIST_L2, 5)[edge] <= reach).mean())
        for edge, other in (edges, edges[::-1])
    ]
    return 2 * hit_rates[0] * hit_rates[1] / sum(hit_rates) if sum(hit_rates) else 0.0


def _boundary(mask: np.ndarray) -> np.ndarray:
    """Pixels of a mask, (h, w) bool, with an 8-neighbour outside the mask; the image border is not a boundary."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    return mask & (inner == 0)


def false_regions(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Number of 8-connected regions, (classes,) int64, of predicted classes that `truth` lacks; both are (h, w) uint8.

    It is 0 for a class that `truth` has. Pixels that are VOID in `truth` do not count.
    """
    known = truth < classes
    counts = np.zeros(classes, np.int64)
    for c in set(np.unique(prediction[known]).tolist()) - set(np.unique(truth[known]).tolist()):
        regions, _ = cv2.connectedComponents((known & (prediction == c)).astype(np.uint8), connectivity=8)
        counts[c] = regions - 1  # without the background of `connectedComponents`
    return counts
