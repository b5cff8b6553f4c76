"""Picture files: which there are, what is wrong with one, how one is written. Nothing here waits for TensorFlow."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")
"""The endings of file names, in lower case, that are taken for pictures."""


def why_unreadable(path: Path) -> str:
    """One line that says what is wrong with a file that `decode` refused."""
    try:
        if path.stat().st_size == 0:
            return "is empty (0 bytes)"
        with Image.open(path) as picture:
            kind = picture.format
            picture.load()
    except Image.UnidentifiedImageError:
        return f"is no picture: it begins with {path.read_bytes()[:16]!r}, expected JPEG, PNG, BMP or GIF"
    except (OSError, SyntaxError, ValueError) as error:
        return f"cannot be read: {error}"
    return f"is a {kind} that the decoder refuses, expected JPEG, PNG, BMP or GIF"


def listed(folder: Path) -> list[Path]:
    """All pictures below `folder` by the ending of their names, sorted; hidden files and folders are passed over."""
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(root, name) for name in names if name.lower().endswith(SUFFIXES) and not name.startswith(".")]
    return sorted(found)


def png(pixels: np.ndarray) -> bytes:
    """Pixels, (h, w) or (h, w, 3) uint8, as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
