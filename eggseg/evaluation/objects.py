"""The eggs and pans in a mask, one by one, for a robot to act on."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from eggseg.data.classes import ClassTable


def find(ids: np.ndarray, probabilities: np.ndarray, classes: ClassTable, min_area: int = 1) -> list[dict[str, Any]]:
    """The connected regions of each class but the background, the largest first, as JSON values.

    `ids` is (h, w) uint8, `probabilities` (h, w, classes) float32. Of each object: class, `box` (left, top, width,
    height), `centroid` (x, y), `area`, `contour` (the outer outline, a list of (x, y)), all in pixels of the photo with
    the origin at the middle of its upper left pixel, and `confidence`, the mean probability of the class over the
    object's pixels. Regions below `min_area` pixels are left out. Eggs that touch are one object.
    """
    found = []
    for c in range(1, len(classes)):
        count, labels, stats, centroids = cv2.connectedComponentsWithStats((ids == c).astype(np.uint8), connectivity=8)
        for label in range(1, count):
            left, top, width, height, area = stats[label].tolist()
            if area < min_area:
                continue
            window = np.s_[top : top + height, left : left + width]
            region = labels[window] == label
            outlines, _ = cv2.findContours(
                region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(left, top)
            )
            found.append(
                {
                    "class": classes.names[c],
                    "box": [left, top, width, height],
                    "centroid": [round(float(x), 2) for x in centroids[label]],
                    "area": area,
                    "confidence": round(float(probabilities[window][..., c][region].mean()), 4),
                    "contour": max(outlines, key=len)[:, 0].tolist(),
                }
            )
    return sorted(found, key=lambda item: -item["area"])
