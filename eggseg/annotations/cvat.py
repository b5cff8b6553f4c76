"""Read the format "CVAT for images 1.1": one XML file for all photos."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from eggseg.annotations.fields import naming, number, outline, shown, size, whole
from eggseg.annotations.photos import below, refuse_misfit
from eggseg.annotations.regions import (
    Annotated,
    Region,
    Runs,
    box,
    ellipse,
    outlined,
    placed,
    refuse_incomplete,
)
from eggseg.errors import InputError, missing_extra


def read(source: Path, photos: Path | None, max_pixels: int) -> Iterator[Callable[[], Annotated]]:
    """For each image of an XML file, yield a function that reads the image's annotations; see `regions.Reader`.

    The photos lie in the folder `photos`. If that is None, they lie in the folder `images` next to the file or, if
    there is no such folder, in the folder of the file.
    """
    beside = source.parent / "images"
    folder = photos or (beside if beside.is_dir() else source.parent)
    root = _root(source)
    if root.find("track") is not None:
        raise InputError(f"{source} is CVAT for video: expected CVAT for images 1.1")
    for image in root.iter("image"):
        yield functools.partial(_annotated, source, image, folder, max_pixels)


def _root(source: Path) -> Any:
    try:
        # defusedxml refuses entities, with which a small file can expand to gigabytes of text.
        return importlib.import_module("defusedxml.ElementTree").parse(source).getroot()
    except ImportError:
        raise missing_extra("reading CVAT's XML", "convert") from None
    except Exception as error:  # defusedxml's errors are not ParseErrors
        raise InputError(f"{source} cannot be read as XML: {error!r}") from None


def _annotated(source: Path, image: Any, folder: Path, max_pixels: int) -> Annotated:
    with naming(source):
        photo = below(folder, _text(image, "name"))
        extent = size(_text(image, "height"), _text(image, "width"), max_pixels)
        refuse_misfit(photo, extent, max_pixels)
        # A `tag` element describes the whole photo and has no shape.
        drawn = [_region(shape, extent, max_pixels) for shape in image if shape.tag != "tag"]
        return Annotated.of(photo.relative_to(folder).as_posix(), photo, extent, drawn)


def _region(shape: Any, extent: tuple[int, int], max_pixels: int) -> Region | str:
    """The region of a shape; for a shape of another kind or without an area, a text such as "polyline"."""
    if shape.tag not in ("polygon", "box", "ellipse", "mask"):
        return shown(shape.tag).strip("'")
    label, level = _text(shape, "label"), whole(shape.attrib.get("z_order", "0"), "z_order")
    if shape.tag == "polygon":
        corners = outline(_text(shape, "points").replace(";", ",").split(","), "points")
        if len(corners) < 3:
            return f"polygon of {len(corners)} points"
        return Region(label, outlined([corners], extent), level)
    return Region(label, _mask(shape, extent, max_pixels) if shape.tag == "mask" else _round(shape, extent), level)


def _round(shape: Any, extent: tuple[int, int]) -> Runs:
    """The pixels of a box or an ellipse, possibly rotated."""
    draw, names = (box, ("xtl", "ytl", "xbr", "ybr")) if shape.tag == "box" else (ellipse, ("cx", "cy", "rx", "ry"))
    first, second, third, fourth = (number(_text(shape, name), name) for name in names)
    return draw(first, second, third, fourth, extent, number(shape.attrib.get("rotation", "0"), "rotation"))


def _mask(shape: Any, extent: tuple[int, int], max_pixels: int) -> Runs:
    """The pixels of a mask: its run lengths go along the rows of a rectangle; the first run is outside the region."""
    left, top = (whole(_text(shape, name), name) for name in ("left", "top"))
    part = size(_text(shape, "height"), _text(shape, "width"), max_pixels)
    runs = [whole(run, "rle") for run in _text(shape, "rle").split(",")]
    refuse_incomplete(runs, part)
    return placed(np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(part), left, top, extent)


def _text(element: Any, name: str) -> str:
    if name not in element.attrib:
        raise ValueError(f"a {shown(element.tag)} has no {name}")
    return element.attrib[name]
