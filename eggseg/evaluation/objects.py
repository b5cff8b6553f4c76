"""Separate egg and pan objects in a mask, for a robot to act on."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from eggseg.data.classes import ClassTable


def find(ids: np.ndarray, probabilities: np.ndarray, classes: ClassTable, min_area: int = 1) -> list[dict[str, Any]]:
    """Find the 8-connected regions of each class except the background; JSON objects, the largest region first.

    `ids` is (h, w) uint8, `probabilities` (h, w, classes) float32. An object has: `class`, `box` (left, top, width,
    height), `centroid` (x, y), `area`, `contour` (the outer outline, a list of (x, y)), and `confidence`
    (the mean probability of the class over the object's pixels). Coordinates are in pixels; the origin is the centre of
    the photo's upper left pixel. Regions of less than `min_area` pixels are left out. Eggs that touch are one object.
    """
    objects = []
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
            objects.append(
                {
                    "class": classes.names[c],
                    "box": [left, top, width, height],
                    "centroid": [round(float(x), 2) for x in centroids[label]],
                    "area": area,
                    "confidence": round(float(probabilities[window][..., c][region].mean()), 4),
                    "contour": max(outlines, key=len)[:, 0].tolist(),
                }
            )
    return sorted(objects, key=lambda item: -item["area"])
