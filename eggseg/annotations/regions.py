"""Labelled regions of a photo, and the mask that they form."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from eggseg.data.classes import VOID, ClassTable
from eggseg.errors import InputError, missing_extra, printable

UNKNOWN = "void"
"""The label of a region whose class is unknown: loss and metrics ignore the pixels of the region."""

LONGEST = 4_000_000
"""Largest accepted length of an outline, in pixels: pycocotools needs about 100 bytes of memory per pixel."""

Runs = dict[str, Any]
"""The pixels of a region, as run lengths packed by pycocotools: they need less memory than an array of pixels."""


@dataclasses.dataclass(frozen=True)
class Region:
    """A part of a photo and its label."""

    label: str
    runs: Runs
    level: int = 0
    """In a mask, a region of a higher level covers the regions of lower levels."""

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(coco_api().area(self.runs))

    @property
    def pixels(self) -> np.ndarray:
        """(h, w) bool, true inside the region."""
        return coco_api().decode(self.runs).astype(bool)


@dataclasses.dataclass(frozen=True)
class Annotated:
    """A photo and the regions drawn in it."""

    name: str
    """The photo's path below the folder of photos, with forward slashes."""
    photo: Path
    size: tuple[int, int]
    """(height, width)."""
    regions: tuple[Region, ...]
    skipped: tuple[str, ...] = ()
    """Texts that describe the shapes without an area, such as "polygon of 2 points"."""

    @classmethod
    def of(cls, name: str, photo: Path, size: tuple[int, int], drawn: Iterable[Region | str]) -> Annotated:
        """Build from all shapes of a photo: a shape is a region, or a text that describes a shape without an area."""
        regions, skipped = [], []
        for shape in drawn:
            if isinstance(shape, str):
                skipped.append(shape)
            elif shape.area == 0:
                skipped.append("shape that covers no pixel")
            else:
                regions.append(shape)
        return cls(name, photo, size, tuple(regions), tuple(skipped))

    def ids(self, classes: ClassTable, rename: Mapping[str, str]) -> np.ndarray:
        """The mask that the regions form, as class ids, (h, w) uint8.

        Regions of higher levels cover those of lower levels. Within a level, small regions cover large ones, because
        an egg lies in a larger pan. `rename` maps labels to class names or to "void"; other labels stay unchanged.
        `InputError` if a label is then neither a class name nor "void".
        """
        ids = np.zeros(self.size, np.uint8)
        for region in sorted(self.regions, key=lambda region: (region.level, -region.area)):
            name = rename.get(region.label, region.label)
            if name != UNKNOWN and name not in classes.names:
                known, label = ", ".join((*classes.names, UNKNOWN)), printable(name)
                raise InputError(
                    f"{printable(self.name)} has the label {name!r}, expected {known}: --rename {label}=NAME changes it"
                )
            ids[region.pixels] = VOID if name == UNKNOWN else classes.names.index(name)
        return ids


Reader = Callable[[Path, Path | None, int], Iterator[Callable[[], Annotated]]]
"""Takes a source, the folder of the photos or None, and the maximum number of pixels of a photo.

The reader yields a function for each photo, which reads the photo's annotation. The reader raises `InputError` for a
faulty source, and the function for a faulty photo, so that one faulty photo does not hide the faults of the next.
"""


def outlined(rings: Sequence[np.ndarray], size: tuple[int, int]) -> Runs:
    """The pixels inside at least one of the outlines `rings`, in a photo of `size`, (height, width).

    An outline is (n,) complex: points x + iy in pixels. `ValueError` if an outline is longer than `LONGEST`.
    """
    near = [ring for ring in (_near(ring, size) for ring in rings) if len(ring) >= 3]
    for ring in near:
        step = np.diff(ring, append=ring[:1])
        if np.maximum(abs(step.real), abs(step.imag)).sum() > LONGEST:
            raise ValueError(f"an outline is longer than {LONGEST} pixels")
    if not near:
        return counted([size[0] * size[1]], size)
    api = coco_api()
    flat = [np.stack([ring.real, ring.imag], -1).ravel().tolist() for ring in near]
    return api.merge(api.frPyObjects(flat, *size))


