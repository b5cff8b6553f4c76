"""Mask files to class ids: what their values may look like, which way is up, and what rounding did to them."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image

from eggseg.data.classes import VOID, ClassTable, code_of_color
from eggseg.pictures.orientation import upright
from eggseg.pictures.pillow import MAX_PIXELS, PictureError, bare_png, opened, orientation_tag, rgb

COLOR, WIDE = 1 << 8, 1 << 25
"""What is added to a colour where classes are grey values, and to a value of 16 bits that stands for none of 8."""

MOST_VALUES = 64
"""Values of a mask that are kept by name; a lossy one has hundreds, a photograph thousands."""


@dataclasses.dataclass(frozen=True)
class Labels:
    """What the values of a mask came to."""

    class_pixels: tuple[int, ...]
    """How many pixels each class has."""
    rounded: int
    """Pixels that lay near a class, but not on it."""
    distance: int
    """How far the farthest of them lay off, grey levels."""
    strays: dict[str, int]
    """Values that are near no class, and how many pixels have each."""
    values: dict[str, int] = dataclasses.field(default_factory=dict, compare=False)
    """Its most common values, near a class or not, and how many pixels have each."""
    lossy: bool = dataclasses.field(default=False, compare=False)
    """Whether its format changes values: it is a JPEG."""


@dataclasses.dataclass(frozen=True)
class Mask:
    """A mask as it is stored."""

    ids: np.ndarray
    """(h, w) uint8 class ids, VOID where no class is near."""
    tag: int
    """Its own EXIF orientation, 1 to 8."""
    labels: Labels


def read(data: bytes, classes: ClassTable, max_pixels: int = MAX_PIXELS) -> Mask:
    """The bytes of a mask, in any format that Pillow reads, to class ids; `PictureError` if that cannot be.

    Its values are those that it shows: of 1 to 16 bits, by palette or without, what is transparent on black. Where
    what it stores is exact, and leaves fewer pixels unknown, it is that: the indices of a palette, or small numbers in
    1 or 16 bits. Where classes are grey values, a colour is a stray.
    """
    with opened(io.BytesIO(data), max_pixels) as picture:
        tag = orientation_tag(picture, data)
        picture.load()
        if picture.format == "TIFF":  # which is upright now
            tag = 1
        readings = [_judged(codes, classes) for codes in _readings(picture, data, classes)]
    shown, *stored = readings
    # What is stored counts where it is exact and leaves less unknown, a border that nobody labelled for one.
    likely = [reading for reading in stored if not reading[1].rounded]
    ids, labels = min([shown, *likely], key=lambda reading: sum(reading[1].strays.values()))
    return Mask(ids, tag, dataclasses.replace(labels, lossy=picture.format in ("JPEG", "MPO")))


def turned(mask: Mask, shape: tuple[int, ...], tag: int) -> tuple[np.ndarray, bool]:
    """The class ids of a mask as they lie on its photo, (h, w) uint8, and whether it was turned with the photo.

    `shape` is the upright photo's (height, width) and `tag` the photo's orientation. A mask that is upright by its own
    orientation and then fits is taken so, one that fits the photo as stored is turned with it. One that fits neither
    comes upright by its own: its size then differs, and the caller names the files.
    """
    own, with_photo = (upright(mask.ids, way) for way in (mask.tag, tag))
    if own.shape != tuple(shape) and with_photo.shape == tuple(shape):
        return with_photo, True
    return own, False


def _readings(picture: Image.Image, data: bytes, classes: ClassTable) -> Iterator[np.ndarray]:
    """The codes that a mask may stand for, (h, w) integers, first those of what it shows."""
    if picture.format == "PNG" and data[24] == 16 and len(picture.getbands()) > 1:
        pixels = _several_of_16_bits(data)
        yield code_of_color(pixels) if classes.is_colored else _grey(pixels, classes.reach)
    elif classes.is_colored:
        yield code_of_color(rgb(picture))
    elif picture.mode.startswith("I;16"):
        stored = np.asarray(picture).astype(np.int32)
        # Either is in use for white, 65535 and 65280; what is a multiple of neither shows no value of 8 bits.
        shown = np.where(stored % 257 == 0, stored // 257, np.where(stored % 256 == 0, stored // 256, WIDE + stored))
        yield from (shown, np.where(stored < COLOR, stored, WIDE + stored))
    else:
        yield _grey(rgb(picture), classes.reach)
        if picture.mode in ("1", "P"):
            yield np.asarray(picture).astype(np.uint8)


def _several_of_16_bits(data: bytes) -> np.ndarray:
    """A PNG of several channels of 16 bits, of which Pillow keeps the upper 8, to (h, w, 3) uint8."""
    stored = cv2.imdecode(np.frombuffer(bare_png(data), np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if stored is None:
        raise PictureError("cannot be read")
    for scale in (257, 256, 1):
        values, rest = np.divmod(stored, scale)
        if not rest.any() and values.max(initial=0) < COLOR:
            pixels = values[..., 2::-1].astype(np.uint8)  # from OpenCV's order
            return np.where(values[..., 3:] > 0, pixels, 0) if stored.shape[-1] == 4 else pixels
    raise PictureError("has several channels of 16 bits, whose values stand for none of 8")


def _grey(pixels: np.ndarray, reach: int) -> np.ndarray:
    """(h, w, 3) uint8 to codes of grey values; what differs by more than `reach` between its channels is a colour."""
    red, green, blue = np.moveaxis(pixels, -1, 0)
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return red
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return np.where(spread > reach, COLOR + code_of_color(pixels), red)


def _judged(codes: np.ndarray, classes: ClassTable) -> tuple[np.ndarray, Labels]:
    """Codes (h, w) to class ids, (h, w) uint8, and what came of them."""
    values, counts = _histogram(codes)
    is_code = values < len(classes.id_of_code)
    known = is_code.copy()
    known[is_code] = classes.snap(values[is_code]) != VOID
    near, of_near = values[known], counts[known]
    off = classes.distance_of_code[near]
    common = np.argsort(-counts, kind="stable")[:MOST_VALUES]
    labels = Labels(
        tuple(np.bincount(classes.snap(near), of_near, len(classes)).astype(int).tolist()),
        int(of_near[off > 0].sum()),
        int(off.max(initial=0)),
        _named(values[~known], counts[~known], classes),
        _named(values[common], counts[common], classes),
    )
    if is_code.all():
        return classes.snap(codes), labels
    return np.where(codes < len(classes.id_of_code), classes.id_of_code.take(codes, mode="clip"), VOID), labels


def _histogram(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The codes that occur, and how often each does."""
    if codes.dtype != np.uint8:
        return np.unique(codes, return_counts=True)
    counts = np.bincount(codes.ravel(), minlength=256)
    return np.flatnonzero(counts), counts[counts > 0]


def _named(codes: np.ndarray, counts: np.ndarray, classes: ClassTable) -> dict[str, int]:
    return {_name(code, classes): count for code, count in zip(codes.tolist(), counts.tolist(), strict=True)}


def _name(code: int, classes: ClassTable) -> str:
    if code >= WIDE:
        return f"{code - WIDE} of 65535"
    if classes.is_colored or code >= COLOR:
        return f"#{code if classes.is_colored else code - COLOR:06x}"
    return str(code)
