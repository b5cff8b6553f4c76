"""LabelMe: a JSON file for each photo."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from PIL import Image

from eggseg.annotations.regions import Annotated, Region, box, ellipse, polygons
from eggseg.errors import InputError
from eggseg.files import inside, read_json


def read(source: Path, photos: Path | None = None) -> Iterator[Annotated]:
    """The photos of all JSON files below a folder; each lies in `photos`, or beside its file."""
    for path in sorted(source.rglob("*.json")):
        content = read_json(path)
        try:
            size = (int(content["imageHeight"]), int(content["imageWidth"]))
            name = PureWindowsPath(content["imagePath"]).name  # whose last part is that of a path of either kind
            regions = [Region(shape["label"], _pixels(shape, size)) for shape in content["shapes"]]
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise InputError(f"{path} is no sound LabelMe file: {error!r}") from None
        below = path.parent.relative_to(source) / name
        yield Annotated(below.as_posix(), inside(photos or path.parent, name), size, tuple(regions))


def _pixels(shape: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
    kind, points = shape.get("shape_type") or "polygon", shape["points"]
    if kind == "polygon":
        return polygons([[part for point in points for part in point]], size)
    (x, y), (u, v) = points[:2]
    if kind == "rectangle":
        return box(min(x, u), min(y, v), max(x, u), max(y, v), size)
    if kind == "circle":
        radius = float(np.hypot(u - x, v - y))
        return ellipse(x, y, radius, radius, size)
    if kind == "mask":
        part = np.asarray(Image.open(io.BytesIO(base64.b64decode(shape["mask"])), formats=["PNG"])) > 0
        return _placed(part, round(x), round(y), size)
    raise ValueError(f"a {kind} has no inside")


def _placed(part: np.ndarray, left: int, top: int, size: tuple[int, int]) -> np.ndarray:
    pixels = np.zeros(size, bool)
    window = pixels[top : top + part.shape[0], left : left + part.shape[1]]
    window[:] = part[: window.shape[0], : window.shape[1]]
    return pixels
