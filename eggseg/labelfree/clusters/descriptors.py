"""Descriptors of masks: a network's features, colour, contrast with the surroundings, and shape."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from eggseg.labelfree.clusters.proposals import FRAME

WEIGHTS = {"seen": 4.0, "color": 1.0, "spread": 0.5, "contrast": 2.0, "shape": 1.0}
"""Weight of each part of a descriptor, see `describe`."""

REACH = 0.15
"""Width of the surroundings of a mask, as a share of the square root of the mask's area."""


def describe(masks: np.ndarray, image: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Descriptors (n, d + 13) float32 of masks (n, FRAME, FRAME) bool of a photo (h, w, 3) uint8.

    `seen` (grid, grid, d) float32 holds a network's features of the frame (see `proposals`). The parts of a descriptor,
    each multiplied by its weight in `WEIGHTS`, are in this order:

    - seen (d): the mean of `seen` over the mask, scaled to length 1;
    - color (3) and spread (3): mean and standard deviation of CIELAB in the mask, divided by 25;
    - contrast (3): mean CIELAB of the surroundings minus mean CIELAB of the mask, divided by 25. Contrast separates a
      plate on a table from an egg on a plate;
    - shape (4): log10 of the mask's share of the photo, roundness (4 pi area / perimeter squared), solidity (area /
      area of the convex hull), and 0.5 if the mask touches the photo's edge, else 0.
    """
    scale = FRAME / max(image.shape[:2])
    height, width = (max(1, round(scale * side)) for side in image.shape[:2])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    rows = [_describe(mask, lab, seen) for mask in masks]
    return np.array(rows, np.float32).reshape(len(masks), seen.shape[-1] + 13)


def _describe(mask: np.ndarray, lab: np.ndarray, seen: np.ndarray) -> np.ndarray:
    inside = mask[: lab.shape[0], : lab.shape[1]]
    weights = cv2.resize(mask.astype(np.float32), seen.shape[1::-1], interpolation=cv2.INTER_AREA)
    mean = (seen * weights[..., None]).sum((0, 1))
    colors = lab[inside]
    outlines, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    around = lab[_around(inside.shape, outlines, REACH * np.sqrt(inside.sum()))]
    edge = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]]).any()
    parts = {
        "seen": mean / max(float(np.linalg.norm(mean)), 1e-6),
        "color": colors.mean(0) / 25,
        "spread": colors.std(0) / 25,
        "contrast": (around.mean(0) - colors.mean(0)) / 25 if len(around) else np.zeros(3),
        "shape": [np.log10(inside.mean()), *_outline(outlines), 0.5 * edge],
    }
    return np.concatenate([WEIGHTS[name] * np.asarray(part) for name, part in parts.items()])


def _around(size: tuple[int, ...], outlines: Sequence[np.ndarray], reach: float) -> np.ndarray:
    """Pixels outside all outlines and at most max(2, `reach`) pixels away from an outline, (h, w) bool."""
    outside = cv2.drawContours(np.ones(size, np.uint8), outlines, -1, 0, cv2.FILLED)
    away = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return (away > 0) & (away <= max(2.0, reach))


def _outline(outlines: Sequence[np.ndarray]) -> tuple[float, float]:
    """Roundness and solidity, 0 to 1, of the largest outline."""
    largest = max(outlines, key=cv2.contourArea)
    area, perimeter = cv2.contourArea(largest), cv2.arcLength(largest, True)
    hull = cv2.contourArea(cv2.convexHull(largest))
    return min(1.0, 4 * np.pi * area / max(perimeter, 1) ** 2), area / hull if hull else 1.0
