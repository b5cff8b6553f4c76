"""Which way up a picture is: its EXIF orientation, 1 to 8, as bytes say it, and the turn that each stands for.

Of JPEG and PNG, EXIF counts where it comes before the pixels, and no other metadata does. `exif` and `png` follow the
same rule inside the graph; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

SIDEWAYS, TOP_DOWN, MIRRORED = (5, 6, 7, 8), (3, 4, 7, 8), (2, 3, 6, 7)
"""The orientations at which rows and columns are swapped, then the rows reversed, then the columns."""

MOST_PARTS = 512
"""Parts of a file, whose number it can claim to be anything, that are looked at: no file makes a search long."""

HEAD = 1 << 18
"""How much of a JPEG is searched for the tag, bytes: EXIF comes first, and its segment holds at most 64 KiB."""

PNG = b"\x89PNG\r\n\x1a\n"

EXIF_SEGMENT, SCAN_SEGMENT = 0xE1, 0xDA
ORIENTATION_TAG, LONG = 0x0112, 4


def upright(pixels: np.ndarray, tag: int) -> np.ndarray:
    """Turn (h, w, ...) as stored upright by its orientation: a view, with sides swapped from 5 on."""
    pixels = pixels.swapaxes(0, 1) if tag in SIDEWAYS else pixels
    return pixels[:: -1 if tag in TOP_DOWN else 1, :: -1 if tag in MIRRORED else 1]


def of_jpeg(data: bytes) -> int:
    """Orientation in the first EXIF segment of a JPEG, 1 to 8; 1 where there is none before the pixels."""
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
    """Orientation in the last EXIF chunk before the pixels of a PNG, 1 to 8; 1 where there is none."""
    found = 1
    for _, (name, start, end) in zip(range(MOST_PARTS), chunks(data), strict=False):
        if name == b"IDAT":
            break
        if name == b"eXIf":
            found = in_block(data[start + 8 : end - 4])
    return found


def in_block(block: bytes) -> int:
    """Orientation in the TIFF header that an EXIF block is, from its byte order on, 1 to 8; 1 where there is none."""
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
    """The chunks of a PNG: the name of each, and where it begins and ends, its length and checksum included."""
    at = len(PNG)
    while at + 8 < len(data):
        end = at + 12 + _number(data, at, 4)
        yield data[at + 4 : at + 8], at, end
        at = end


def _number(data: bytes, at: int, count: int, little: bool = False) -> int:
    """An unsigned integer; past the end there are zeros."""
    return int.from_bytes(data[at : at + count].ljust(count, b"\0"), "little" if little else "big")
