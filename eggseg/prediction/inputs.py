"""Find the photos that the inputs of `eggseg predict` stand for, and name the outputs of each photo."""

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
    """Map output names, relative paths with forward slashes, to the photos that the inputs stand for.

    A photo that is given as a file or matches a pattern is named by its file name. A photo in a given folder is named
    by its path below that folder. Pictures that `predict` wrote are left out, and a printed line says so. `InputError`
    if an input matches no photo, if no photo is left, or if two photos would write the same output.
    """
    if not inputs:
        raise InputError("no photos were named: expected files, folders or patterns such as 'kitchen/*.jpg'")
    photos: dict[str, Path] = {}
    left_out: collections.Counter[Path] = collections.Counter()
    output_folder = _real(output_dir)
    for argument in inputs:
        for name, photo in _matches(argument, recursive):
            folder = outputs.earlier(_real(photo), output_folder)
            if folder:
                left_out[folder] += 1
                continue
            other = photos.setdefault(name, photo)
            if _real(other) != _real(photo):
                raise InputError(
                    f"{printable(other)} and {printable(photo)} would both write {printable(name)}.png: "
                    "expected the folder above them, with --recursive"
                )
    if not photos:
        raise InputError(
            f"{printable(next(iter(left_out)))} holds outputs of eggseg predict, and there is no other photo"
        )
    for folder, count in left_out.items():
        print(f"left out: {count} pictures in {printable(folder)}, which are outputs of eggseg predict")
    return photos


def _matches(argument: str, recursive: bool) -> Iterable[tuple[str, Path]]:
    """Output names and paths of the photos that an input stands for; `InputError` if there are none."""
    path = Path(argument)
    if path.is_dir():
        below = listed(path)
        photos = [photo for photo in below if recursive or photo.parent == path]
        if not photos and below:
            raise InputError(f"{printable(argument)} holds no photo, but folders below it do: --recursive takes them")
        if not photos:
            raise InputError(f"{printable(argument)} holds no photo: expected files that end in {', '.join(SUFFIXES)}")
        return [(name_of(photo, path), photo) for photo in photos]
    if path.exists():
        return [(name_of(path, path.parent), path)]
    matches = [Path(match) for match in sorted(glob.glob(argument, recursive=recursive))]
    # Keep broken links, so that reading them reports an error.
    photos = [match for match in matches if match.is_file() or not match.exists()]
    if not photos:
        raise InputError(f"{printable(argument)} is not there")
    return [(name_of(photo, photo.parent), photo) for photo in photos]


def _real(path: Path) -> Path:
    """Resolve links. Before Python 3.13, `Path.resolve` raises an error for links that form a loop."""
    return Path(os.path.realpath(path))