def box(left: float, top: float, right: float, bottom: float, size: tuple[int, int], turn: float = 0) -> Runs:
    """The pixels of a rectangle, rotated clockwise about its centre by `turn` degrees."""
    corners = np.array([complex(left, top), complex(right, top), complex(right, bottom), complex(left, bottom)])
    return outlined([_turned(corners, corners.mean(), turn)], size)


def ellipse(x: float, y: float, across: float, down: float, size: tuple[int, int], turn: float = 0) -> Runs:
    """The pixels of an ellipse with centre (x, y) and half axes `across` and `down`, rotated like `box`."""
    angle = np.linspace(0, 2 * np.pi, 181)[:-1]
    middle = complex(x, y)
    return outlined([_turned(middle + across * np.cos(angle) + 1j * down * np.sin(angle), middle, turn)], size)


def counted(counts: Sequence[int], size: tuple[int, int]) -> Runs:
    """The pixels of run lengths that go down one column after another; the first run is outside the region."""
    refuse_incomplete(counts, size)
    return coco_api().frPyObjects({"size": list(size), "counts": list(counts)}, *size)


def covered(pixels: np.ndarray) -> Runs:
    """The pixels of an array, (h, w) bool."""
    return coco_api().encode(np.asfortranarray(pixels, np.uint8))


def placed(part: np.ndarray, left: int, top: int, size: tuple[int, int]) -> Runs:
    """The pixels of `part`, (h, w) bool, with its upper left corner at (left, top), clipped to the photo."""
    pixels = np.zeros(size, bool)
    y, bottom = (min(max(edge, 0), size[0]) for edge in (top, top + part.shape[0]))
    x, right = (min(max(edge, 0), size[1]) for edge in (left, left + part.shape[1]))
    pixels[y:bottom, x:right] = part[y - top : bottom - top, x - left : right - left]
    return covered(pixels)


def refuse_incomplete(counts: Sequence[int], size: tuple[int, int]) -> None:
    """`ValueError` unless run lengths fill a picture of (height, width): decoders leave missing pixels undefined."""
    height, width = size
    if min(counts, default=0) < 0 or sum(counts) != height * width:
        raise ValueError(f"run lengths of {sum(counts)} pixels, expected {height * width} and none below 0")


def _near(ring: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Clip an outline, (n,) complex, to the photo and a margin of one photo width or height on each side."""
    height, width = size
    for limit in (2 * width, 2 * height, width, height):
        # Clip on the right, then turn the next side to the right. Four quarter turns restore the outline.
        ring = _cut(ring, limit) * -1j
    return ring


def _cut(ring: np.ndarray, limit: float) -> np.ndarray:
    """The part of an outline, (n,) complex, left of the vertical line x = `limit`."""
    onward = np.roll(ring, -1)
    inside, crosses = ring.real <= limit, (ring.real <= limit) != (onward.real <= limit)
    step = np.where(crosses, onward - ring, 1)
    meets = limit + 1j * (ring.imag + (limit - ring.real) / step.real * step.imag)
    return np.stack([ring, meets], -1)[np.stack([inside, crosses], -1)]


def _turned(points: np.ndarray, middle: complex, turn: float) -> np.ndarray:
    """Rotate points, (n,) complex, clockwise about `middle` by `turn` degrees (y points down)."""
    return (points - middle) * np.exp(1j * np.radians(turn)) + middle


def coco_api() -> ModuleType:
    """The module pycocotools.mask; `InputError` if the extra `convert` is not installed."""
    try:
        return importlib.import_module("pycocotools.mask")
    except ImportError:
        raise missing_extra("reading and writing annotations", "convert") from None
