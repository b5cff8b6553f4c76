"""Read the EXIF orientation of a picture, 1 to 8, and turn pixels upright by it.

In JPEG and PNG, EXIF counts if it comes before the pixels; other metadata never counts. `exif` and `png` follow the
same rule in the TensorFlow graph; a test checks that they agree with this module.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

TRANSPOSED = (5, 6, 7, 8)
"""Orientations for which `upright` swaps rows and columns."""
ROWS_REVERSED, COLUMNS_REVERSED = (3, 4, 7, 8), (2, 3, 6, 7)
"""Orientations for which `upright` then reverses the order of the rows, or of the columns."""

MOST_PARTS = 512
"""Maximum number of parts of a file that are searched: a file can claim any number of them."""

HEAD = 1 << 18
"""Bytes of a JPEG that are searched for EXIF; it is usually in the first segment, which has at most 64 KiB."""

PNG = b"\x89PNG\r\n\x1a\n"

EXIF_SEGMENT, SCAN_SEGMENT = 0xE1, 0xDA
"""Second bytes of the JPEG markers APP1, whose segment may hold EXIF, and SOS, after which the pixels come."""
ORIENTATION_TAG, LONG = 0x0112, 4
"""The EXIF tag of the orientation, and the TIFF type of unsigned integers of 32 bits."""


def upright(pixels: np.ndarray, tag: int) -> np.ndarray:
    """Turn (h, w, ...) pixels upright by their orientation `tag`, 1 to 8; returns a view, (w, h, ...) for 5 to 8."""
    pixels = pixels.swapaxes(0, 1) if tag in TRANSPOSED else pixels
    return pixels[:: -1 if tag in ROWS_REVERSED else 1, :: -1 if tag in COLUMNS_REVERSED else 1]


def of_jpeg(data: bytes) -> int:
    """Orientation in the first EXIF segment of a JPEG, 1 to 8; 1 if none is found before the pixels.

    The search ends after `HEAD` bytes, or `MOST_PARTS` segments and fill bytes.
    """
    head, at = data[:HEAD], 2
    # One more: the loop of `exif.orientation` also looks at the segment after its last iteration.
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
    """Orientation in the last EXIF chunk before the pixels of a PNG, 1 to 8; 1 if none is in `MOST_PARTS` chunks."""
    tag = 1
    for _, (name, start, end) in zip(range(MOST_PARTS), chunks(data), strict=False):
        if name == b"IDAT":
            break
        if name == b"eXIf":
            tag = in_block(data[start + 8 : end - 4])
    return tag


def in_block(block: bytes) -> int:
    """Orientation in an EXIF block, 1 to 8; 1 if it is missing or invalid.

    The block begins with the byte order of its TIFF header, not with b"Exif\\0\\0".
    """
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
    """Yield (name, start, end) for each chunk of a PNG: data[start:end] is its length, name, content and checksum.

    In a truncated file, the last `end` may lie past the end of `data`.
    """
    at = len(PNG)
    while at + 8 < len(data):
        end = at + 12 + _number(data, at, 4)
        yield data[at + 4 : at + 8], at, end
        at = end


def _number(data: bytes, at: int, count: int, little: bool = False) -> int:
    """An unsigned integer; bytes past the end are zeros."""
    return int.from_bytes(data[at : at + count].ljust(count, b"\0"), "little" if little else "big")
