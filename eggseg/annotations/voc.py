"""Read a Pascal VOC folder: JPEGImages, SegmentationClass, and the labelmap.txt that CVAT writes."""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from eggseg.annotations.photos import refuse_misfit
from eggseg.annotations.regions import UNKNOWN, Annotated, Region, covered
from eggseg.data.classes import Color, code_of_color
from eggseg.errors import InputError, printable
from eggseg.pictures.pillow import PictureError, fault, listed, opened, rgb

BORDER = (224, 224, 192)
"""The colour of pixels whose class is unknown, such as object borders: index 255 of the VOC palette."""


def read(source: Path, photos: Path | None, max_pixels: int) -> Iterator[Callable[[], Annotated]]:
    """For each mask in SegmentationClass, yield a function that reads the mask's regions; see `regions.Reader`.

    The photo has the path and stem of the mask, in the folder `photos` or, if that is None, in JPEGImages. labelmap.txt
    names the class of each colour.
    """
    names = _names(source / "labelmap.txt")
    folder, masks = photos or source / "JPEGImages", source / "SegmentationClass"
    photos_of = collections.defaultdict(list)
    for path in listed(folder):
        photos_of[path.relative_to(folder).with_suffix("")].append(path)
    for mask in listed(masks):
        candidates = photos_of[mask.relative_to(masks).with_suffix("")]
        yield functools.partial(_annotated, mask, candidates, folder, names, max_pixels)


def _annotated(
    mask: Path, candidates: Sequence[Path], folder: Path, names: Mapping[int, str], max_pixels: int
) -> Annotated:
    if len(candidates) != 1:
        matches = " and ".join(printable(path) for path in candidates) or f"no photo in {printable(folder)}"
        raise InputError(f"{printable(mask)} has {matches}, expected one photo of the same path and stem")
    photo = candidates[0]
    try:
        with opened(mask, max_pixels) as picture:
            size = picture.height, picture.width
        refuse_misfit(photo, size, max_pixels)
        with opened(mask, max_pixels) as picture:
            codes = code_of_color(rgb(picture))
    except PictureError as error:
        raise InputError(fault(mask, error)) from None
    regions = []
    for code in np.unique(codes).tolist():
        if code not in names:
            raise InputError(f"{printable(mask)} has the colour #{code:06x}, which labelmap.txt does not name")
        regions.append(Region(names[code], covered(codes == code)))
    return Annotated.of(photo.relative_to(folder).as_posix(), photo, size, regions)


def _names(path: Path) -> dict[int, str]:
    """The class name of each colour code, from the lines `name:r,g,b:parts:actions` of a file."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; expected a line `name:red,green,blue::` for each class") from None
    except ValueError as error:
        raise InputError(f"{path} is not UTF-8 text: {error}") from None
    names = {_code(BORDER): UNKNOWN}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        try:
            red, green, blue = (int(part) for part in rest.split(":")[0].split(","))
            code = _code((red, green, blue))
        except (ValueError, OverflowError):
            raise InputError(f"{path} has the line {line!r}, expected `name:red,green,blue::`, 0 to 255") from None
        if names.setdefault(code, name) != name and code != _code(BORDER):
            raise InputError(f"{path} has the same colour for {names[code]!r} and {name!r}")
        names[code] = name
    return names


def _code(color: Color) -> int:
    return int(code_of_color(np.array(color, np.uint8)))
