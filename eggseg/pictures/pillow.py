"""Find, read, check and write picture files with Pillow.

This module does not import TensorFlow.
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
from eggseg.pictures.limits import MAX_PIXELS

SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    *(".heic", ".heif", ".avif"),
)
"""File name endings of pictures, in lower case."""

FORMATS = "JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or HEIC"

KINDS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")
"""Pillow's names of the formats. Pillow must try no others: for EPS files, it would run a PostScript interpreter."""

HEIF = "HEIF"
"""Pillow's name of the format that the package `pillow_heif` adds."""


class PictureError(Exception):
    """A file is no picture, or a picture that cannot be used; `fault` puts the file's name before the message."""


class TooLarge(PictureError):
    """A picture with more pixels than allowed."""

    def __init__(self, width: int, height: int, max_pixels: int) -> None:
        super().__init__(f"is {width}x{height}, expected at most {max_pixels} pixels (--max_pixels)")


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, int]:
    """Decode a photo of any format in `FORMATS` to upright RGB, (h, w, 3) uint8, and its EXIF orientation.

    Transparent pixels are composed on black, 16-bit grey values are divided by 257 and rounded, and only the first
    frame of an animation is decoded. For files that `decoding.decode` reads, the pixels are the same, except that
    Pillow drops the lower 8 bits of 16-bit RGB and alpha. `PictureError` if decoding fails or the photo has more than
    `max_pixels` pixels.
    """
    with opened(io.BytesIO(data), max_pixels) as picture:
        tag = orientation_tag(picture, data)
        picture.load()
        pixels = rgb(picture)
        turn = 1 if picture.format == "TIFF" else tag  # Pillow turns TIFFs as it loads them
    return np.ascontiguousarray(orientation.upright(pixels, turn)), tag


