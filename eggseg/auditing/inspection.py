"""Inspect all pairs of photo and mask of a data set, in parallel, and derive findings from the results."""

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
from eggseg.pictures.limits import MOST_PIXELS
from eggseg.pictures.pillow import PictureError, fault

THUMBNAIL = 160
"""Long side of the thumbnails, pixels."""

SPECK = 16
"""A region of fewer pixels is a speck: even in the smallest photos, an egg has hundreds of pixels."""

SPOILING = 0.5
"""Share of the object pixels above which a difference between the masks of identical photos spoils training.

Above it, one of the masks must be wrong.
"""


@dataclasses.dataclass(frozen=True)
class File:
    """Properties of a picture file."""

    format: str
    """Pillow's name of the format; `format` and `mode` are empty if only the TensorFlow graph can decode the file."""
    mode: str
    size: tuple[int, int]
    """(width, height), upright."""
    orientation: int
    """EXIF orientation, 1 to 8."""
    digest: str
    """SHA-256 of the file, in hexadecimal digits."""


@dataclasses.dataclass(frozen=True)
class Look:
    """Result of the inspection of a pair whose files are usable."""

    pair: Pair
    photo: File
    mask: File
    labels: Labels
    turned: bool
    """Whether the mask was turned by the EXIF orientation of its photo."""
    specks: int
    """Number of regions smaller than `SPECK`."""
    image: np.ndarray
    """The photo, (h, w, 3) uint8, as a thumbnail."""
    ids: np.ndarray
    """The class ids, (h, w) uint8, as a thumbnail."""

    @property
    def name(self) -> str:
        return self.pair.name


def look_at_all(pairs: Sequence[Pair], classes: ClassTable, max_pixels: int) -> Iterator[Look | InputError]:
    """Inspect pairs in threads and yield the results in the order of `pairs`.

    The result of an unusable pair is an `InputError`, with a line for each unusable file.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(lambda pair: _look(pair, classes, max_pixels), pairs)


def _look(pair: Pair, classes: ClassTable, max_pixels: int) -> Look | InputError:
    try:
        sample = labelled.read(pair, classes, max_pixels)
        shape = sample.ids.shape
        photo, mask = _file(pair.image, shape, sample.tag), _file(pair.mask, shape, sample.mask_tag)
    except InputError as error:
        return error
    return Look(
        pair,
        photo,
        mask,
        sample.labels,
        sample.turned,
        _specks(sample.ids),
        pillow.shrunk(sample.image, THUMBNAIL),
        pillow.shrunk(sample.ids, THUMBNAIL),
    )


def of_looks(looks: Sequence[Look], validation: Sequence[int]) -> list[Finding]:
    """Findings about all usable pairs; `validation` holds the indices in `looks` of the validation photos."""
    findings = []
    turned = [look.name for look in looks if look.turned]
    if turned:
        findings.append(Finding("orientation", f"{len(turned)} masks were turned with their photos", tuple(turned)))
    unclear = [
        look.name for look in looks if look.photo.orientation > 1 == look.mask.orientation and _fits_both_ways(look)
    ]
    if unclear:
        message = f"{len(unclear)} photos are turned by their EXIF tag; their masks have no tag and fit either way"
        findings.append(Finding("orientation", f"{message}: the masks are not turned", tuple(unclear)))
    empty = [look.name for look in looks if not any(look.labels.class_pixels[1:])]
    if empty:
        findings.append(Finding("masks", f"{len(empty)} hold nothing but background", tuple(empty)))
    specks = [look for look in looks if look.specks]
    if specks:
        total = sum(look.specks for look in specks)
        specks.sort(key=lambda look: -look.specks)
        message = f"{total} regions of fewer than {SPECK} pixels in {len(specks)} of them"
        findings.append(Finding("masks", message, tuple(look.name for look in specks)))
    return findings + _copies(looks, set(validation))


def _fits_both_ways(look: Look) -> bool:
    """Whether turning the photo by its EXIF tag keeps its width and height."""
    width, height = look.photo.size
    return look.photo.orientation < 5 or width == height


def _copies(looks: Sequence[Look], validation: set[int]) -> list[Finding]:
    """Findings about photos with identical bytes."""
    groups = collections.defaultdict(list)
    for i, look in enumerate(looks):
        groups[look.photo.digest].append(i)
    findings = []
    for group in (group for group in groups.values() if len(group) > 1):
        names = tuple(looks[i].name for i in group)
        unlike = max(_unlike(looks[i].ids, looks[group[0]].ids) for i in group)
        masks_differ = f", whose masks differ on {unlike:.0%} of the object pixels" if unlike else ""
        both_sides = ", on both sides of the split" if 0 < len(validation & set(group)) < len(group) else ""
        findings.append(
            Finding("duplicates", f"identical photos{masks_differ}{both_sides}", names, spoils=unlike > SPOILING)
        )
    return findings


def _unlike(ids: np.ndarray, others: np.ndarray) -> float:
    """Pixels on which two masks differ, as a share of the pixels outside the background of at least one mask."""
    return int(np.count_nonzero(ids != others)) / max(1, int(np.count_nonzero((ids > 0) | (others > 0))))


def _file(path: Path, shape: tuple[int, ...], orientation: int) -> File:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(fault(path, error)) from None
    kind, mode = "", ""
    # Not an error: `labelled.read` decided whether the file is usable.
    with contextlib.suppress(PictureError), pillow.opened(io.BytesIO(data), MOST_PIXELS) as picture:
        kind, mode = picture.format or "", picture.mode
    return File(kind, mode, (shape[1], shape[0]), orientation, hashlib.sha256(data).hexdigest())


def _specks(ids: np.ndarray) -> int:
    """Number of connected regions of fewer than `SPECK` pixels, without those of background and VOID."""
    count = 0
    for c in set(np.unique(ids).tolist()) - {0, VOID}:
        areas = cv2.connectedComponentsWithStats((ids == c).astype(np.uint8), connectivity=8)[2][1:, cv2.CC_STAT_AREA]
        count += int(np.count_nonzero(areas < SPECK))
    return count
