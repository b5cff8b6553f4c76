"""Masks of all objects in a photo: Segment Anything, prompted with a grid of points in the photo and in each crop.

Masks lie in a frame, a square with a side of `FRAME` pixels. The photo, resized to a long side of `FRAME` pixels, lies
in the upper left corner of the frame.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from eggseg.labelfree.clusters.segment_anything import MASK, SegmentAnything

FRAME = 512
"""Side of the frame, pixels: twice the 256 of a decoder's mask, so that masks of half-size crops keep their detail."""

COARSE = 128
"""Side at which masks are compared with each other, pixels."""

OVERLAP = 0.25
"""Enlargement of crops for overlap: the side of a crop is (1 + OVERLAP) / `crops` of the photo's long side."""


@dataclasses.dataclass(frozen=True)
class Search:
    """Which points to prompt with, and which masks to keep."""

    points: int = 16
    """Points along the photo's long side."""
    crops: int = 2
    """Crops along the long side, embedded at higher resolution; 0 is none."""
    crop_points: int = 12
    """Points along the long side of a crop."""
    quality: float = 0.8
    """Least IoU with the truth that the decoder predicts for a mask."""
    stability: float = 0.85
    """Least IoU between the mask of logits above 1 and the mask of logits above -1."""
    overlap: float = 0.7
    """IoU of two masks above which only the more stable one is kept."""
    smallest: float = 2e-4
    """Least share of the photo that a mask covers."""
    largest: float = 0.6
    """Largest share of the photo that a mask covers."""


Region = tuple[float, float, float, float]
"""A rectangle in a photo: left, top, width and height, as shares of the photo's long side."""


def regions(image: np.ndarray, search: Search) -> list[Region]:
    """The regions of a photo (h, w, 3): the whole photo, then the crops."""
    height, width = image.shape[:2]
    side = max(height, width)
    whole = (0.0, 0.0, width / side, height / side)
    if not search.crops:
        return [whole]
    size = (1 + OVERLAP) / search.crops

    def starts(length: float) -> np.ndarray:
        count = max(1, int(np.ceil((length - OVERLAP / search.crops) * search.crops - 1e-9)))
        return np.linspace(0, max(0.0, length - size), count)

    crops = [
        (float(left), float(top), min(size, whole[2]), min(size, whole[3]))
        for top in starts(whole[3])
        for left in starts(whole[2])
    ]
    return [whole, *crops]


def cut(image: np.ndarray, region: Region) -> np.ndarray:
    """The pixels of a region of a photo (h, w, 3), at least one."""
    side = max(image.shape[:2])
    left, top = (
        min(round(side * part), length - 1) for part, length in zip(region[:2], image.shape[1::-1], strict=True)
    )
    right, below = (round(side * (region[i] + region[i + 2])) for i in range(2))
    return image[top : max(below, top + 1), left : max(right, left + 1)]


def propose(model: SegmentAnything, embeddings: np.ndarray, places: Sequence[Region], search: Search) -> np.ndarray:
    """Masks (n, FRAME, FRAME) bool of the objects in a photo, most stable first.

    `places` are the photo's `regions`; `embeddings`, (regions, 256, 64, 64) float32, holds the embedding of each.
    """
    masks: list[np.ndarray] = []
    scores: list[float] = []
    area = places[0][2] * places[0][3] * FRAME**2
    for i, (embedding, region) in enumerate(zip(embeddings, places, strict=True)):
        answers, expected = model.masks(embedding, _grid(region, search.crop_points if i else search.points))
        for logits, quality in zip(answers, expected, strict=True):
            inside = _inside(logits, region)
            core, halo = (inside > 1).sum(), (inside > -1).sum()
            stability = core / max(1, halo)
            is_cut = i > 0 and _is_cut(inside > 0, region, places[0])
            if quality < search.quality or stability < search.stability or is_cut:
                continue
            mask = _in_frame(logits, region)
            if search.smallest <= mask.sum() / area <= search.largest:
                masks.append(mask)
                scores.append(float(stability))
    order = np.argsort(scores, kind="stable")[::-1]
    return _distinct(np.array([masks[i] for i in order], bool).reshape(-1, FRAME, FRAME), search.overlap)


def _grid(region: Region, count: int) -> np.ndarray:
    """A grid of points (n, 2) in a region, `count` along its long side; x and y are shares of this side."""
    _, _, width, height = region
    side = max(width, height)
    columns, rows = (max(1, round(count * length / side)) for length in (width, height))
    x = (np.arange(columns) + 0.5) / columns * width / side
    y = (np.arange(rows) + 0.5) / rows * height / side
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)


def _inside(square: np.ndarray, region: Region) -> np.ndarray:
    """The part (h, w) of the decoder's square (256, 256) that shows the region; the rest is padding."""
    columns, rows = (max(1, round(MASK * length / max(region[2:]))) for length in region[2:])
    return square[:rows, :columns]


def _is_cut(mask: np.ndarray, region: Region, whole: Region) -> bool:
    """Whether a mask (h, w) of a crop touches an edge of the crop that is not an edge of the photo."""
    left, top, width, height = region
    return bool(
        (left > 0 and mask[:, 0].any())
        or (top > 0 and mask[0].any())
        or (left + width < whole[2] - 1e-6 and mask[:, -1].any())
        or (top + height < whole[3] - 1e-6 and mask[-1].any())
    )


def _in_frame(logits: np.ndarray, region: Region) -> np.ndarray:
    """The mask (FRAME, FRAME) bool from a region's logits (256, 256)."""
    side = round(FRAME * max(region[2:]))
    large = cv2.resize(logits, (side, side)) > 0
    x, y, columns, rows = (round(FRAME * part) for part in region)
    frame = np.zeros((FRAME, FRAME), bool)
    inside = large[: min(rows, FRAME - y), : min(columns, FRAME - x)]
    frame[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return frame


def _distinct(masks: np.ndarray, overlap: float) -> np.ndarray:
    """Non-maximum suppression of masks (n, FRAME, FRAME) bool, best first.

    Drop empty masks, and masks whose IoU with a better mask that is kept is above `overlap`.
    """
    small = np.array([cv2.resize(m.astype(np.float32), (COARSE,) * 2, interpolation=cv2.INTER_AREA) for m in masks])
    flat = small.reshape(len(masks), COARSE * COARSE)
    both, areas = flat @ flat.T, flat.sum(1)
    # Resized masks have values between 0 and 1 at their edges. With the sum of squares as the area of a mask, the IoU
    # of a mask with itself is 1.
    own = np.diagonal(both)
    kept: list[int] = []
    for i in range(len(masks)):
        union = own[i] + own[kept] - both[i, kept]
        if not (both[i, kept] > overlap * union).any() and areas[i]:
            kept.append(i)
    return masks[kept]
