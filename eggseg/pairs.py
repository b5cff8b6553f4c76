"""Which mask belongs to which photo: by name, never by position."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from eggseg.errors import InputError, printable
from eggseg.pictures import SUFFIXES, PictureError, fault, listed, opened


@dataclasses.dataclass(frozen=True, order=True)
class Pair:
    """A photo and its mask. `name` is the photo's path below the folder of images, with forward slashes."""

    name: str
    image: Path
    mask: Path


def find(data_dir: Path) -> list[Pair]:
    """The pairs of `match`; `InputError` lists what has no other half."""
    pairs, missing = match(data_dir)
    if missing:
        raise InputError(summary(missing, "files without their other half"))
    return pairs


def match(data_dir: Path) -> tuple[list[Pair], list[str]]:
    """Pair the photos of DATA_DIR/images with the masks of DATA_DIR/masks, sorted by name.

    A mask has its photo's own name (`a.jpg`), or that with `.png` added (`a.jpg.png`), or its stem with another ending
    (`a.png`) where no other photo has that stem. The second list says, a line each, which photos have no mask and which
    masks no photo. `InputError` where there are no folders or no photos.
    """
    images, masks = data_dir / "images", data_dir / "masks"
    for folder in (data_dir, images, masks):
        if not folder.is_dir():
            raise InputError(f"{folder} is not there: expected a folder with images/ and masks/")
    photos = {path.relative_to(images): path for path in listed(images)}
    labels = {path.relative_to(masks): path for path in listed(masks)}
    if not photos:
        raise InputError(f"{images} holds no photo: expected files that end in {', '.join(SUFFIXES)}")
    stems = collections.Counter(name.with_suffix("") for name in photos)
    pairs, missing = [], []
    for name, photo in photos.items():
        candidates = [name, name.with_name(name.name + ".png")]
        if stems[name.with_suffix("")] == 1:
            candidates += [name.with_suffix(suffix) for suffix in SUFFIXES]
        found = next((candidate for candidate in candidates if candidate in labels), None)
        if found is None:
            missing.append(f"{printable(photo)} has no mask: expected {printable(masks / name)}")
        else:
            pairs.append(Pair(name.as_posix(), photo, labels[found]))
    taken = {pair.mask for pair in pairs}
    missing += [f"{printable(path)} has no photo in {images}" for path in labels.values() if path not in taken]
    return sorted(pairs), missing


def mismatch(pair: Pair, photo: Sequence[int], mask: Sequence[int]) -> str:
    """What to say of a mask whose (height, width) is not its photo's."""
    mask_name, photo_name = printable(pair.mask), printable(pair.image)
    return f"{mask_name} is {mask[1]}x{mask[0]}, its photo {photo_name} is {photo[1]}x{photo[0]}"


def summary(lines: Sequence[str], what: str, most: int = 20) -> str:
    """A message of one line for a single finding, or of a heading and at most `most` lines."""
    if len(lines) == 1:
        return lines[0]
    rest = [f"and {len(lines) - most} more"] if len(lines) > most else []
    return "\n  ".join([f"{len(lines)} {what}:", *lines[:most], *rest])


def size(path: Path) -> tuple[int, int]:
    """(width, height) of a picture as stored, from its header alone; `InputError` if it has none."""
    try:
        with opened(path) as picture:
            return picture.size
    except PictureError as error:
        raise InputError(fault(path, error)) from None


def fingerprint(pairs: Sequence[Pair]) -> str:
    """SHA-256 over the names and bytes of all pairs, in their order: what exactly a model was trained on."""
    digest = hashlib.sha256()
    for pair in pairs:
        for path in (pair.image, pair.mask):
            digest.update(os.fsencode(pair.name) + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
