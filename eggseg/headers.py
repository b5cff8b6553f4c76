"""What the first bytes of a photo say, read in the graph before anything is decoded."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

PNG, GIF, BMP = b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM"

MOST_PARTS = 512
"""Parts of a file, whose number it can claim to be anything, that are looked at: no file makes a search long."""


def number(head: tf.Tensor, offset: tf.Tensor | int, count: int, little: tf.Tensor | bool = False) -> tf.Tensor:
    """The unsigned integers of `count` bytes at `offset` of (n,) uint8, int64; past the end the last byte repeats."""
    offset = tf.convert_to_tensor(offset, tf.int64)
    digits = tf.gather(head, tf.minimum(offset[..., None] + np.arange(count), tf.size(head, tf.int64) - 1))
    big = 256 ** np.arange(count)[::-1]
    return tf.reduce_sum(tf.cast(digits, tf.int64) * tf.where(little, big[::-1], big), axis=-1)


def begins(data: tf.Tensor, magic: bytes) -> tf.Tensor:
    """Whether the bytes of a file, () string, begin so."""
    return tf.strings.substr(data, 0, len(magic)) == magic


def shape(data: tf.Tensor) -> tf.Tensor:
    """(height, width) as stored of the bytes of a JPEG, PNG, GIF or BMP, () string to (2,) int64; else zeros."""
    head = tf.io.decode_raw(tf.strings.substr(data, 0, 32) + bytes(32), tf.uint8)

    def sides(height: int, width: int, count: int, little: bool) -> tf.Tensor:
        return number(head, tf.constant([height, width], tf.int64), count, little)

    def bmp() -> tf.Tensor:
        height, width = tf.unstack(sides(22, 18, 4, little=True))
        return tf.stack([tf.minimum(height, (1 << 32) - height), width])  # a negative height: the first row is the top

    return tf.case(
        [
            (tf.io.is_jpeg(data), lambda: tf.cast(tf.image.extract_jpeg_shape(data)[:2], tf.int64)),
            (begins(data, PNG), lambda: sides(20, 16, 4, little=False)),
            (begins(data, GIF), lambda: sides(8, 6, 2, little=True)),
            (begins(data, BMP), bmp),
        ],
        default=lambda: tf.zeros([2], tf.int64),
    )
