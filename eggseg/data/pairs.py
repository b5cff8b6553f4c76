"""Match masks to photos by their file names, never by their positions in the folders."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import os
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from eggseg.errors import InputError, printable
from eggseg.pictures.pillow import SUFFIXES, PictureError, fault, named, opened


@dataclasses.dataclass(frozen=True, order=True)
class Pair:
    """A photo and its mask. `name` is the photo's path below the folder of images, as in `pillow.name_of`."""

    name: str
    image: Path
    mask: Path


def find(data_dir: Path) -> list[Pair]:
    """The pairs of `match`; `InputError` lists the files without a pair."""
    pairs, missing = match(data_dir)
    if missing:
        raise InputError(summary(missing, "files without a pair"))
    return pairs


def match(data_dir: Path) -> tuple[list[Pair], list[str]]:
    """Pair the photos of DATA_DIR/images with the masks of DATA_DIR/masks, sorted by name.

    A mask has its photo's name (`a.jpg`), or that name with `.png` added (`a.jpg.png`), or the photo's stem with
    another ending (`a.png`) if no other photo has that stem. If there is no mask of these names, case is ignored
    (`a.jpg` and `A.PNG`), as long as only one photo matches. A mask belongs to at most one photo. The second list has
    a line for each photo without a mask and each mask without a photo. `InputError` if a folder is missing, there are
    no photos, or the names of two files in a folder differ in their Unicode form only.
    """
    images, masks = data_dir / "images", data_dir / "masks"
    for folder in (data_dir, images, masks):
        if not folder.is_dir():
            raise InputError(f"{folder} is not there: expected a folder with images/ and masks/")
    photos, labels = named(images), named(masks)
    if not photos:
        raise InputError(f"{images} holds no photo: expected files that end in {', '.join(SUFFIXES)}")
    mask_of = _matched(photos, labels)
    pairs = [Pair(name, path, labels[mask_of[name]]) for name, path in photos.items() if name in mask_of]
    lonely = {path: masks / path.relative_to(images) for name, path in photos.items() if name not in mask_of}
    missing = [f"{printable(path)} has no mask: expected {printable(mask)}" for path, mask in lonely.items()]
    taken = set(mask_of.values())
    missing += [f"{printable(path)} has no photo in {images}" for name, path in labels.items() if name not in taken]
    return pairs, missing


def _matched(photos: Collection[str], masks: Collection[str]) -> dict[str, str]:
    """Map the name of each photo that has a mask to the name of its mask."""
    mask_of: dict[str, str] = {}
    for fold in (str, str.casefold):
        for photo_key, mask_key in ((str, str), (str, _without_png), (_stem, _stem)):
            keys = {name: fold(photo_key(name)) for name in photos}
            photos_of = collections.Counter(keys.values())
            taken = set(mask_of.values())
            free = {fold(mask_key(name)): name for name in sorted(masks, reverse=True) if name not in taken}
            for name, key in keys.items():
                if name not in mask_of and photos_of[key] == 1 and key in free:
                    mask_of[name] = free[key]
    return mask_of


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _without_png(name: str) -> str:
    return _stem(name) if name.lower().endswith(".png") else name


def mismatch(pair: Pair, photo: Sequence[int], mask: Sequence[int]) -> str:
    """The error message for a mask of another size than its photo; `photo` and `mask` are (height, width, ...)."""
    mask_name, photo_name = printable(pair.mask), printable(pair.image)
    return f"{mask_name} is {mask[1]}x{mask[0]}, its photo {photo_name} is {photo[1]}x{photo[0]}"


def summary(lines: Sequence[str], heading: str, most: int = 20) -> str:
    """The line itself if there is only one; else a heading with the number of lines, and at most `most` lines."""
    if len(lines) == 1:
        return lines[0]
    rest = [f"and {len(lines) - most} more"] if len(lines) > most else []
    return "\n  ".join([f"{len(lines)} {heading}:", *lines[:most], *rest])


def size(path: Path) -> tuple[int, int]:
    """(width, height) of a picture as stored, read from the header alone; `InputError` if it cannot be read."""
    try:
        with opened(path) as picture:
            return picture.size
    except PictureError as error:
        raise InputError(fault(path, error)) from None


def fingerprint(pairs: Sequence[Pair]) -> str:
    """SHA-256, in hexadecimal, of the names and file contents of all pairs, in order: it identifies training data."""
    digest = hashlib.sha256()
    for pair in pairs:
        for path in (pair.image, pair.mask):
            digest.update(os.fsencode(pair.name) + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
