"""Everything in a photo: Segment Anything asked at a grid of points, in the whole photo and in crops of it.

Masks lie in a frame of `FRAME` pixels whose side is the photo's long side, the photo in its upper left corner.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from eggseg.labelfree.clusters.segment_anything import MASK, SegmentAnything

FRAME = 512
"""Side of the frame, pixels: that of the decoder's masks in crops of half the photo's side."""

COARSE = 128
"""Side at which masks are compared with each other."""

OVERLAP = 0.25
"""The share of its side by which a crop reaches into the next."""


@dataclasses.dataclass(frozen=True)
class Search:
    """Where to ask, and which answers to keep."""

    points: int = 16
    """Points along the photo's long side."""
    crops: int = 2
    """Crops along the long side, which are looked at more closely; 0 is none."""
    crop_points: int = 12
    """Points along the long side of a crop."""
    quality: float = 0.8
    """Least IoU with the truth that the decoder expects."""
    stability: float = 0.85
    """Least IoU of the mask's cores at a higher and at a lower threshold."""
    overlap: float = 0.7
    """Of two masks with a larger IoU, the more stable one is kept."""
    smallest: float = 2e-4
    """Least share of the photo."""
    largest: float = 0.6
    """Largest share of the photo."""


Region = tuple[float, float, float, float]
"""Left, top, width and height, as shares of the photo's long side."""


def regions(image: np.ndarray, search: Search) -> list[Region]:
    """All of a photo (h, w, 3), and its crops."""
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
    """A region of a photo (h, w, 3)."""
    side = max(image.shape[:2])
    left, top = (
        min(round(side * part), length - 1) for part, length in zip(region[:2], image.shape[1::-1], strict=True)
    )
    right, below = (round(side * (region[i] + region[i + 2])) for i in range(2))
    return image[top : max(below, top + 1), left : max(right, left + 1)]


def propose(model: SegmentAnything, embeddings: np.ndarray, found: Sequence[Region], search: Search) -> np.ndarray:
    """Masks (n, FRAME, FRAME) bool, the most stable first, from the embeddings (regions, 256, 64, 64)."""
    masks: list[np.ndarray] = []
    scores: list[float] = []
    photo = found[0][2] * found[0][3] * FRAME**2
    for i, (embedding, region) in enumerate(zip(embeddings, found, strict=True)):
        logits, expected = model.masks(embedding, _grid(region, search.crop_points if i else search.points))
        for one, quality in zip(logits, expected, strict=True):
            inside = _inside(one, region)
            core, halo = (inside > 1).sum(), (inside > -1).sum()
            stability = core / max(1, halo)
            is_cut = i > 0 and _is_cut(inside > 0, region, found[0])
            if quality < search.quality or stability < search.stability or is_cut:
                continue
            mask = _in_frame(one, region)
            if search.smallest <= mask.sum() / photo <= search.largest:
                masks.append(mask)
                scores.append(float(stability))
    order = np.argsort(scores, kind="stable")[::-1]
    return _distinct(np.array([masks[i] for i in order], bool).reshape(-1, FRAME, FRAME), search.overlap)


def _grid(region: Region, count: int) -> np.ndarray:
    """Points (n, 2) in a region, as shares of its long side."""
    _, _, width, height = region
    side = max(width, height)
    columns, rows = (max(1, round(count * length / side)) for length in (width, height))
    x = (np.arange(columns) + 0.5) / columns * width / side
    y = (np.arange(rows) + 0.5) / rows * height / side
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)


def _inside(square: np.ndarray, region: Region) -> np.ndarray:
    """The part (h, w) of the decoder's square (256, 256) in which the region lies: the rest is padding."""
    columns, rows = (max(1, round(MASK * length / max(region[2:]))) for length in region[2:])
    return square[:rows, :columns]


def _is_cut(mask: np.ndarray, region: Region, whole: Region) -> bool:
    """Whether a mask (h, w) of a crop ends where the crop does and the photo does not."""
    left, top, width, height = region
    return bool(
        (left > 0 and mask[:, 0].any())
        or (top > 0 and mask[0].any())
        or (left + width < whole[2] - 1e-6 and mask[:, -1].any())
        or (top + height < whole[3] - 1e-6 and mask[-1].any())
    )


def _in_frame(logits: np.ndarray, region: Region) -> np.ndarray:
    side = round(FRAME * max(region[2:]))
    large = cv2.resize(logits, (side, side)) > 0
    x, y, columns, rows = (round(FRAME * part) for part in region)
    frame = np.zeros((FRAME, FRAME), bool)
    inside = large[: min(rows, FRAME - y), : min(columns, FRAME - x)]
    frame[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return frame


def _distinct(masks: np.ndarray, overlap: float) -> np.ndarray:
    """Those of masks (n, FRAME, FRAME), the best first, that are no other, better one again."""
    small = np.array([cv2.resize(m.astype(np.float32), (COARSE,) * 2, interpolation=cv2.INTER_AREA) for m in masks])
    flat = small.reshape(len(masks), COARSE * COARSE)
    both, areas = flat @ flat.T, flat.sum(1)
    # Of soft masks the product is less than the mask where edges are: each is compared with what it has of itself.
    own = np.diagonal(both)
    kept: list[int] = []
    for i in range(len(masks)):
        union = own[i] + own[kept] - both[i, kept]
        if not (both[i, kept] > overlap * union).any() and areas[i]:
            kept.append(i)
    return masks[kept]
