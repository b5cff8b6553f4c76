"""CVAT for images 1.1: one XML file."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from eggseg.annotations.regions import Annotated, Region, box, ellipse, polygons
from eggseg.errors import InputError, missing_extra
from eggseg.files import inside


def read(source: Path, photos: Path | None = None) -> Iterator[Annotated]:
    """The photos of an XML file; they lie in `photos`, or in a folder images beside the file, or beside it."""
    beside = source.parent / "images"
    folder = photos or (beside if beside.is_dir() else source.parent)
    for image in _root(source).iter("image"):
        try:
            size = (int(image.attrib["height"]), int(image.attrib["width"]))
            regions = [
                Region(shape.attrib["label"], _pixels(shape, size), int(shape.attrib.get("z_order", 0)))
                for shape in image
                if "label" in shape.attrib and shape.tag not in ("tag", "points", "polyline")
            ]
            photo = inside(folder, image.attrib["name"])
        except (KeyError, ValueError) as error:
            raise InputError(f"{source} is no sound CVAT file: {error!r}") from None
        yield Annotated(photo.relative_to(folder).as_posix(), photo, size, tuple(regions))


def _root(source: Path) -> Any:
    try:
        # The standard library's own parser expands entities without end.
        return importlib.import_module("defusedxml.ElementTree").parse(source).getroot()
    except ImportError:
        raise missing_extra("reading CVAT's XML", "convert") from None
    except Exception as error:  # defusedxml's own kinds are no ParseError
        raise InputError(f"{source} cannot be read as XML: {error!r}") from None


def _pixels(shape: Any, size: tuple[int, int]) -> np.ndarray:
    def number(name: str) -> float:
        return float(shape.attrib.get(name, 0) if name == "rotation" else shape.attrib[name])

    if shape.tag == "polygon":
        points = shape.attrib["points"].replace(";", ",").split(",")
        return polygons([[float(part) for part in points]], size)
    if shape.tag == "box":
        return box(number("xtl"), number("ytl"), number("xbr"), number("ybr"), size, number("rotation"))
    if shape.tag == "ellipse":
        return ellipse(number("cx"), number("cy"), number("rx"), number("ry"), size, number("rotation"))
    if shape.tag == "mask":
        left, top, width, height = (int(number(name)) for name in ("left", "top", "width", "height"))
        runs = [int(run) for run in shape.attrib["rle"].split(",")]
        part = np.repeat(np.arange(len(runs)) % 2, runs).astype(bool).reshape(height, width)
        pixels = np.zeros(size, bool)
        pixels[top : top + height, left : left + width] = part
        return pixels
    raise ValueError(f"a {shape.tag} has no inside")
