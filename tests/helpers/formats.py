"""Pictures in every format, with their expected pixels from a reference that shares no code with the package."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

WIDTH, HEIGHT = 37, 21


def ramp(width: int = WIDTH, height: int = HEIGHT, seed: int = 0) -> np.ndarray:
    """Smooth colours with some noise, like a photo, (height, width, 3) uint8."""
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], -1)
    noise = np.random.default_rng(seed).integers(-20, 20, smooth.shape)
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def on_black(rgba: np.ndarray) -> np.ndarray:
    rgba = rgba.astype(int)
    return ((rgba[..., :3] * rgba[..., 3:] + 127) // 255).astype(np.uint8)


def divided(wide: np.ndarray) -> np.ndarray:
    return ((wide.astype(int) + 128) // 257).astype(np.uint8)


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, -1)


def by_pillow(data: bytes) -> np.ndarray:
    """The pixels that Pillow decodes, with transparency over black."""
    with Image.open(io.BytesIO(data)) as picture:
        return on_black(np.asarray(picture.convert("RGBA")))


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def with_chunks(data: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    """Insert chunks into a PNG: `before` its pixels, and `after` them, before its end."""
    at = data.index(b"IDAT") - 4
    return data[:at] + before + data[at:-12] + after + data[-12:]


def tiff(value: int, order: str = "II", before: int = 0, tag: int = 0x0112) -> bytes:
    """An EXIF header with one directory: `before` other tags, then the orientation."""
    e = "<" if order == "II" else ">"
    others = b"".join(struct.pack(f"{e}HHIHH", 0x0100 + i, 3, 1, 6, 0) for i in range(before))
    entry = struct.pack(f"{e}HHIHH", tag, 3, 1, value, 0)
    head = order.encode() + struct.pack(f"{e}HIH", 42, 8, before + 1)
    return b"Exif\0\0" + head + others + entry + struct.pack(f"{e}I", 0)


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def png(values: np.ndarray, depth: int, color: int = 0, *chunks: bytes) -> bytes:
    """A PNG of `depth` bits per pixel, 1 to 8, one channel, from (h, w) integers, with `chunks` before the pixels."""
    height, width = values.shape
    bits = np.unpackbits(values.astype(np.uint8)[..., None], axis=-1)[..., 8 - depth :].reshape(height, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(bits, axis=-1))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def interlaced(picture: Image.Image) -> bytes:
    """An RGB PNG in Adam7's seven passes, which Pillow can read but not write."""
    pixels = np.asarray(picture)
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    parts = [pixels[top::down, left::right] for top, left, down, right in passes]
    rows = b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *picture.size, 8, 2, 0, 0, 1))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def by_opencv(pixels: np.ndarray, kind: str, *options: int) -> bytes:
    """Encode grey, RGB or RGBA with 16 bits per channel; Pillow cannot write 16-bit colour."""
    order = {2: ..., 3: np.s_[..., ::-1]}[pixels.ndim] if pixels.shape[-1] != 4 else np.s_[..., [2, 1, 0, 3]]
    return cv2.imencode(kind, pixels[order], options)[1].tobytes()


def as_ycck(data: bytes) -> bytes:
    """Mark the four channels of a JPEG as YCCK in its Adobe segment."""
    at = data.index(b"Adobe") + 11
    return data[:at] + b"\x02" + data[at + 1 :]


@dataclass(frozen=True)
class File:
    """A file and its expected pixels; `tolerance` is the mean error that a decoder may have."""

    data: bytes
    pixels: np.ndarray
    """(h, w, 3) uint8."""
    in_graph: bool = True
    """Whether TensorFlow can read it."""
    by_pillow: bool = True
    """Whether Pillow decodes it correctly."""
    tolerance: float = 0.0


def pillow(picture: Image.Image, kind: str, *, in_graph: bool = True, tolerance: float = 0, **options: object) -> File:
    data = encoded(picture, kind, **options)
    return File(data, by_pillow(data), in_graph, tolerance=tolerance)


