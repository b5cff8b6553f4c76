"""Pascal VOC's folders: JPEGImages, SegmentationClass and, from CVAT, labelmap.txt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from eggseg.annotations.regions import UNKNOWN, Annotated, Region
from eggseg.classes import Color, code_of_color
from eggseg.errors import InputError
from eggseg.pictures import PictureError, fault, listed, opened, rgb

BORDER = (224, 224, 192)
"""The colour of pixels that nobody labelled, index 255 of VOC's palette."""


def read(source: Path, photos: Path | None = None) -> Iterator[Annotated]:
    """The photos of a folder that have a mask; what a colour means stands in labelmap.txt."""
    names = _names(source / "labelmap.txt")
    stems = {path.stem: path for path in listed(photos or source / "JPEGImages")}
    for mask in listed(source / "SegmentationClass"):
        if mask.stem not in stems:
            raise InputError(f"{mask} has no photo in {photos or source / 'JPEGImages'}")
        try:
            with opened(mask) as picture:
                codes = code_of_color(rgb(picture))
        except PictureError as error:
            raise InputError(fault(mask, error)) from None
        regions = []
        for code in np.unique(codes).tolist():
            if code not in names:
                raise InputError(f"{mask} has the colour #{code:06x}, which {source / 'labelmap.txt'} does not name")
            regions.append(Region(names[code], codes == code))
        yield Annotated(stems[mask.stem].name, stems[mask.stem], codes.shape, tuple(regions))


def _names(path: Path) -> dict[int, str]:
    """What each colour means, by the lines `name:r,g,b:parts:actions` of a file."""
    try:
        lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    except OSError:
        raise InputError(f"{path} is not there: expected a line `name:red,green,blue::` for each class") from None
    names = {_code(BORDER): UNKNOWN}
    for line in lines:
        name, _, rest = line.partition(":")
        try:
            red, green, blue = (int(part) for part in rest.split(":")[0].split(","))
        except ValueError:
            raise InputError(f"{path} has the line {line!r}, expected `name:red,green,blue::`") from None
        names[_code((red, green, blue))] = name
    return names


def _code(color: Color) -> int:
    return int(code_of_color(np.array(color, np.uint8)))
