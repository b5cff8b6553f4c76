"""The module `orientation` for the TensorFlow graph: TensorFlow's decoders ignore EXIF and return pixels as stored."""

from __future__ import annotations

import tensorflow as tf

from eggseg.pictures.headers import number
from eggseg.pictures.orientation import (
    COLUMNS_REVERSED,
    EXIF_SEGMENT,
    HEAD,
    LONG,
    MOST_PARTS,
    ORIENTATION_TAG,
    ROWS_REVERSED,
    SCAN_SEGMENT,
    TRANSPOSED,
)


def orientation(data: tf.Tensor) -> tf.Tensor:
    """EXIF orientation of the bytes of a JPEG, () string to () int32 in 1..8; 1 if there is none."""
    head = tf.io.decode_raw(tf.strings.substr(data, 0, HEAD), tf.uint8)
    length = tf.size(head, tf.int64)

    def is_exif(at: tf.Tensor) -> tf.Tensor:
        marker, name = number(head, at, 2), number(head, at + 4, 4)
        return (marker == 0xFF00 + EXIF_SEGMENT) & (name == int.from_bytes(b"Exif", "big"))

    def goes_on(at: tf.Tensor) -> tf.Tensor:
        is_segment = (number(head, at, 1) == 0xFF) & (number(head, at + 1, 1) != SCAN_SEGMENT)
        return (at + 4 < length) & is_segment & ~is_exif(at)

    def onward(at: tf.Tensor) -> tuple[tf.Tensor]:
        fill = number(head, at + 1, 1) == 0xFF  # any number of fill bytes may stand before a marker
        return (tf.where(fill, at + 1, at + 2 + number(head, at + 2, 2)),)

    at = tf.while_loop(goes_on, onward, (tf.constant(2, tf.int64),), maximum_iterations=MOST_PARTS)[0]
    block = head[at + 10 : at + 2 + number(head, at + 2, 2)]  # past marker (2), length (2) and b"Exif\0\0"
    return tf.cond(is_exif(at), lambda: in_block(block), lambda: tf.constant(1))


def in_block(block: tf.Tensor) -> tf.Tensor:
    """Orientation in an EXIF block, (n,) uint8; () int32 in 1..8, 1 if it is missing or invalid.

    The block begins with the byte order of its TIFF header.
    """
    block = tf.concat([block, tf.zeros([16], tf.uint8)], 0)
    little = number(block, 0, 2) == int.from_bytes(b"II", "big")
    directory = number(block, 4, 4, little)
    entries = directory + 2 + 12 * tf.range(tf.minimum(number(block, directory, 2, little), MOST_PARTS))
    named = tf.boolean_mask(entries, number(block, entries, 2, little) == ORIENTATION_TAG)
    is_long = number(block, named + 2, 2, little) == LONG
    values = tf.where(is_long, number(block, named + 8, 4, little), number(block, named + 8, 2, little))
    tag = tf.cast(tf.concat([values, [1]], 0)[0], tf.int32)
    return tf.where((tag >= 1) & (tag <= 8), tag, 1)


def upright(image: tf.Tensor, tag: tf.Tensor) -> tf.Tensor:
    """Turn stored pixels, (h, w, c), upright by their EXIF orientation, () int32 in 1..8; (w, h, c) for 5 to 8."""
    channels = image.shape[-1]
    image = tf.cond(tf.reduce_any(tag == TRANSPOSED), lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    flip = tf.stack([tf.reduce_any(tag == ROWS_REVERSED), tf.reduce_any(tag == COLUMNS_REVERSED)])
    # Skipped if there is nothing to reverse: tf.reverse along no axis copies the photo.
    image = tf.cond(tf.reduce_any(flip), lambda: tf.reverse(image, tf.boolean_mask([0, 1], flip)), lambda: image)
    return tf.ensure_shape(image, (None, None, channels))
