"""Find the photo of an annotation, and check that the photo has the size that the annotation states."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from eggseg.errors import InputError, printable
from eggseg.pictures.pillow import PictureError, decode, fault, opened


def below(folder: Path, name: str) -> Path:
    """The path of a file in a folder, found as by `stored`; `InputError` if `name` leads out of the folder."""
    if "\0" in name:
        raise InputError(f"{printable(name)} is not a valid file name")
    root, path = os.path.abspath(folder), os.path.abspath(stored(folder, name))
    if not Path(path).is_relative_to(root):
        raise InputError(f"{printable(name)} leads out of {printable(folder)}")
    return folder / Path(path).relative_to(root)


def stored(folder: Path, name: str) -> Path:
    """The path of the file that an annotation names, relative to a folder; it need not exist.

    `name` may have backslashes. It may be in Unicode's composed form (NFC) while the file system stores the decomposed
    one (NFD), or the reverse.
    """
    forms = (name, slashed(name), *(unicodedata.normalize(form, slashed(name)) for form in ("NFC", "NFD")))
    return next((folder / form for form in forms if is_file(folder / form)), folder / slashed(name))


def slashed(name: str) -> str:
    """Replace the backslashes of a Windows path by forward slashes."""
    return name.replace("\\", "/")


def is_file(path: Path) -> bool:
    """Whether a file exists; False also if the system refuses the name, for example because it is too long."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def refuse_misfit(photo: Path, size: tuple[int, int], max_pixels: int) -> None:
    """`InputError` unless a photo exists and `size` is the (height, width) of its header or of the upright photo."""
    if not is_file(photo):
        raise InputError(f"{printable(photo)} is not there: --images says where the photos lie")
    try:
        with opened(photo, max_pixels) as picture:
            width, height = picture.size
        fits = size == (height, width)
        if size == (width, height) and not fits:
            fits = decode(photo.read_bytes(), max_pixels)[0].shape[:2] == size
    except (PictureError, OSError) as error:
        raise InputError(fault(photo, error)) from None
    if not fits:
        raise InputError(f"{printable(photo)} is {width}x{height}, its annotation is {size[1]}x{size[0]}")
