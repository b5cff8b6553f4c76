"""Bytes to upright pixels, in the TensorFlow graph."""

from __future__ import annotations

import functools

import tensorflow as tf

from eggseg.pictures import exif, png
from eggseg.pictures.headers import BMP, GIF, begins, gif_frame, number, shape
from eggseg.pictures.limits import MAX_PIXELS
from eggseg.pictures.orientation import PNG

BMP_HEADERS = (40, 52, 56, 64, 108, 124)
"""Sizes of the BMP headers that begin with the same fields, bytes."""

RATIOS = (1, 2, 4, 8)
"""Factors by which the JPEG decoder can divide the sides; a larger factor means less work."""


def decode(data: tf.Tensor, side: int | None = None, max_pixels: int = MAX_PIXELS) -> tf.Tensor:
    """Decode the bytes of a JPEG, PNG, GIF or BMP, () string, to upright RGB, (h, w, 3) uint8.

    Transparent pixels lie on black, 16-bit values are divided by 257, and an animation gives its first frame.
    `tf.errors.InvalidArgumentError` if the photo cannot be decoded or has more than `max_pixels`: TensorFlow reads
    neither other formats nor BMPs of other than 24 bits; `pillow.decode` does.

    `side` is the side of the square that the photo is for, pixels: a much larger JPEG comes at a half, quarter or
    eighth of its size. `geometry.letterbox` puts it in the same place as the whole photo, and its pixels differ by a
    grey level or so.
    """
    return decode_turned(data, side, max_pixels)[0]


def decode_turned(
    data: tf.Tensor, side: int | None = None, max_pixels: int = MAX_PIXELS
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The result of `decode`, the photo's upright (height, width), (2,) int64, and its EXIF orientation, () int32.

    The size is that of the whole photo, even if `side` makes the pixels fewer.
    """
    stored = shape(data)
    few = tf.reduce_prod(tf.maximum(stored, 1)) <= max_pixels
    with tf.control_dependencies([tf.debugging.Assert(few, ["photo of more pixels than", max_pixels, stored])]):
        data = tf.identity(data)
    pixels, tag = tf.case(
        [
            (tf.io.is_jpeg(data), lambda: (_jpeg(data, side), exif.orientation(data))),
            (begins(data, PNG), lambda: png.decode(data)),
            (begins(data, *GIF), lambda: (_gif(data, stored), tf.constant(1))),
            (begins(data, BMP), lambda: (_bmp(data), tf.constant(1))),
        ],
        default=lambda: (_refused(), tf.constant(1)),
    )
    return exif.upright(pixels, tag), tf.where(tag >= 5, stored[::-1], stored), tag


def _jpeg(data: tf.Tensor, side: int | None) -> tf.Tensor:
    # The accurate transform gives the same pixels as other decoders; the default differs by up to 16 grey levels.
    def at(ratio: int) -> tf.Tensor:
        return tf.io.decode_jpeg(data, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")

    if not side:
        return at(1)
    size = tf.image.extract_jpeg_shape(data)[:2]
    # A ratio must divide both sides: each decoded pixel then covers equally many of the photo's.
    fits = tf.reduce_all(size[:, None] % RATIOS == 0, 0) & (tf.reduce_max(size) // RATIOS >= side)
    largest = tf.reduce_max(tf.where(fits, tf.range(len(RATIOS)), 0))
    return tf.switch_case(largest, [functools.partial(at, ratio) for ratio in RATIOS])


def _gif(data: tf.Tensor, stored: tf.Tensor) -> tf.Tensor:
    # Checked before decoding: a frame can be larger than the size in the header.
    whole = tf.reduce_all(gif_frame(data) == tf.concat([[0, 0], stored[::-1]], 0))
    with tf.control_dependencies([tf.debugging.Assert(whole, ["GIF whose first frame does not fill it"])]):
        pixels = tf.io.decode_image(tf.identity(data), channels=3, expand_animations=False)
    return tf.ensure_shape(pixels, (None, None, 3))


def _bmp(data: tf.Tensor) -> tf.Tensor:
    head = tf.io.decode_raw(tf.strings.substr(data, 0, 34) + bytes(34), tf.uint8)
    bits, compression = number(head, 28, 2, little=True), number(head, 30, 4, little=True)
    # The decoder reads the palette indices of 8 bits as grey; the oldest header has the size in another place.
    known = tf.reduce_any(number(head, 14, 4, little=True) == BMP_HEADERS)
    plain = known & (bits == 24) & (compression == 0)
    with tf.control_dependencies([tf.debugging.Assert(plain, ["BMP of other than 24 uncompressed bits", bits])]):
        return tf.io.decode_bmp(tf.identity(data), channels=3)


def _refused() -> tf.Tensor:
    with tf.control_dependencies([tf.debugging.Assert(False, ["neither JPEG, PNG, GIF nor BMP"])]):
        return tf.zeros([0, 0, 3], tf.uint8)
