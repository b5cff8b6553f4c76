"""Read the EXIF orientation of a picture, 1 to 8, and turn pixels upright by it.

In JPEG and PNG, EXIF counts if it comes before the pixels; other metadata never counts. `exif` and `png` follow the
same rule in the TensorFlow graph; a test compares both.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

SIDEWAYS, TOP_DOWN, MIRRORED = (5, 6, 7, 8), (3, 4, 7, 8), (2, 3, 6, 7)
"""The orientations that swap rows and columns, then reverse the rows, then the columns."""

MOST_PARTS = 512
"""Maximum number of parts of a file that are searched: a file can claim any number of them."""

HEAD = 1 << 18
"""Bytes of a JPEG that are searched for EXIF, which comes first, in a segment of at most 64 KiB."""

PNG = b"\x89PNG\r\n\x1a\n"

EXIF_SEGMENT, SCAN_SEGMENT = 0xE1, 0xDA
ORIENTATION_TAG, LONG = 0x0112, 4


def upright(pixels: np.ndarray, tag: int) -> np.ndarray:
    """Turn (h, w, ...) pixels upright by the orientation `tag`; returns a view, with sides swapped from 5 on."""
    pixels = pixels.swapaxes(0, 1) if tag in SIDEWAYS else pixels
    return pixels[:: -1 if tag in TOP_DOWN else 1, :: -1 if tag in MIRRORED else 1]


def of_jpeg(data: bytes) -> int:
    """Orientation in the first EXIF segment of a JPEG, 1 to 8; 1 if there is none before the pixels."""
    head, at = data[:HEAD], 2
    for _ in range(MOST_PARTS + 1):
        if at + 4 >= len(head) or head[at] != 0xFF or head[at + 1] == SCAN_SEGMENT:
            return 1
        if head[at + 1] == EXIF_SEGMENT and head[at + 4 : at + 8] == b"Exif":
            # Past marker (2), length (2) and b"Exif\0\0".
            return in_block(head[at + 10 : at + 2 + _number(head, at + 2, 2)])
        # Any number of fill bytes may stand before a marker.
        at += 1 if head[at + 1] == 0xFF else 2 + _number(head, at + 2, 2)
    return 1


def of_png(data: bytes) -> int:
    """Orientation in the last EXIF chunk before the pixels of a PNG, 1 to 8; 1 if there is none."""
    tag = 1
    for _, (name, start, end) in zip(range(MOST_PARTS), chunks(data), strict=False):
        if name == b"IDAT":
            break
        if name == b"eXIf":
            tag = in_block(data[start + 8 : end - 4])
    return tag


def in_block(block: bytes) -> int:
    """Orientation in an EXIF block, a TIFF header from its byte order on, 1 to 8; 1 if there is none."""
    little = block[:2] == b"II"
    directory = _number(block, 4, 4, little)
    for i in range(min(_number(block, directory, 2, little), MOST_PARTS)):
        entry = directory + 2 + 12 * i
        if _number(block, entry, 2, little) == ORIENTATION_TAG:
            is_long = _number(block, entry + 2, 2, little) == LONG
            value = _number(block, entry + 8, 4 if is_long else 2, little)
            return value if 1 <= value <= 8 else 1
    return 1


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The chunks of a PNG: name, start and end of each, length and checksum included."""
    at = len(PNG)
    while at + 8 < len(data):
        end = at + 12 + _number(data, at, 4)
        yield data[at + 4 : at + 8], at, end
        at = end


def _number(data: bytes, at: int, count: int, little: bool = False) -> int:
    """An unsigned integer; bytes past the end are zeros."""
    return int.from_bytes(data[at : at + count].ljust(count, b"\0"), "little" if little else "big")
