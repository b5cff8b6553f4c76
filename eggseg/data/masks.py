"""Convert mask files to class ids: decode the values, round each value to the nearest class, turn the mask."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image, ImageChops

from eggseg.data.classes import VOID, ClassTable, code_of_color
from eggseg.pictures.limits import MAX_PIXELS
from eggseg.pictures.orientation import upright
from eggseg.pictures.pillow import PictureError, bare_png, opened, orientation_tag, rgb

COLOR, WIDE = 1 << 8, 1 << 25
"""If classes are grey values: code offsets of colours, and of 16-bit values that equal no 8-bit value."""

EXACT = 1 << 24
"""Pixels that OpenCV counts at a time: its histograms are float32, exact up to this number."""

MOST_VALUES = 64
"""Maximum number of values in `Labels.values`; a lossy mask has hundreds of values, a photograph thousands."""


@dataclasses.dataclass(frozen=True)
class Labels:
    """How the values of a mask map to classes; a value matches a class within `ClassTable.reach`.

    The names of values are, for example, "128" (grey), "#ff8000" (colour) and "300 of 65535" (16 bits).
    """

    class_pixels: tuple[int, ...]
    """Number of pixels of each class."""
    rounded: int
    """Number of pixels whose value matches a class but is not equal to the value of the class."""
    distance: int
    """Largest distance of a rounded pixel from the value of its class, in grey levels; 0 if no pixel is rounded."""
    strays: dict[str, int]
    """Number of pixels of each value that matches no class, by the name of the value."""
    values: dict[str, int] = dataclasses.field(default_factory=dict, compare=False)
    """Number of pixels of each of the `MOST_VALUES` most common values, by name, whether they match a class or not."""
    lossy: bool = dataclasses.field(default=False, compare=False)
    """Whether the file is a JPEG or MPO, whose compression changes values."""


@dataclasses.dataclass(frozen=True)
class Mask:
    """A mask as stored, not turned upright."""

    ids: np.ndarray
    """(h, w) uint8 class ids, VOID where the value matches no class."""
    tag: int
    """EXIF orientation of the mask itself, not of its photo, 1 to 8."""
    labels: Labels


def read(data: bytes, classes: ClassTable, max_pixels: int = MAX_PIXELS) -> Mask:
    """Convert the bytes of a mask, in any format that Pillow reads, to class ids; `PictureError` if it cannot be read.

    The displayed value of a pixel (1 to 16 bits, with or without a palette, transparent pixels on black) decides its
    class. If classes are grey values, a colour matches no class, and the stored numbers (palette indices, 0 and 1 of a
    1-bit mask, or numbers below 256 of a 16-bit mask) can replace the displayed values. They do so if no stored number
    has to be rounded, and fewer pixels match no class than with the displayed values.
    """
    with opened(io.BytesIO(data), max_pixels) as picture:
        tag = orientation_tag(picture, data)
        picture.load()
        if picture.format == "TIFF":  # `load` has turned the pixels upright
            tag = 1
        readings = [_classified(codes, classes) for codes in _readings(picture, data, classes)]
    shown, *stored = readings
    # The stored numbers may also leave pixels unknown, for example an unlabelled border: the better reading wins.
    exact = [reading for reading in stored if not reading[1].rounded]
    ids, labels = min([shown, *exact], key=lambda reading: sum(reading[1].strays.values()))
    return Mask(ids, tag, dataclasses.replace(labels, lossy=picture.format in ("JPEG", "MPO")))


def turned(mask: Mask, shape: tuple[int, ...], tag: int) -> tuple[np.ndarray, bool]:
    """Turn a mask to match its photo: class ids, (h, w) uint8, and whether the photo's orientation was used.

    `shape` is (height, width) of the upright photo, and `tag` is the photo's EXIF orientation. The mask is turned by
    the photo's orientation if only this gives the mask the photo's size. Otherwise the mask is turned by its own
    orientation. The caller must check the size: it may still differ from the photo's.
    """
    own, with_photo = (upright(mask.ids, orientation) for orientation in (mask.tag, tag))
    if own.shape != tuple(shape) and with_photo.shape == tuple(shape):
        return with_photo, True
    return own, False


def _readings(picture: Image.Image, data: bytes, classes: ClassTable) -> Iterator[np.ndarray]:
    """Yield the codes of the displayed values, (h, w) integers, then the codes of the stored numbers if they may count.

    Stored numbers may count if classes are grey values, and the mask has 1 bit, a palette or one channel of 16 bits.
    """
    if picture.format == "PNG" and data[24] == 16 and len(picture.getbands()) > 1:
        pixels = _several_of_16_bits(data)
        yield code_of_color(pixels) if classes.is_colored else _grey(pixels, classes.reach)
    elif classes.is_colored:
        yield code_of_color(rgb(picture))
    elif picture.mode.startswith("I;16"):
        stored = np.asarray(picture).astype(np.int32)
        # Writers multiply 8-bit values by 257 or by 256 (white is 65535 or 65280); other values equal no 8-bit value.
        shown = np.where(stored % 257 == 0, stored // 257, np.where(stored % 256 == 0, stored // 256, WIDE + stored))
        yield from (shown, np.where(stored < COLOR, stored, WIDE + stored))
    elif picture.mode in ("L", "RGB") and not picture.has_transparency_data and _is_grey(picture):
        yield np.asarray(picture.getchannel(0))
    else:
        yield _grey(rgb(picture), classes.reach)
        if picture.mode in ("1", "P"):
            yield np.asarray(picture).astype(np.uint8)


def _is_grey(picture: Image.Image) -> bool:
    """Whether all channels are equal; on Pillow's own pixels, which takes a third of the time of NumPy's."""
    first, *others = picture.split()
    return all(ImageChops.difference(first, other).getbbox() is None for other in others)


def _several_of_16_bits(data: bytes) -> np.ndarray:
    """Decode a PNG of several 16-bit channels to (h, w, 3) uint8; Pillow would keep the upper 8 bits only."""
    stored = cv2.imdecode(np.frombuffer(bare_png(data), np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if stored is None:
        raise PictureError("cannot be read")
    for scale in (257, 256, 1):
        values, rest = np.divmod(stored, scale)
        if not rest.any() and values.max(initial=0) < COLOR:
            pixels = values[..., 2::-1].astype(np.uint8)  # OpenCV's order is blue, green, red
            return np.where(values[..., 3:] > 0, pixels, 0) if stored.shape[-1] == 4 else pixels
    raise PictureError("has several 16-bit channels with values that equal no 8-bit value")


def _grey(pixels: np.ndarray, reach: int) -> np.ndarray:
    """Convert (h, w, 3) uint8 to codes: grey (the red channel), or a colour if channels differ by more than `reach`."""
    red, green, blue = np.moveaxis(pixels, -1, 0)
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return np.ascontiguousarray(red)  # the next steps are faster on contiguous bytes
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return np.where(spread > reach, COLOR + code_of_color(pixels), red)


def _classified(codes: np.ndarray, classes: ClassTable) -> tuple[np.ndarray, Labels]:
    """Convert codes, (h, w), to class ids, (h, w) uint8, and their `Labels`."""
    values, counts = _histogram(codes)
    is_code = values < len(classes.id_of_code)
    known = is_code.copy()
    known[is_code] = classes.snap(values[is_code]) != VOID
    near, near_counts = values[known], counts[known]
    distances = classes.distance_of_code[near]
    common = np.argsort(-counts, kind="stable")[:MOST_VALUES]
    labels = Labels(
        tuple(np.bincount(classes.snap(near), near_counts, len(classes)).astype(int).tolist()),
        int(near_counts[distances > 0].sum()),
        int(distances.max(initial=0)),
        _named(values[~known], counts[~known], classes),
        _named(values[common], counts[common], classes),
    )
    if codes.dtype == np.uint8 and not classes.is_colored:
        return cv2.LUT(codes, classes.id_of_code), labels  # faster than an index for each pixel
    if is_code.all():
        return classes.snap(codes), labels
    return np.where(codes < len(classes.id_of_code), classes.id_of_code.take(codes, mode="clip"), VOID), labels


def _histogram(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The codes that occur, and the count of each."""
    if codes.dtype != np.uint8:
        return np.unique(codes, return_counts=True)
    flat = codes.ravel()
    parts = (flat[i : i + EXACT] for i in range(0, len(flat), EXACT))
    counts = sum(cv2.calcHist([part], [0], None, [256], [0, 256]).ravel().astype(np.int64) for part in parts)
    return np.flatnonzero(counts), counts[counts > 0]


def _named(codes: np.ndarray, counts: np.ndarray, classes: ClassTable) -> dict[str, int]:
    return {_name(code, classes): count for code, count in zip(codes.tolist(), counts.tolist(), strict=True)}


def _name(code: int, classes: ClassTable) -> str:
    if code >= WIDE:
        return f"{code - WIDE} of 65535"
    if classes.is_colored or code >= COLOR:
        return f"#{code if classes.is_colored else code - COLOR:06x}"
    return str(code)
