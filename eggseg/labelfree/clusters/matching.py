"""Assign classes to clusters: by the masks of some photos, or by hand.

A table of counts is (clusters, classes) int64: the number of known pixels that are in both the cluster and the class.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from eggseg.data.classes import ClassTable
from eggseg.errors import InputError, missing_extra
from eggseg.evaluation import metrics


def counts(clusters: np.ndarray, truth: np.ndarray, number: int, classes: int) -> np.ndarray:
    """The table of a photo, from its clusters, 0..`number` - 1, and its class ids, both (h, w)."""
    known = truth < classes
    pairs = clusters[known].astype(np.int64) * classes + truth[known]
    return np.bincount(pairs, minlength=number * classes).reshape(number, classes)


def assign(table: np.ndarray) -> np.ndarray:
    """The class of each cluster, (clusters,) uint8, chosen for a high mean IoU over the classes.

    First the Hungarian assignment (Kuhn 1955) gives one cluster to each class so that the sum of their IoU is highest.
    Every other cluster gets the class of most of its pixels. Then, greedily, the one change of a cluster's class that
    raises the mean IoU most is made, until none raises it.
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
    """The confusion matrix (classes, classes) under the classes of the clusters, truth in rows."""
    predicted = np.eye(table.shape[1], dtype=np.int64)[classes_of]
    return table.T @ predicted


def mean_iou(table: np.ndarray, classes_of: np.ndarray) -> float:
    """Mean IoU under the classes of the clusters; 0 if no pixel is known."""
    return float(np.nan_to_num(metrics.mean(metrics.iou(confusion(table, classes_of)))))


def named(names: Sequence[str], number: int, classes: ClassTable) -> np.ndarray:
    """The class of each cluster, (clusters,) uint8, from names like `3=egg`; clusters without a name are background."""
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
