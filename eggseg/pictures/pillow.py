"""Picture files through Pillow: which there are, what is wrong with one, how one is read and written.

Nothing here waits for TensorFlow.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import os
import unicodedata
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image

from eggseg.errors import InputError, missing_extra, printable
from eggseg.pictures import orientation

SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    *(".heic", ".heif", ".avif"),
)
"""The endings of file names, in lower case, that are taken for pictures."""

FORMATS = "JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or HEIC"

KINDS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")
"""What Pillow calls them. It knows many more, and starts a PostScript interpreter for one: no other is ever tried."""

HEIF = "HEIF"
"""What `pillow_heif` adds to them."""

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
    pixels that `decoding.decode` gives for the formats that it knows. `PictureError` where that cannot be.
    """
    with opened(io.BytesIO(data), max_pixels) as picture:
        tag = orientation_tag(picture, data)
        picture.load()
        pixels = rgb(picture)
        turn = 1 if picture.format == "TIFF" else tag  # which Pillow itself turns as it loads
    return np.ascontiguousarray(orientation.upright(pixels, turn)), tag


@contextlib.contextmanager
def opened(file: Path | BinaryIO, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """A picture of which the header alone was read; `PictureError` if that fails, or what is done with it.

    Damage that the graph's decoder passes over, such as a wrong checksum of a PNG's text, is passed over here too.
    """
    try:
        with (
            file.open("rb") if isinstance(file, Path) else contextlib.nullcontext(file) as stream,
            Image.open(_bare(stream), formats=_kinds()) as picture,
        ):
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


def bare_png(data: bytes) -> bytes:
    """A PNG with nothing but what its pixels need: the critical chunks, and tRNS if it is sound.

    Decoders differ in which faults of the other chunks they forgive.
    """
    kept, view, sizes = [memoryview(orientation.PNG)], memoryview(data), dict[bytes, int]()
    for name, start, end in orientation.chunks(data):
        is_ancillary = name.isalpha() and name[:1].islower()
        if not is_ancillary or (name == b"tRNS" and _makes_transparent(data, start, end, sizes)):
            kept.append(view[start:end])
            sizes[name] = end - start - 12
    return b"".join(kept)


def _makes_transparent(data: bytes, start: int, end: int, before: dict[bytes, int]) -> bool:
    """Whether decoders heed the chunk tRNS there: the first before the pixels, of the right checksum and size.

    `before` are the sizes of the chunks that come before it.
    """
    grey, rgb, palette = b"\0", b"\2", b"\3"
    fitting = {grey: (2,), rgb: (6,), palette: range(1, before.get(b"PLTE", 0) // 3 + 1)}
    return (
        not before.keys() & {b"IDAT", b"tRNS"}
        and end - start - 12 in fitting.get(data[25:26], ())
        and zlib.crc32(data[start + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")
    )


def fault(path: Path, error: PictureError | OSError) -> str:
    """What is wrong with a file, in a line."""
    return f"{printable(path)}: {error.strerror}" if isinstance(error, OSError) else f"{printable(path)} {error}"


def named(folder: Path) -> dict[str, Path]:
    """The pictures of `listed` by their names, sorted; `InputError` where two have one name."""
    found: dict[str, Path] = {}
    for path in listed(folder):
        name = name_of(path, folder)
        if name in found:
            forms = f"{found[name].name!a} and {path.name!a}"
            raise InputError(f"{printable(path)} is there twice, its name in two forms of Unicode: {forms}: rename one")
        found[name] = path
    return dict(sorted(found.items()))


def name_of(path: Path, folder: Path) -> str:
    """What a picture is called: its path below `folder`, with forward slashes, in Unicode's composed form (NFC).

    Some systems store names decomposed (NFD): of one name, seen with the eyes, there is one photo.
    """
    return unicodedata.normalize("NFC", path.relative_to(folder).as_posix())


def listed(folder: Path) -> list[Path]:
    """All pictures below `folder` by the ending of their names, sorted; `InputError` where a folder cannot be read.

    Links to folders are followed. A folder to which several lead is listed once, where it is by itself or else by the
    first link, and one above the link, which leads in a circle, is passed over. So are hidden files and folders, and
    pipes and devices, from which one reads for ever. A link that leads nowhere is listed whatever its ending, so that
    somebody is told of it: it may have been a folder of photos.
    """
    found, seen, links = [], set[str](), [folder]
    while links:
        for root, folders, names in os.walk(links.pop(0), onerror=_refuse_unreadable):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            place = os.path.realpath(root)
            if place in seen:
                folders.clear()
                continue
            seen.add(place)
            linked = [Path(root, name) for name in folders if os.path.islink(os.path.join(root, name))]
            links += [link for link in linked if not Path(place).is_relative_to(os.path.realpath(link))]
            paths = [Path(root, name) for name in names if not name.startswith(".")]
            found += [path for path in paths if _is_picture(path)]
    return sorted(found)


def _is_picture(path: Path) -> bool:
    if path.name.lower().endswith(SUFFIXES) and path.is_file():
        return True
    return path.is_symlink() and not path.exists()


def _refuse_unreadable(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise InputError(f"{printable(error.filename)} cannot be listed: {error.strerror}")


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


def orientation_tag(picture: Image.Image, data: bytes) -> int:
    """EXIF orientation of a picture that is not loaded yet, 1 to 8, `data` its bytes; 1 where there is none.

    Of JPEG and PNG it is what the graph reads: EXIF before the pixels, and no other metadata.
    """
    if picture.format == "PNG":
        return orientation.of_png(data)
    if picture.format in ("JPEG", "MPO"):
        return orientation.of_jpeg(data)
    if picture.format == "TIFF":
        tag = picture.getexif().get(ExifTags.Base.Orientation, 1)
        return tag if tag in range(1, 9) else 1
    return orientation.in_block((picture.info.get("exif") or b"").removeprefix(b"Exif\0\0"))


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


def _bare(stream: BinaryIO) -> BinaryIO:
    """A file as Pillow is given it."""
    stream.seek(0)
    is_png = stream.read(len(orientation.PNG)) == orientation.PNG
    stream.seek(0)
    return io.BytesIO(bare_png(stream.read())) if is_png else stream


def _unidentified(file: Path | BinaryIO) -> str:
    with file.open("rb") if isinstance(file, Path) else contextlib.nullcontext(file) as stream:
        stream.seek(0)
        head = stream.read(16)
    if not head:
        return "is empty (0 bytes)"
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc"):
        return f"is HEIC; {missing_extra('reading it', 'heif')}"
    if (
        head.startswith((orientation.PNG, b"\xff\xd8", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*"))
        or head[8:12] == b"WEBP"
    ):
        return f"cannot be read: its header is damaged or cut, it begins with {head!r}"
    return f"is no picture: it begins with {head!r}, expected {FORMATS}"


@functools.cache
def _kinds() -> tuple[str, ...]:
    """`KINDS`, and HEIC where the extra `heif` is installed."""
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError:
        return KINDS
    return (*KINDS, HEIF)
