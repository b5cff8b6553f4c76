"""Assign classes to clusters: by the masks of some photos, or by hand.

A table of counts is (clusters, classes) int64: the number of pixels with a known class for each pair of a cluster and
a class.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from eggseg.data.classes import ClassTable
from eggseg.errors import InputError, missing_extra
from eggseg.evaluation import metrics


def counts(clusters: np.ndarray, truth: np.ndarray, number: int, classes: int) -> np.ndarray:
    """The table of counts of one photo.

    `clusters` and `truth` are (h, w) uint8: the cluster, 0 to `number` - 1, and the class id of each pixel. The class
    of a pixel is known if the class id is below `classes`, the number of classes.
    """
    known = truth < classes
    pairs = clusters[known].astype(np.int64) * classes + truth[known]
    return np.bincount(pairs, minlength=number * classes).reshape(number, classes)


def assign(table: np.ndarray) -> np.ndarray:
    """The class of each cluster, (clusters,) uint8, chosen for a high mean IoU over the classes.

    First the Hungarian assignment (Kuhn 1955) gives one cluster to each class so that the sum of the IoU is highest.
    All other clusters, and clusters that share no pixel with the class assigned to them, get the class of most of their
    pixels. Then clusters change their class, one cluster at a time: always the change that raises the mean IoU most,
    until no change raises the mean IoU. `InputError` if SciPy is not installed.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ModuleNotFoundError:
        raise missing_extra("assigning classes to clusters", "labelfree") from None
    union = table.sum(1, keepdims=True) + table.sum(0, keepdims=True) - table
    clusters, class_ids = linear_sum_assignment(table / np.maximum(union, 1), maximize=True)
    has_overlap = table[clusters, class_ids] > 0
    classes_of = table.argmax(1).astype(np.uint8)
    classes_of[clusters[has_overlap]] = class_ids[has_overlap]
    score = mean_iou(table, classes_of)
    while True:
        others = [
            _with_class(classes_of, i, c) for i, now in enumerate(classes_of) for c in range(table.shape[1]) if c != now
        ]
        scores = [mean_iou(table, other) for other in others]
        best = int(np.argmax(scores))
        if not scores[best] > score + 1e-12:
            return classes_of
        classes_of, score = others[best], scores[best]


def _with_class(classes_of: np.ndarray, cluster: int, class_id: int) -> np.ndarray:
    other = classes_of.copy()
    other[cluster] = class_id
    return other


def confusion(table: np.ndarray, classes_of: np.ndarray) -> np.ndarray:
    """The confusion matrix (classes, classes), truth in rows, if each pixel is predicted as its cluster's class."""
    predicted = np.eye(table.shape[1], dtype=np.int64)[classes_of]
    return table.T @ predicted


def mean_iou(table: np.ndarray, classes_of: np.ndarray) -> float:
    """Mean IoU if each pixel is predicted as its cluster's class; 0 if no pixel is known."""
    return float(np.nan_to_num(metrics.mean(metrics.iou(confusion(table, classes_of)))))


def named(names: Sequence[str], number: int, classes: ClassTable) -> np.ndarray:
    """The class of each cluster, (number,) uint8, from names like `3=egg`; clusters without a name are background.

    `InputError` if a name has another form, or if the cluster or the class does not exist.
    """
    classes_of = np.zeros(number, np.uint8)
    for name in names:
        match = re.fullmatch(r"(\d+)=(.+)", name)
        if not match or int(match[1]) >= number or match[2] not in classes.names:
            raise InputError(
                f"--name {name}: expected CLUSTER=CLASS, where CLUSTER is a number from 0 to {number - 1} and CLASS is "
                f"one of {', '.join(classes.names)}"
            )
        classes_of[int(match[1])] = classes.names.index(match[2])
    return classes_of
