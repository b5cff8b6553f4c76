"""Read the headers of photos in the TensorFlow graph, before anything is decoded."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from eggseg.pictures.orientation import MOST_PARTS, PNG

GIF, BMP = (b"GIF87a", b"GIF89a"), b"BM"

_EXTENSION, _FRAME = 0x21, 0x2C
"""First bytes of the blocks of a GIF."""


def number(head: tf.Tensor, offset: tf.Tensor | int, count: int, little: tf.Tensor | bool = False) -> tf.Tensor:
    """Unsigned integers of `count` bytes at `offset` of (n,) uint8, as int64; the last byte repeats past the end."""
    offset = tf.convert_to_tensor(offset, tf.int64)
    digits = tf.gather(head, tf.minimum(offset[..., None] + np.arange(count), tf.size(head, tf.int64) - 1))
    big = 256 ** np.arange(count)[::-1]
    return tf.reduce_sum(tf.cast(digits, tf.int64) * tf.where(little, big[::-1], big), axis=-1)


def gif_frame(data: tf.Tensor) -> tf.Tensor:
    """First frame of a GIF, (4,) int64: left, top, width, height; zeros if none is found near the start."""
    head = tf.io.decode_raw(tf.strings.substr(data, 0, 1 << 18) + bytes(16), tf.uint8)
    flags = number(head, 10, 1)
    palette = tf.where(flags >= 128, 3 * tf.bitwise.left_shift(tf.constant(2, tf.int64), flags % 8), 0)

    def is_extension(at: tf.Tensor, inside: tf.Tensor) -> tf.Tensor:
        return inside | (number(head, at, 1) == _EXTENSION)

    def onward(at: tf.Tensor, inside: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # An extension is two bytes, then blocks, each after its length; an empty block ends the extension.
        length = number(head, at, 1)
        return tf.where(inside, at + 1 + length, at + 2), tf.where(inside, length > 0, True)

    start = (13 + palette, tf.constant(False))
    at, _ = tf.while_loop(is_extension, onward, start, maximum_iterations=MOST_PARTS)
    frame = number(head, at + 1 + 2 * tf.range(4, dtype=tf.int64), 2, little=True)
    return tf.where(number(head, at, 1) == _FRAME, frame, 0)


def begins(data: tf.Tensor, *magic: bytes) -> tf.Tensor:
    """Whether the bytes of a file, () string, begin in one of these ways, all as long."""
    return tf.reduce_any(tf.strings.substr(data, 0, len(magic[0])) == magic)


def shape(data: tf.Tensor) -> tf.Tensor:
    """(height, width), as stored, of a JPEG, PNG, GIF or BMP, () string to (2,) int64; zeros for other formats."""
    head = tf.io.decode_raw(tf.strings.substr(data, 0, 32) + bytes(32), tf.uint8)

    def sides(height: int, width: int, count: int, little: bool) -> tf.Tensor:
        return number(head, tf.constant([height, width], tf.int64), count, little)

    def bmp() -> tf.Tensor:
        height, width = tf.unstack(sides(22, 18, 4, little=True))
        return tf.stack([tf.minimum(height, (1 << 32) - height), width])  # negative height: the top row comes first

    return tf.case(
        [
            (tf.io.is_jpeg(data), lambda: tf.cast(tf.image.extract_jpeg_shape(data)[:2], tf.int64)),
            (begins(data, PNG), lambda: sides(20, 16, 4, little=False)),
            (begins(data, *GIF), lambda: sides(8, 6, 2, little=True)),
            (begins(data, BMP), bmp),
        ],
        default=lambda: tf.zeros([2], tf.int64),
    )
