"""What the inputs of `predict` stand for: photos, by the names of their outputs."""

from __future__ import annotations

import collections
import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from eggseg.errors import InputError, printable
from eggseg.pictures.pillow import SUFFIXES, listed, name_of
from eggseg.prediction import outputs


def named(inputs: Sequence[str], recursive: bool, output_dir: Path) -> dict[str, Path]:
    """The photos that the inputs stand for, by the names of their outputs, relative with forward slashes.

    A file is called by its name, a file found in a folder by its path below that folder. Outputs of this or an earlier
    call are no photos: they are left out, and a line says so. `InputError` where an input stands for nothing, or where
    two photos would write one output.
    """
    photos: dict[str, Path] = {}
    left: collections.Counter[Path] = collections.Counter()
    folder = _real(output_dir)
    for given in inputs:
        found = list(_found(given, recursive))
        ours = [outputs.earlier(_real(photo), folder) for _, photo in found]
        left.update(of for of in ours if of)
        for (name, photo), of in zip(found, ours, strict=True):
            if of:
                continue
            other = photos.setdefault(name, photo)
            if _real(other) != _real(photo):
                raise InputError(
                    f"{printable(other)} and {printable(photo)} would both write {printable(name)}.png: "
                    "give the folder above them, --recursive"
                )
    if not photos:
        raise InputError(f"{printable(next(iter(left)))} holds outputs of eggseg predict, and there is no other photo")
    for of, count in left.items():
        print(f"left out: {count} pictures in {printable(of)}, which are outputs of eggseg predict")
    return photos


def _found(given: str, recursive: bool) -> Iterable[tuple[str, Path]]:
    """The photos that an input stands for, with their names; at least one."""
    path = Path(given)
    if path.is_dir():
        every = listed(path)
        photos = [photo for photo in every if recursive or photo.parent == path]
        if not photos and every:
            raise InputError(f"{printable(given)} holds no photo, but folders below it do: --recursive takes them")
        if not photos:
            raise InputError(f"{printable(given)} holds no photo: expected files that end in {', '.join(SUFFIXES)}")
        return [(name_of(photo, path), photo) for photo in photos]
    if path.exists():
        return [(name_of(path, path.parent), path)]
    matches = [Path(match) for match in sorted(glob.glob(given, recursive=recursive))]
    # A link that leads nowhere is taken, so that somebody is told of it.
    photos = [match for match in matches if match.is_file() or not match.exists()]
    if not photos:
        raise InputError(f"{printable(given)} is not there")
    return [(name_of(photo, photo.parent), photo) for photo in photos]


def _real(path: Path) -> Path:
    """Without links. `Path.resolve` fails of those that lead in a circle."""
    return Path(os.path.realpath(path))
