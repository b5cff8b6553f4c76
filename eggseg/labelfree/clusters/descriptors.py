"""Descriptors of masks: a network's features, colour, contrast with the surroundings, and shape."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from eggseg.labelfree.clusters.proposals import FRAME

WEIGHTS = {"seen": 4.0, "color": 1.0, "spread": 0.5, "contrast": 2.0, "shape": 1.0}
"""Weights of the parts of a descriptor."""

REACH = 0.15
"""Width of the surroundings of a mask, as a share of the square root of its area."""


def describe(masks: np.ndarray, image: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Descriptors (n, d + 13) float32 of masks (n, FRAME, FRAME) of a photo (h, w, 3) uint8.

    The parts, in order: the mean over the mask of the network's features of the frame, `seen` (grid, grid, d),
    scaled to length 1; mean and standard deviation of CIELAB; mean CIELAB of the surroundings minus that of the mask,
    which separates a plate on a table from an egg on a plate; the share of the photo (log10), roundness (4 pi area /
    perimeter squared), solidity (area / area of the convex hull), and whether the mask touches the photo's edge.
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
    """Pixels (h, w) bool outside of all outlines and at most `reach` pixels from one, or 2 if `reach` is less."""
    outside = cv2.drawContours(np.ones(size, np.uint8), outlines, -1, 0, cv2.FILLED)
    away = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return (away > 0) & (away <= max(2.0, reach))


def _outline(outlines: Sequence[np.ndarray]) -> tuple[float, float]:
    """Roundness and solidity, 0 to 1, of the largest outline."""
    largest = max(outlines, key=cv2.contourArea)
    area, perimeter = cv2.contourArea(largest), cv2.arcLength(largest, True)
    hull = cv2.contourArea(cv2.convexHull(largest))
    return min(1.0, 4 * np.pi * area / max(perimeter, 1) ** 2), area / hull if hull else 1.0