def files() -> dict[str, File]:
    rng = np.random.default_rng(1)
    rgb = ramp()
    alpha = rng.integers(0, 256, (HEIGHT, WIDTH, 1), np.uint8)
    rgba = np.concatenate([rgb, alpha], -1)
    wide = rng.integers(0, 65536, (HEIGHT, WIDTH, 4)).astype(np.uint16)
    photo, transparent = Image.fromarray(rgb), Image.fromarray(rgba)
    palette = photo.quantize(16)
    few = {depth: rng.integers(0, 2**depth, (HEIGHT, WIDTH)) for depth in (1, 2, 4)}
    shown = {depth: (values * (255 // (2**depth - 1))).astype(np.uint8) for depth, values in few.items()}
    ycck = as_ycck(encoded(photo.convert("CMYK"), "JPEG", quality=95))
    return {
        "JPEG, YCbCr": pillow(photo, "JPEG", quality=85),
        "JPEG, YCbCr with whole chroma": pillow(photo, "JPEG", quality=95, subsampling=0),
        "JPEG, grey": pillow(photo.convert("L"), "JPEG"),
        "JPEG, progressive": pillow(photo, "JPEG", progressive=True),
        "JPEG, CMYK": pillow(photo.convert("CMYK"), "JPEG", quality=95, tolerance=2),
        "JPEG, YCCK": File(ycck, by_pillow(ycck), tolerance=2),
        **{f"PNG, grey of {d} bits": File(png(few[d], d), grey(shown[d])) for d in few},
        **{
            f"PNG, grey of {d} bits, one transparent": File(
                png(few[d], d, 0, chunk(b"tRNS", b"\0\1")),
                grey(np.where(few[d] == 1, 0, shown[d])),
            )
            for d in few
        },
        "PNG, grey": pillow(photo.convert("L"), "PNG"),
        "PNG, grey, one transparent": pillow(photo.convert("L"), "PNG", transparency=int(rgb[3, 4, 0])),
        "PNG, grey with alpha": pillow(transparent.convert("LA"), "PNG"),
        "PNG, grey of 16 bits": File(by_opencv(wide[..., 0], ".png"), grey(divided(wide[..., 0]))),
        "PNG, RGB": pillow(photo, "PNG"),
        "PNG, RGB, one transparent": pillow(photo, "PNG", transparency=tuple(rgb[3, 4].tolist())),
        "PNG, RGB, interlaced": File(interlaced(photo), rgb),
        "PNG, RGB of 16 bits": File(
            by_opencv(wide[..., :3], ".png"),
            divided(wide[..., :3]),
            by_pillow=False,  # Pillow drops the lower 8 bits
        ),
        "PNG, RGB with alpha": pillow(transparent, "PNG"),
        "PNG, RGB with alpha of 16 bits": File(by_opencv(wide, ".png"), on_black(divided(wide)), by_pillow=False),
        "PNG, palette": pillow(palette, "PNG"),
        "PNG, palette of 2 bits": pillow(photo.quantize(4), "PNG", bits=2),
        "PNG, palette, one transparent": pillow(palette, "PNG", transparency=3),
        "PNG, palette with alpha": pillow(transparent.quantize(16), "PNG"),
        "BMP": pillow(photo, "BMP"),
        "BMP, grey": pillow(photo.convert("L"), "BMP", in_graph=False),
        "BMP, palette": pillow(palette, "BMP", in_graph=False),
        "BMP, 1 bit": pillow(photo.convert("1"), "BMP", in_graph=False),
        "GIF": pillow(palette, "GIF"),
        "GIF, one transparent": pillow(palette, "GIF", transparency=3),
        "GIF, animated": File(
            encoded(palette, "GIF", save_all=True, append_images=[photo.rotate(180).quantize(16)]),
            np.asarray(palette.convert("RGB")),
        ),
        "WebP, lossy": pillow(photo, "WEBP", in_graph=False, tolerance=1),
        "WebP, lossless": File(encoded(photo, "WEBP", lossless=True), rgb, in_graph=False),
        "WebP, lossless with alpha": File(
            encoded(transparent, "WEBP", lossless=True, exact=True), on_black(rgba), in_graph=False
        ),
        "TIFF": pillow(photo, "TIFF", in_graph=False),
        "TIFF, deflated": pillow(photo, "TIFF", in_graph=False, compression="tiff_adobe_deflate"),
        "TIFF, grey of 16 bits": File(by_opencv(wide[..., 0], ".tiff"), grey(divided(wide[..., 0])), in_graph=False),
        "TIFF, CMYK": pillow(photo.convert("CMYK"), "TIFF", in_graph=False, tolerance=2),
        "AVIF": pillow(photo, "AVIF", in_graph=False, tolerance=1),
    }


FILES = files()
