"""Read annotations of LabelMe, or of X-AnyLabeling with its additional shapes: a JSON file for each photo."""

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
from eggseg.annotations.photos import below, is_file, refuse_misfit, stored
from eggseg.annotations.regions import Annotated, Region, Runs, box, ellipse, outlined, placed
from eggseg.files import read_json
from eggseg.pictures.pillow import PictureError, opened

OUTLINES = ("polygon", "rotation", "oriented_rectangle", "quadrilateral")
"""Kinds of shapes whose points are the corners of an outline."""

FEWEST_POINTS = {**dict.fromkeys(OUTLINES, 3), "rectangle": 2, "circle": 2, "mask": 1}
"""Minimum number of points, for each kind of shape with an area."""


def read(source: Path, photos: Path | None, max_pixels: int) -> Iterator[Callable[[], Annotated]]:
    """For each JSON file below `source`, yield a function that reads the annotations; see `regions.Reader`.

    The function looks for the photo in `photos` or, if that is None, at the path that the JSON file contains.
    """
    for path in listed(source):
        yield functools.partial(_annotated, path, source, photos, max_pixels)


def listed(source: Path) -> list[Path]:
    """All JSON files below a folder, sorted, without hidden ones; a folder to which several links lead is read once."""
    files, seen = [], set[str]()
    for root, folders, names in os.walk(source, followlinks=True):
        real_folder = os.path.realpath(root)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and real_folder not in seen)
        if real_folder not in seen:
            files += [Path(root, name) for name in names if name.lower().endswith(".json") and name[0] != "."]
        seen.add(real_folder)
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
    """The photo of a JSON file, and the photo's name: its path below `photos` or, without `photos`, below `source`.

    `image_path` is relative to the folder of the JSON file. Without `photos`, the photo is read from this path.

    With `photos`, a path that leads out of `photos` means that the photos were moved there. Then the path is shortened
    from the left until it names a file in `photos`: `a/b/x.jpg`, else `b/x.jpg`, else `x.jpg`. Photos are mirrored if
    they lie in the same subfolders as the JSON files, such as `.../a/x.jpg` for `SOURCE/a/x.json`. Of mirrored photos,
    these subfolders are never cut off.

    A photo outside of `source` and `photos` is named by these subfolders and its file name if it is mirrored, else by
    its path relative to `source` without `..`.
    """
    if "\0" in image_path:
        raise ValueError(f"imagePath is {shown(image_path)}, expected the name of a photo")
    photo = stored(path.parent, image_path)
    old_path = Path(os.path.abspath(photo))
    root = photos or source
    if old_path.is_relative_to(os.path.abspath(root)):
        return photo, os.path.relpath(old_path, root)
    json_folders = path.parent.relative_to(source).parts
    parts = [part for part in Path(os.path.relpath(old_path, source)).parts if part != os.pardir]
    is_mirrored = bool(json_folders) and tuple(parts[:-1][-len(json_folders) :]) == json_folders
    fewest_parts = len(json_folders) + 1 if is_mirrored else 1
    if photos is None:
        return photo, str(PurePosixPath(*(parts[-fewest_parts:] if is_mirrored else parts)))
    names = [str(PurePosixPath(*parts[i:])) for i in range(len(parts) - fewest_parts + 1)] or [image_path]
    name = next((name for name in names if is_file(stored(photos, name))), names[-1])
    return below(photos, name), name


def _region(shape: Any, extent: tuple[int, int], max_pixels: int) -> Region | str:
    """The region of a shape; for a shape without an area, a text that describes the shape, such as "line"."""
    label, corners = field(shape, "label", str), points(field(shape, "points", list), "points")
    kind = of_kind(shape.get("shape_type") or "polygon", "shape_type", str)
    if kind not in FEWEST_POINTS:
        return shown(kind).strip("'")
    if len(corners) < FEWEST_POINTS[kind]:
        return f"{kind} of {len(corners)} points"
    if kind == "mask":
        mask = _decoded(field(shape, "mask", str), max_pixels)
        return Region(label, placed(mask, round(corners[0].real), round(corners[0].imag), extent))
    return Region(label, _pixels(kind, corners, extent))


def _pixels(kind: str, corners: np.ndarray, extent: tuple[int, int]) -> Runs:
    if kind in OUTLINES:
        return outlined([corners], extent)
    if kind == "rectangle" and len(corners) == 4:
        # Sort the corners by their angle around the centre, because the file may list them in any order.
        return outlined([corners[np.argsort(np.angle(corners - corners.mean()))]], extent)
    if len(corners) != 2:
        raise ValueError(f"a {kind} has {len(corners)} points, expected 2{' or 4' * (kind == 'rectangle')}")
    (x, y), (x2, y2) = ((corner.real, corner.imag) for corner in corners)
    if kind == "rectangle":
        return box(x, y, x2, y2, extent)
    radius = abs(corners[1] - corners[0])
    return ellipse(x, y, radius, radius, extent)


def _decoded(text: str, max_pixels: int) -> np.ndarray:
    """Decode the base64 text of a picture with one channel to (h, w) bool, true where the picture is not 0."""
    try:
        with opened(io.BytesIO(base64.b64decode(text)), max_pixels) as picture:
            mask = np.asarray(picture) > 0
    except PictureError as error:
        raise ValueError(f"a mask {error}") from None
    if mask.ndim != 2:
        raise ValueError(f"a mask has {mask.shape[-1]} channels, expected one")
    return mask