@contextlib.contextmanager
def opened(file: Path | BinaryIO, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Open a picture without decoding it; `PictureError` if this or the code in the `with` block fails.

    Damage that TensorFlow's decoder ignores is ignored here too, such as a wrong checksum of a PNG's text chunk.
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
    except Image.DecompressionBombError as error:  # Pillow raises it before it returns the size
        raise PictureError(f"is too large, expected at most {max_pixels} pixels (--max_pixels): {error}") from None
    except Image.UnidentifiedImageError:
        raise PictureError(_unidentified(file)) from None
    except Exception as error:  # decoders raise many kinds of errors on damage
        raise PictureError(f"cannot be read: {error}") from error


def bare_png(data: bytes) -> bytes:
    """Reduce a PNG to the chunks that its pixels need: the critical ones, and tRNS if it is valid.

    Decoders differ in the damage that they accept in other chunks, and in how they read the values of tRNS.
    """
    kept, view, sizes = [memoryview(orientation.PNG)], memoryview(data), dict[bytes, int]()
    for name, start, end in orientation.chunks(data):
        is_ancillary = name.isalpha() and name[:1].islower()
        is_transparency = name == b"tRNS" and _makes_transparent(data, start, end, sizes)
        if not is_ancillary or is_transparency:
            kept.append(memoryview(_of_8_bits(data, start, end)) if is_transparency else view[start:end])
            sizes[name] = end - start - 12
    return b"".join(kept)


def _of_8_bits(data: bytes, start: int, end: int) -> bytes:
    """The tRNS chunk data[start:end] of a PNG of up to 8 bits, with its values as libpng reads them.

    libpng uses the low bits only, and scales grey values of 2 and 4 bits to 8. Pillow compares the values in the chunk
    with scaled pixels.
    """
    bits, palette = data[24], data[25] == 3
    if palette or bits > 8:
        return data[start:end]
    most = 2**bits - 1
    values = (np.frombuffer(data[start + 8 : end - 4], ">u2") & most) * (1 if bits == 1 else 255 // most)
    content = b"tRNS" + values.astype(">u2").tobytes()
    return data[start : start + 4] + content + zlib.crc32(content).to_bytes(4, "big")


def _makes_transparent(data: bytes, start: int, end: int, before: dict[bytes, int]) -> bool:
    """Whether decoders use this tRNS chunk: the first before the pixels, with the right checksum and size.

    The chunk is data[start:end]. `before` maps the names of the chunks kept before it to the sizes of their content.
    """
    grey, rgb, palette = b"\0", b"\2", b"\3"
    fitting = {grey: (2,), rgb: (6,), palette: range(1, before.get(b"PLTE", 0) // 3 + 1)}
    return (
        not before.keys() & {b"IDAT", b"tRNS"}
        and end - start - 12 in fitting.get(data[25:26], ())
        and zlib.crc32(data[start + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")
    )


def fault(path: Path, error: PictureError | OSError) -> str:
    """One line that says what is wrong with a file."""
    return f"{printable(path)}: {error.strerror}" if isinstance(error, OSError) else f"{printable(path)} {error}"


def named(folder: Path) -> dict[str, Path]:
    """Map the name (`name_of`) of each picture of `listed` to its path, sorted; `InputError` if two names are equal."""
    pictures: dict[str, Path] = {}
    for path in listed(folder):
        name = name_of(path, folder)
        if name in pictures:
            forms = f"{pictures[name].name!a} and {path.name!a}"
            raise InputError(f"{printable(path)} is there twice, its name in two forms of Unicode: {forms}: rename one")
        pictures[name] = path
    return dict(sorted(pictures.items()))


def name_of(path: Path, folder: Path) -> str:
    """The name of a picture: its path below `folder`, with forward slashes, in Unicode's composed form (NFC).

    Some file systems store names decomposed (NFD). With NFC, names that look the same are equal.
    """
    return unicodedata.normalize("NFC", path.relative_to(folder).as_posix())


def listed(folder: Path) -> list[Path]:
    """Sorted paths of all files below `folder` that end in one of `SUFFIXES`; `InputError` if a folder is unreadable.

    Links to folders are followed. A folder with several links is listed once: at its own path if that lies below
    `folder`, otherwise at the first link. These are skipped: links to a folder that contains the link (a cycle), hidden
    files and folders, and pipes and devices, whose data may never end. A broken link is listed even without such an
    ending, because it may have been a folder of photos: reading it then reports an error.
    """
    pictures, seen, links = [], set[str](), [folder]
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
            pictures += [path for path in paths if _is_picture(path)]
    return sorted(pictures)


def _is_picture(path: Path) -> bool:
    if path.name.lower().endswith(SUFFIXES) and path.is_file():
        return True
    return path.is_symlink() and not path.exists()


def _refuse_unreadable(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise InputError(f"{printable(error.filename)} cannot be listed: {error.strerror}")


def png(pixels: np.ndarray) -> bytes:
    """Encode pixels, (h, w) or (h, w, 3) uint8, as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def shrunk(pixels: np.ndarray, side: int) -> np.ndarray:
    """Resize to a long side of `side` pixels, class ids (h, w) by nearest neighbour, photos (h, w, 3) by box filter."""
    picture = Image.fromarray(pixels)
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    method = Image.Resampling.NEAREST if pixels.ndim == 2 else Image.Resampling.BOX
    return np.asarray(picture.resize(size, method))


def orientation_tag(picture: Image.Image, data: bytes) -> int:
    """EXIF orientation, 1 to 8, of a picture that is not loaded yet; 1 if there is none. `data` is the file's bytes.

    For JPEG and PNG it is the same as in the TensorFlow graph: only EXIF before the pixels counts.
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
    """Convert a picture, as stored, to RGB on black, (h, w, 3) uint8; `PictureError` for 32-bit grey values."""
    if picture.mode.startswith("I;16"):
        # Divided by 257 and rounded: 65535 is 257 times 255.
        return np.repeat(((np.asarray(picture, np.int32)[..., None] + 128) // 257).astype(np.uint8), 3, -1)
    if picture.mode in ("I", "F"):
        raise PictureError("has 32 bits per pixel, whose brightness scale is unknown: expected 8 or 16")
    if picture.has_transparency_data:
        rgba = np.asarray(picture.convert("RGBA"), np.int32)
        return ((rgba[..., :3] * rgba[..., 3:] + 127) // 255).astype(np.uint8)
    return np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))


def _bare(stream: BinaryIO) -> BinaryIO:
    """The stream that Pillow reads: a PNG without unneeded chunks, other files unchanged."""
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
    """`KINDS`, and HEIC if the extra `heif` is installed."""
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError:
        return KINDS
    return (*KINDS, HEIF)
