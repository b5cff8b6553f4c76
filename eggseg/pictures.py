"""Picture files through Pillow: which there are, what is wrong with one, how one is read and written.

Nothing here waits for TensorFlow.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps

from eggseg.errors import printable

SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    *(".heic", ".heif", ".avif"),
)
"""The endings of file names, in lower case, that are taken for pictures."""

FORMATS = "JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or HEIC"

MAX_PIXELS = 80_000_000
"""Pixels of the largest picture that is decoded, where nobody says otherwise."""

MOST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)
"""What that can be raised to: Pillow itself opens no larger picture."""


class PictureError(Exception):
    """A file that is no picture, or none that can be used; the message goes on where the file's name ends."""


class TooLarge(PictureError):
    """A picture of more pixels than are decoded."""

    def __init__(self, width: int, height: int, max_pixels: int) -> None:
        super().__init__(f"is {width}x{height}, expected at most {max_pixels} pixels (--max_pixels)")


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, int]:
    """The bytes of a photo, in any format that Pillow reads, to upright RGB, (h, w, 3) uint8, and its EXIF orientation.

    What is transparent lies on black, 16 bits are divided by 257, and of an animation there is the first frame: the
    pixels that `images.decode` gives for the formats that it knows. `PictureError` where that cannot be.
    """
    with opened(io.BytesIO(data), max_pixels) as picture:
        tag = orientation(picture)
        return rgb(ImageOps.exif_transpose(picture)), tag


@contextlib.contextmanager
def opened(file: Path | BinaryIO, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """A picture of which the header alone was read; `PictureError` if that fails, or what is done with it."""
    _register_heif()
    try:
        with Image.open(file) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                raise TooLarge(width, height, max_pixels)
            yield picture
    except PictureError:
        raise
    except Image.DecompressionBombError as error:  # before anybody has seen its size
        raise PictureError(f"is too large, expected at most {max_pixels} pixels (--max_pixels): {error}") from None
    except Image.UnidentifiedImageError:
        raise PictureError(_unidentified(file)) from None
    except Exception as error:  # whatever decoders raise that come upon damage
        raise PictureError(f"cannot be read: {error}") from error


def fault(path: Path, error: PictureError | OSError) -> str:
    """What is wrong with a file, in a line."""
    return f"{printable(path)}: {error.strerror}" if isinstance(error, OSError) else f"{printable(path)} {error}"


def listed(folder: Path) -> list[Path]:
    """All pictures below `folder` by the ending of their names, sorted.

    Hidden files and folders are passed over, and so are links to folders, which may lead in a circle, and pipes and
    devices, from which one reads for ever.
    """
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        pictures = (Path(root, name) for name in names if name.lower().endswith(SUFFIXES) and not name.startswith("."))
        # A link that leads nowhere is listed, so that somebody is told of it.
        found += [path for path in pictures if path.is_file() or not path.exists()]
    return sorted(found)


def png(pixels: np.ndarray) -> bytes:
    """Pixels, (h, w) or (h, w, 3) uint8, as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def shrunk(pixels: np.ndarray, side: int) -> np.ndarray:
    """Resize to a long side of `side` pixels, class ids (h, w) by nearest neighbour, photos (h, w, 3) smoothly."""
    picture = Image.fromarray(pixels)
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    how = Image.Resampling.NEAREST if pixels.ndim == 2 else Image.Resampling.BOX
    return np.asarray(picture.resize(size, how))


def orientation(picture: Image.Image) -> int:
    """EXIF orientation of a picture that is not loaded yet, 1 to 8; 1 where there is none.

    Of JPEG and PNG it is what the graph reads: EXIF before the pixels, and no other metadata.
    """
    exif = picture.getexif()
    if picture.format in ("JPEG", "PNG"):
        exif = Image.Exif()
        exif.load(picture.info.get("exif", b""))
    tag = exif.get(ExifTags.Base.Orientation, 1)
    return tag if tag in range(1, 9) else 1


def rgb(picture: Image.Image) -> np.ndarray:
    """A picture as it is stored, of any mode, to (h, w, 3) uint8."""
    if picture.mode.startswith("I;16"):
        # Rounded: 65535 is 257 times 255.
        return np.repeat(((np.asarray(picture, np.int32)[..., None] + 128) // 257).astype(np.uint8), 3, -1)
    if picture.mode in ("I", "F"):
        raise PictureError("has 32 bits a pixel, whose brightness nobody knows: expected 8 or 16")
    if picture.has_transparency_data:
        rgba = np.asarray(picture.convert("RGBA"), np.int32)
        return ((rgba[..., :3] * rgba[..., 3:] + 127) // 255).astype(np.uint8)
    return np.asarray(picture.convert("RGB"))


def _unidentified(file: Path | BinaryIO) -> str:
    with file.open("rb") if isinstance(file, Path) else contextlib.nullcontext(file) as opened_file:
        opened_file.seek(0)
        head = opened_file.read(16)
    if not head:
        return "is empty (0 bytes)"
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc"):
        return "is HEIC, which takes an extra: pip install 'eggseg[heif]'"
    return f"is no picture: it begins with {head!r}, expected {FORMATS}"


@functools.cache
def _register_heif() -> None:
    """Let Pillow read HEIC where the extra `heif` is installed."""
    with contextlib.suppress(ImportError):
        importlib.import_module("pillow_heif").register_heif_opener()
