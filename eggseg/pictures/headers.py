"""Read the headers of photos in the TensorFlow graph, before anything is decoded."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from eggseg.pictures.orientation import MOST_PARTS, PNG

GIF, BMP = (b"GIF87a", b"GIF89a"), b"BM"

_EXTENSION, _FRAME = 0x21, 0x2C
"""The byte that begins an extension of a GIF, and the byte that begins the descriptor of a frame."""

_GIF_HEADER, _GIF_HEAD = 13, 1 << 18
"""Bytes of a GIF before its palette, and those that are searched for the first frame."""


def number(data: tf.Tensor, offset: tf.Tensor | int, count: int, little: tf.Tensor | bool = False) -> tf.Tensor:
    """Read unsigned integers of `count` bytes each from `data`, (n,) uint8; int64 of the shape of `offset`.

    `little` stands for little-endian. Past the end, the last byte repeats.
    """
    offset = tf.convert_to_tensor(offset, tf.int64)
    digits = tf.gather(data, tf.minimum(offset[..., None] + np.arange(count), tf.size(data, tf.int64) - 1))
    place_values = 256 ** np.arange(count)[::-1]
    return tf.reduce_sum(tf.cast(digits, tf.int64) * tf.where(little, place_values[::-1], place_values), axis=-1)


def gif_frame(data: tf.Tensor) -> tf.Tensor:
    """Rectangle of the first frame of a GIF, () string: left, top, width, height in pixels, (4,) int64.

    Zeros if no frame begins in the first 256 KiB, after at most `MOST_PARTS` extensions and sub-blocks.
    """
    head = tf.io.decode_raw(tf.strings.substr(data, 0, _GIF_HEAD) + bytes(16), tf.uint8)
    flags = number(head, 10, 1)
    palette_size = tf.where(flags >= 128, 3 * tf.bitwise.left_shift(tf.constant(2, tf.int64), flags % 8), 0)

    def is_extension(at: tf.Tensor, inside: tf.Tensor) -> tf.Tensor:
        return inside | (number(head, at, 1) == _EXTENSION)

    def advance(at: tf.Tensor, inside: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # An extension is two bytes, then sub-blocks. A length byte precedes each of them; length 0 ends the extension.
        length = number(head, at, 1)
        return tf.where(inside, at + 1 + length, at + 2), tf.where(inside, length > 0, True)

    start = (_GIF_HEADER + palette_size, tf.constant(False))
    at, _ = tf.while_loop(is_extension, advance, start, maximum_iterations=MOST_PARTS)
    frame = number(head, at + 1 + 2 * tf.range(4, dtype=tf.int64), 2, little=True)
    return tf.where(number(head, at, 1) == _FRAME, frame, 0)


def begins(data: tf.Tensor, *magic: bytes) -> tf.Tensor:
    """Whether a file's bytes, () string, begin with one of the `magic` strings, which have equal lengths; () bool."""
    return tf.reduce_any(tf.strings.substr(data, 0, len(magic[0])) == magic)


def shape(data: tf.Tensor) -> tf.Tensor:
    """(height, width) in pixels of a JPEG, PNG, GIF or BMP before EXIF turns it, () string to (2,) int64.

    Zeros for other formats. `tf.errors.InvalidArgumentError` for a damaged JPEG. Wrong for a BMP with the oldest
    header, which `decoding` refuses.
    """
    head = tf.io.decode_raw(tf.strings.substr(data, 0, 32) + bytes(32), tf.uint8)

    def sides(height_offset: int, width_offset: int, count: int, little: bool) -> tf.Tensor:
        return number(head, tf.constant([height_offset, width_offset], tf.int64), count, little)

    def bmp() -> tf.Tensor:
        height, width = tf.unstack(sides(22, 18, 4, little=True))
        # A negative height means that the top row comes first; read as unsigned, it is 2**32 minus the height.
        return tf.stack([tf.minimum(height, (1 << 32) - height), width])

    return tf.case(
        [
            (tf.io.is_jpeg(data), lambda: tf.cast(tf.image.extract_jpeg_shape(data)[:2], tf.int64)),
            (begins(data, PNG), lambda: sides(20, 16, 4, little=False)),
            (begins(data, *GIF), lambda: sides(8, 6, 2, little=True)),
            (begins(data, BMP), bmp),
        ],
        default=lambda: tf.zeros([2], tf.int64),
    )
