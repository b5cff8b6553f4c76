"""LabelMe, and X-AnyLabeling, which has more kinds of shapes: a JSON file for each photo."""

from __future__ import annotations

import base64
import functools
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from eggseg.annotations.fields import entry, field, naming, of_kind, points, shown, size
from eggseg.annotations.photos import below, is_file, refuse_misfit, slashed
from eggseg.annotations.regions import Annotated, Region, Runs, box, ellipse, outlined, placed
from eggseg.files import read_json
from eggseg.pictures.pillow import PictureError, opened

OUTLINES = ("polygon", "rotation", "oriented_rectangle", "quadrilateral")
"""Kinds of shapes whose points are the corners of an outline."""

FEWEST = {**dict.fromkeys(OUTLINES, 3), "rectangle": 2, "circle": 2, "mask": 1}
"""Minimum number of points, for each kind of shape with an area."""


def read(source: Path, photos: Path | None, max_pixels: int) -> Iterator[Callable[[], Annotated]]:
    """Read the photos of all JSON files below a folder; each lies in `photos`, or where its file says."""
    for path in listed(source):
        yield functools.partial(_annotated, path, source, photos, max_pixels)


def listed(source: Path) -> list[Path]:
    """All JSON files below a folder, sorted. Hidden files are skipped; links to folders are followed once."""
    files, seen = [], set[str]()
    for root, folders, names in os.walk(source, followlinks=True):
        place = os.path.realpath(root)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and place not in seen)
        if place not in seen:
            files += [Path(root, name) for name in names if name.lower().endswith(".json") and name[0] != "."]
        seen.add(place)
    return sorted(files)


def _annotated(path: Path, source: Path, photos: Path | None, max_pixels: int) -> Annotated:
    content = read_json(path)
    with naming(path):
        photo, name = _photo(path, field(content, "imagePath", str), source, photos)
        extent = size(entry(content, "imageHeight"), entry(content, "imageWidth"), max_pixels)
        shapes = field(content, "shapes", list)
        refuse_misfit(photo, extent, max_pixels)
        return Annotated.of(name, photo, extent, [_region(shape, extent, max_pixels) for shape in shapes])


def _photo(path: Path, image_path: str, source: Path, photos: Path | None) -> tuple[Path, str]:
    """The photo of a JSON file, and its name: its path below `photos`, or below `source`.

    `image_path` is relative to the JSON file. If it does not lead into `photos`, the photos were moved. Then the photo
    is the file in `photos` whose path shares the most trailing folders with `image_path`. If the photo lay in the
    folders of the JSON file, these must be among the shared ones.
    """
    if "\0" in image_path:
        raise ValueError(f"imagePath is {shown(image_path)}, expected the name of a photo")
    photo = path.parent / image_path
    photo = photo if is_file(photo) else path.parent / slashed(image_path)
    place = Path(os.path.abspath(photo))
    folder = photos or source
    if place.is_relative_to(os.path.abspath(folder)):
        return photo, os.path.relpath(place, folder)
    folders = path.parent.relative_to(source).parts
    parts = [part for part in Path(os.path.relpath(place, source)).parts if part != os.pardir]
    is_mirrored = bool(folders) and tuple(parts[:-1][-len(folders) :]) == folders
    fewest = len(folders) + 1 if is_mirrored else 1
    if photos is None:
        return photo, str(PurePosixPath(*(parts[-fewest:] if is_mirrored else parts)))
    names = [str(PurePosixPath(*parts[i:])) for i in range(len(parts) - fewest + 1)] or [image_path]
    name = next((name for name in names if is_file(photos / name)), names[-1])
    return below(photos, name), name


def _region(shape: Any, extent: tuple[int, int], max_pixels: int) -> Region | str:
    """A shape, or its kind if it has no area."""
    label, corners = field(shape, "label", str), points(field(shape, "points", list), "points")
    kind = of_kind(shape.get("shape_type") or "polygon", "shape_type", str)
    if kind not in FEWEST:
        return shown(kind).strip("'")
    if len(corners) < FEWEST[kind]:
        return f"{kind} of {len(corners)} points"
    if kind == "mask":
        part = _part(field(shape, "mask", str), max_pixels)
        return Region(label, placed(part, round(corners[0].real), round(corners[0].imag), extent))
    return Region(label, _pixels(kind, corners, extent))


def _pixels(kind: str, corners: np.ndarray, extent: tuple[int, int]) -> Runs:
    if kind in OUTLINES:
        return outlined([corners], extent)
    if kind == "rectangle" and len(corners) == 4:
        # Sorted by their angle around the middle: the file may have them in any order.
        return outlined([corners[np.argsort(np.angle(corners - corners.mean()))]], extent)
    if len(corners) != 2:
        raise ValueError(f"a {kind} has {len(corners)} points, expected 2{' or 4' * (kind == 'rectangle')}")
    (x, y), (u, v) = ((corner.real, corner.imag) for corner in corners)
    if kind == "rectangle":
        return box(x, y, u, v, extent)
    radius = abs(corners[1] - corners[0])
    return ellipse(x, y, radius, radius, extent)


def _part(mask: str, max_pixels: int) -> np.ndarray:
    """Decode a mask from the JSON, a picture of one channel in base64, to (h, w) bool."""
    try:
        with opened(io.BytesIO(base64.b64decode(mask)), max_pixels) as picture:
            part = np.asarray(picture) > 0
    except PictureError as error:
        raise ValueError(f"a mask {error}") from None
    if part.ndim != 2:
        raise ValueError(f"a mask has {part.shape[-1]} channels, expected one")
    return part
