"""Bytes to upright pixels, in the graph."""

from __future__ import annotations

import functools

import tensorflow as tf

from eggseg.pictures import exif, png
from eggseg.pictures.headers import BMP, GIF, begins, gif_frame, number, shape
from eggseg.pictures.orientation import PNG
from eggseg.pictures.pillow import MAX_PIXELS

BMP_HEADERS = (40, 52, 56, 64, 108, 124)
"""Sizes of the headers of a BMP that begin alike, bytes."""

RATIOS = (1, 2, 4, 8)
"""By how much the sides of a JPEG can be divided in decoding, which then leaves out much of the work."""


def decode(data: tf.Tensor, side: int | None = None, max_pixels: int = MAX_PIXELS) -> tf.Tensor:
    """Decode the bytes of a JPEG, PNG, GIF or BMP, () string, to upright RGB, (h, w, 3) uint8.

    What is transparent lies on black, 16 bits are divided by 257, and of an animation there is the first frame. What
    cannot be decoded so, or has more than `max_pixels`, is `tf.errors.InvalidArgumentError`: TensorFlow knows neither
    other formats nor BMPs of other than 24 bits; `pillow.decode` does.

    With `side` the photo is for a square of so many pixels: a far larger JPEG comes at a half, quarter or eighth of its
    size. `geometry.letterbox` puts it where it puts the whole photo, within a grey level or so of the same pixels.
    """
    return decode_turned(data, side, max_pixels)[0]


def decode_turned(
    data: tf.Tensor, side: int | None = None, max_pixels: int = MAX_PIXELS
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """What `decode` gives, the photo's own upright (height, width), (2,) int64, and its EXIF orientation, () int32.

    The size is the photo's own also where, with `side`, its pixels come smaller.
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
    # The accurate transform gives the pixels that other decoders give; the default is off by up to 16.
    def at(ratio: int) -> tf.Tensor:
        return tf.io.decode_jpeg(data, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")

    if not side:
        return at(1)
    whole = tf.image.extract_jpeg_shape(data)[:2]
    # Only by what divides both sides: each pixel then stands for as many of the photo's, none for less.
    fits = tf.reduce_all(whole[:, None] % RATIOS == 0, 0) & (tf.reduce_max(whole) // RATIOS >= side)
    largest = tf.reduce_max(tf.where(fits, tf.range(len(RATIOS)), 0))
    return tf.switch_case(largest, [functools.partial(at, ratio) for ratio in RATIOS])


def _gif(data: tf.Tensor, stored: tf.Tensor) -> tf.Tensor:
    # Looked at before it is decoded: a frame may be larger than the picture says it is.
    whole = tf.reduce_all(gif_frame(data) == tf.concat([[0, 0], stored[::-1]], 0))
    with tf.control_dependencies([tf.debugging.Assert(whole, ["GIF whose first frame is not all of it"])]):
        pixels = tf.io.decode_image(tf.identity(data), channels=3, expand_animations=False)
    return tf.ensure_shape(pixels, (None, None, 3))


def _bmp(data: tf.Tensor) -> tf.Tensor:
    head = tf.io.decode_raw(tf.strings.substr(data, 0, 34) + bytes(34), tf.uint8)
    bits, compression = number(head, 28, 2, little=True), number(head, 30, 4, little=True)
    # Those of 8 bits have a palette, which the decoder takes for grey; the oldest header puts the size elsewhere.
    known = tf.reduce_any(number(head, 14, 4, little=True) == BMP_HEADERS)
    plain = known & (bits == 24) & (compression == 0)
    with tf.control_dependencies([tf.debugging.Assert(plain, ["BMP of other than 24 plain bits", bits])]):
        return tf.io.decode_bmp(tf.identity(data), channels=3)


def _refused() -> tf.Tensor:
    with tf.control_dependencies([tf.debugging.Assert(False, ["neither JPEG, PNG, GIF nor BMP"])]):
        return tf.zeros([0, 0, 3], tf.uint8)
