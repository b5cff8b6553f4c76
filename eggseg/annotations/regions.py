"""Labelled regions of a photo, and the mask that they make together."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

from eggseg.classes import VOID, ClassTable
from eggseg.errors import InputError, missing_extra
from eggseg.pictures import MOST_PIXELS

UNKNOWN = "void"
"""The label of a region that nobody knows: it is left out of loss and metrics."""


@dataclasses.dataclass(frozen=True)
class Region:
    """A part of a photo and what it is."""

    label: str
    pixels: np.ndarray
    """(h, w) bool."""
    level: int = 0
    """Regions of a higher level lie above others."""


@dataclasses.dataclass(frozen=True)
class Annotated:
    """A photo and the regions that somebody drew in it."""

    name: str
    """Its path below the folder of photos, with forward slashes."""
    photo: Path
    size: tuple[int, int]
    """(height, width)."""
    regions: tuple[Region, ...]

    def ids(self, classes: ClassTable, rename: Mapping[str, str]) -> np.ndarray:
        """Class ids, (h, w) uint8: small regions above large ones of their level, as an egg lies in its pan.

        `rename` takes labels to names of classes, or to "void". `InputError` where a label is neither.
        """
        ids = np.zeros(self.size, np.uint8)
        for region in sorted(self.regions, key=lambda region: (region.level, -np.count_nonzero(region.pixels))):
            name = rename.get(region.label, region.label)
            if name != UNKNOWN and name not in classes.names:
                known = ", ".join((*classes.names, UNKNOWN))
                raise InputError(f"{self.name} has a {name!r}, expected {known}: --rename {name}=NAME says what it is")
            ids[region.pixels] = VOID if name == UNKNOWN else classes.names.index(name)
        return ids


def polygons(rings: Sequence[Sequence[float]], size: tuple[int, int]) -> np.ndarray:
    """The pixels of polygons, each x, y, x, y, ..., in a photo of (height, width): (h, w) bool.

    `ValueError` where there is no polygon, or one that lies nowhere.
    """
    height, width = size
    if not 0 < height * width <= MOST_PIXELS:
        raise ValueError(f"a photo of {width}x{height}")
    found = [np.array(ring, float) for ring in rings if len(ring) >= 6]  # what has fewer corners has no inside
    if not found or not all(np.isfinite(ring).all() for ring in found):
        raise ValueError("a region has no outline, or one that lies nowhere")
    api = coco_api()
    # Far outside it makes no difference where, but to the memory that pycocotools takes.
    near = [np.clip(ring, -2 * max(size), 3 * max(size)).tolist() for ring in found]
    return api.decode(api.merge(api.frPyObjects(near, *size))).astype(bool)


def box(left: float, top: float, right: float, bottom: float, size: tuple[int, int], turn: float = 0) -> np.ndarray:
    """The pixels of a rectangle, turned about its middle by so many degrees: (h, w) bool."""
    corners = np.array([complex(left, top), complex(right, top), complex(right, bottom), complex(left, bottom)])
    return polygons([_turned(corners, corners.mean(), turn)], size)


def ellipse(x: float, y: float, across: float, down: float, size: tuple[int, int], turn: float = 0) -> np.ndarray:
    """The pixels of an ellipse about (x, y) with two half axes, turned by so many degrees: (h, w) bool."""
    angle = np.linspace(0, 2 * np.pi, 181)[:-1]
    middle = complex(x, y)
    return polygons([_turned(middle + across * np.cos(angle) + 1j * down * np.sin(angle), middle, turn)], size)


def _turned(points: np.ndarray, middle: complex, turn: float) -> list[float]:
    """Points, (n,) complex, turned about another by so many degrees, as x, y, x, y, ..."""
    points = (points - middle) * np.exp(1j * np.radians(turn)) + middle
    return np.stack([points.real, points.imag], -1).ravel().tolist()


def coco_api() -> ModuleType:
    """pycocotools.mask; `InputError` where the extra is not installed."""
    try:
        return importlib.import_module("pycocotools.mask")
    except ImportError:
        raise missing_extra("reading and writing annotations", "convert") from None
