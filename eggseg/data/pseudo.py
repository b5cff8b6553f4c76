"""Pseudo-labels: masks that a model predicted, for training on the pixels with a high confidence."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eggseg.data import pairs
from eggseg.data.classes import VOID
from eggseg.data.pairs import Pair
from eggseg.data.split import Split
from eggseg.data.squares import Squares
from eggseg.errors import InputError
from eggseg.files import digest
from eggseg.pictures import geometry
from eggseg.pictures.pillow import PictureError, fault, opened

PREFIX = "pseudo:"
"""Prefix of the names of pseudo-labelled photos, so that none equals the name of another photo."""


def find(folder: Path) -> list[Pair]:
    """The pairs of images/ and masks/ in `folder`, with `PREFIX` before their names.

    `InputError` as in `pairs.find`, or if a pair has no confidence file.
    """
    found_pairs = pairs.find(folder)
    for pair in found_pairs:
        if not _confidence(folder, pair).is_file():
            raise InputError(f"{_confidence(folder, pair)} is not there: eggseg.predict --confidence writes it")
    return [dataclasses.replace(pair, name=PREFIX + pair.name) for pair in found_pairs]


def forget_doubtful(squares: Squares, folder: Path, least: float) -> None:
    """Set pixels of pseudo-labelled squares to VOID if their confidence is below `least`, 0 to 1.

    `InputError` if a confidence file in `folder` cannot be read, or has another size than its photo.
    """
    for index in squares.held:
        pair = squares.pairs[index]
        if not pair.name.startswith(PREFIX):
            continue
        path = _confidence(folder, pair)
        try:
            with opened(path) as picture:
                confidence = np.array(picture.convert("L"))
        except (PictureError, OSError) as error:
            raise InputError(fault(path, error)) from None
        width, height = squares.photos[index].size
        if confidence.shape != (height, width):
            size = f"{confidence.shape[1]}x{confidence.shape[0]}"
            raise InputError(f"{path} is {size}, its photo {pair.image} is {width}x{height}")
        doubtful = geometry.letterbox(confidence[..., None], squares.size, labels=True).numpy()[..., 0] < 255 * least
        squares.at(index)[doubtful, 3] = VOID


def without_copies(pairs: Sequence[Pair], parts: Split) -> Split:
    """The split without pseudo-labelled copies (equal files) of validation photos, which would leak validation data."""
    made = [i for i in parts.train if pairs[i].name.startswith(PREFIX)]
    held = {digest(pairs[i].image) for i in parts.val} if made else set()
    copies = {i for i in made if digest(pairs[i].image) in held}
    if copies:
        print(f"{len(copies)} photos of --pseudo are copies of validation photos: left out of training")
    return Split(tuple(i for i in parts.train if i not in copies), parts.val)


def _confidence(folder: Path, pair: Pair) -> Path:
    return folder / "confidence" / f"{pair.name.removeprefix(PREFIX)}.png"
