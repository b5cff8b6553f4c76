"""What a mask is like: what the network sees in it, its colour, its shape."""

from __future__ import annotations

import cv2
import numpy as np

from eggseg.labelfree.proposals import FRAME

WEIGHTS = {"embedding": 4.0, "color": 1.0, "spread": 0.5, "shape": 1.0}
"""What the parts of a descriptor count."""


def describe(masks: np.ndarray, image: np.ndarray, embedding: np.ndarray) -> np.ndarray:
    """Descriptors (n, d) float32 of masks (n, FRAME, FRAME) of a photo (h, w, 3) uint8, from its embedding too.

    The embedding's mean over the mask, of length 1; mean and deviation of CIELAB; the share of the photo, roundness
    (4 pi area / perimeter squared), solidity (the share of its convex hull), and whether it touches the photo's edge.
    """
    scale = FRAME / max(image.shape[:2])
    height, width = (max(1, round(scale * side)) for side in image.shape[:2])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    rows = [_describe(mask, lab, embedding) for mask in masks]
    return np.array(rows, np.float32).reshape(len(masks), len(embedding) + 10)


def _describe(mask: np.ndarray, lab: np.ndarray, embedding: np.ndarray) -> np.ndarray:
    inside = mask[: lab.shape[0], : lab.shape[1]]
    weights = cv2.resize(mask.astype(np.float32), embedding.shape[1:][::-1], interpolation=cv2.INTER_AREA)
    seen = (embedding * weights).sum((1, 2))
    colors = lab[inside]
    edge = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]]).any()
    parts = {
        "embedding": seen / max(float(np.linalg.norm(seen)), 1e-6),
        "color": colors.mean(0) / 25,
        "spread": colors.std(0) / 25,
        "shape": [np.log10(inside.mean()), *_outline(inside), 0.5 * edge],
    }
    return np.concatenate([WEIGHTS[name] * np.asarray(part) for name, part in parts.items()])


def _outline(mask: np.ndarray) -> tuple[float, float]:
    """Roundness and solidity, 0 to 1."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(outlines, key=cv2.contourArea)
    area, perimeter = cv2.contourArea(largest), cv2.arcLength(largest, True)
    hull = cv2.contourArea(cv2.convexHull(largest))
    return min(1.0, 4 * np.pi * area / max(perimeter, 1) ** 2), area / hull if hull else 1.0
