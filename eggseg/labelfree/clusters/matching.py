"""Clusters to classes: by the masks of some photos, or by hand.

A table of counts is (clusters, classes) int64: how many pixels, whose true class is known, are in both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from eggseg.data.classes import ClassTable
from eggseg.errors import InputError, missing_extra
from eggseg.evaluation import metrics


def counts(clusters: np.ndarray, truth: np.ndarray, number: int, classes: int) -> np.ndarray:
    """The table of a photo, from its cluster of each pixel in 0..`number` - 1 and its class ids, both (h, w)."""
    known = truth < classes
    pairs = clusters[known].astype(np.int64) * classes + truth[known]
    return np.bincount(pairs, minlength=number * classes).reshape(number, classes)


def assign(table: np.ndarray) -> np.ndarray:
    """The class of each cluster, (clusters,) uint8, under which the mean IoU is high.

    Each class takes the cluster that makes the sum of their IoU highest: the Hungarian assignment (Kuhn 1955). The
    others go to the class that most of their pixels are. Then, as long as another name for one of them raises the mean
    IoU over the classes, the one that raises it most gets it.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ModuleNotFoundError:
        raise missing_extra("naming clusters", "labelfree") from None
    union = table.sum(1, keepdims=True) + table.sum(0, keepdims=True) - table
    clusters, owners = linear_sum_assignment(table / np.maximum(union, 1), maximize=True)
    shared = table[clusters, owners] > 0
    classes_of = table.argmax(1).astype(np.uint8)
    classes_of[clusters[shared]] = owners[shared]
    score = mean_iou(table, classes_of)
    while True:
        others = [
            _renamed(classes_of, i, c) for i, now in enumerate(classes_of) for c in range(table.shape[1]) if c != now
        ]
        scores = [mean_iou(table, other) for other in others]
        best = int(np.argmax(scores))
        if not scores[best] > score + 1e-12:
            return classes_of
        classes_of, score = others[best], scores[best]


def _renamed(classes_of: np.ndarray, cluster: int, owner: int) -> np.ndarray:
    other = classes_of.copy()
    other[cluster] = owner
    return other


def confusion(table: np.ndarray, classes_of: np.ndarray) -> np.ndarray:
    """The count matrix (classes, classes) of clusters so named, truth in rows."""
    predicted = np.eye(table.shape[1], dtype=np.int64)[classes_of]
    return table.T @ predicted


def mean_iou(table: np.ndarray, classes_of: np.ndarray) -> float:
    """Mean IoU over the classes of clusters so named; 0 where nothing is known."""
    return float(np.nan_to_num(metrics.mean(metrics.iou(confusion(table, classes_of)))))


def named(names: Sequence[str], number: int, classes: ClassTable) -> np.ndarray:
    """The class of each cluster, (clusters,) uint8, from `3=egg` and the like; those without a name are background."""
    classes_of = np.zeros(number, np.uint8)
    for name in names:
        match = re.fullmatch(r"(\d+)=(.+)", name)
        if not match or int(match[1]) >= number or match[2] not in classes.names:
            raise InputError(
                f"--name {name}: expected CLUSTER=CLASS, a cluster of 0 to {number - 1} and a class of "
                f"{', '.join(classes.names)}"
            )
        classes_of[int(match[1])] = classes.names.index(match[2])
    return classes_of
