"""A look at each pair of a data set, in parallel, and what all of them together show."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from eggseg.data import labelled
from eggseg.data.classes import VOID, ClassTable
from eggseg.data.findings import Finding
from eggseg.data.masks import Labels
from eggseg.data.pairs import Pair
from eggseg.errors import InputError
from eggseg.pictures import pillow
from eggseg.pictures.pillow import MOST_PIXELS, PictureError, fault

THUMBNAIL = 160
"""Long side of the small pictures, pixels."""

SPECK = 16
"""A region of fewer pixels is a speck: an egg in the smallest photos has hundreds."""

SPOILING = 0.5
"""Share of what two masks show on which they differ, from which on one of them is wrong for sure."""


@dataclasses.dataclass(frozen=True)
class File:
    """What a picture file says of itself."""

    format: str
    """Empty, and `mode` too, of a photo that the graph alone can read."""
    mode: str
    size: tuple[int, int]
    """(width, height), upright."""
    orientation: int
    digest: str
    """SHA-256 of its bytes."""


@dataclasses.dataclass(frozen=True)
class Look:
    """What a look at one sound pair showed."""

    pair: Pair
    photo: File
    mask: File
    labels: Labels
    turned: bool
    """Whether the mask was turned with its photo."""
    specks: int
    image: np.ndarray
    """The photo, small, (h, w, 3) uint8."""
    ids: np.ndarray
    """The class ids, small, (h, w) uint8."""

    @property
    def name(self) -> str:
        return self.pair.name


def look_at_all(pairs: Sequence[Pair], classes: ClassTable, max_pixels: int) -> Iterator[Look | InputError]:
    """Look at pairs, several at a time, in order; in place of a look there may be what is wrong, a line a file."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(lambda pair: _look(pair, classes, max_pixels), pairs)


def _look(pair: Pair, classes: ClassTable, max_pixels: int) -> Look | InputError:
    try:
        found = labelled.read(pair, classes, max_pixels)
        shape = found.ids.shape
        photo, mask = _file(pair.image, shape, found.tag), _file(pair.mask, shape, found.mask_tag)
    except InputError as error:
        return error
    return Look(
        pair,
        photo,
        mask,
        found.labels,
        found.turned,
        _specks(found.ids),
        pillow.shrunk(found.image, THUMBNAIL),
        pillow.shrunk(found.ids, THUMBNAIL),
    )


def of_looks(looks: Sequence[Look], validation: Sequence[int]) -> list[Finding]:
    """What sound pairs show together; `validation` are the indices of those that training would hold out."""
    found = []
    turned = [one.name for one in looks if one.turned]
    if turned:
        found.append(Finding("orientation", f"{len(turned)} masks were turned with their photos", tuple(turned)))
    unclear = [one.name for one in looks if one.photo.orientation > 1 == one.mask.orientation and _fits_both_ways(one)]
    if unclear:
        message = f"{len(unclear)} photos are turned by their EXIF tag, their masks are not and fit either way"
        found.append(Finding("orientation", f"{message}: they are taken as they are", tuple(unclear)))
    empty = [one.name for one in looks if not any(one.labels.class_pixels[1:])]
    if empty:
        found.append(Finding("masks", f"{len(empty)} hold nothing but background", tuple(empty)))
    specks = [one for one in looks if one.specks]
    if specks:
        total = sum(one.specks for one in specks)
        specks.sort(key=lambda one: -one.specks)
        message = f"{total} regions of fewer than {SPECK} pixels in {len(specks)} of them"
        found.append(Finding("masks", message, tuple(one.name for one in specks)))
    return found + _copies(looks, set(validation))


def _fits_both_ways(look: Look) -> bool:
    """Whether a turn by the photo's tag leaves its size as it is."""
    width, height = look.photo.size
    return look.photo.orientation < 5 or width == height


def _copies(looks: Sequence[Look], validation: set[int]) -> list[Finding]:
    """Photos that are there more than once, byte by byte."""
    groups = collections.defaultdict(list)
    for i, one in enumerate(looks):
        groups[one.photo.digest].append(i)
    found = []
    for group in (group for group in groups.values() if len(group) > 1):
        names = tuple(looks[i].name for i in group)
        unlike = max(_unlike(looks[i].ids, looks[group[0]].ids) for i in group)
        masks_differ = f", whose masks differ on {unlike:.0%} of what either shows" if unlike else ""
        both_sides = ", on both sides of the split" if 0 < len(validation & set(group)) < len(group) else ""
        found.append(Finding("duplicates", f"one photo{masks_differ}{both_sides}", names, spoils=unlike > SPOILING))
    return found


def _unlike(ids: np.ndarray, others: np.ndarray) -> float:
    """The share of the pixels with a class in either mask on which the two differ."""
    return int(np.count_nonzero(ids != others)) / max(1, int(np.count_nonzero((ids > 0) | (others > 0))))


def _file(path: Path, shape: tuple[int, ...], orientation: int) -> File:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(fault(path, error)) from None
    kind, mode = "", ""
    # Whether it is a photo was decided where it was read.
    with contextlib.suppress(PictureError), pillow.opened(io.BytesIO(data), MOST_PIXELS) as picture:
        kind, mode = picture.format or "", picture.mode
    return File(kind, mode, (shape[1], shape[0]), orientation, hashlib.sha256(data).hexdigest())


def _specks(ids: np.ndarray) -> int:
    """How many connected regions of a class are smaller than `SPECK`."""
    count = 0
    for c in set(np.unique(ids).tolist()) - {0, VOID}:
        areas = cv2.connectedComponentsWithStats((ids == c).astype(np.uint8), connectivity=8)[2][1:, cv2.CC_STAT_AREA]
        count += int(np.count_nonzero(areas < SPECK))
    return count
