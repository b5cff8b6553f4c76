"""Labelled regions of a photo, and the mask that they make together."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

from eggseg.classes import VOID, ClassTable
from eggseg.errors import InputError

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
    """The pixels of polygons, each x, y, x, y, ..., in a photo of (height, width): (h, w) bool."""
    api = coco_api()
    rings = [ring for ring in rings if len(ring) >= 6]  # what has no inside has no pixels
    if not rings:
        return np.zeros(size, bool)
    return api.decode(api.merge(api.frPyObjects([list(map(float, ring)) for ring in rings], *size))).astype(bool)


def box(left: float, top: float, right: float, bottom: float, size: tuple[int, int]) -> np.ndarray:
    """The pixels of a rectangle: (h, w) bool."""
    return polygons([[left, top, right, top, right, bottom, left, bottom]], size)


def ellipse(x: float, y: float, across: float, down: float, size: tuple[int, int], turn: float = 0) -> np.ndarray:
    """The pixels of an ellipse about (x, y) with two half axes, turned by so many degrees: (h, w) bool."""
    angle = np.linspace(0, 2 * np.pi, 181)[:-1]
    points = across * np.cos(angle) + 1j * down * np.sin(angle)
    points = points * np.exp(1j * np.radians(turn)) + complex(x, y)
    return polygons([np.stack([points.real, points.imag], -1).ravel().tolist()], size)


def coco_api() -> ModuleType:
    """pycocotools.mask; `InputError` where the extra is not installed."""
    try:
        return importlib.import_module("pycocotools.mask")
    except ImportError:
        raise InputError("reading and writing annotations takes an extra: pip install 'eggseg[convert]'") from None
