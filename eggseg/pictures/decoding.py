"""Decode the bytes of a photo to upright pixels, in the TensorFlow graph."""

from __future__ import annotations

import functools

import tensorflow as tf

from eggseg.pictures import exif, png
from eggseg.pictures.headers import BMP, GIF, begins, gif_frame, number, shape
from eggseg.pictures.limits import MAX_PIXELS
from eggseg.pictures.orientation import PNG

BMP_HEADERS = (40, 52, 56, 64, 108, 124)
"""Sizes, in bytes, of the BMP headers that `decode` accepts: they have their first fields in common."""

RATIOS = (1, 2, 4, 8)
"""Factors by which the JPEG decoder can divide the sides; a larger factor means less work."""


def decode(data: tf.Tensor, side: int | None = None, max_pixels: int = MAX_PIXELS) -> tf.Tensor:
    """Decode the bytes of a JPEG, PNG, GIF or BMP, () string, to upright RGB, (h, w, 3) uint8.

    Transparent pixels are composed on black, 16-bit values are divided by 257 and rounded, and only the first frame of
    an animation is decoded. `tf.errors.InvalidArgumentError` if the photo cannot be decoded or has more than
    `max_pixels` pixels. `pillow.decode` also decodes other formats, and BMPs without 24 uncompressed bits per pixel.

    `side` is the side, in pixels, of the square that `geometry.letterbox` will make of the photo. A JPEG is then
    decoded at a half, quarter or eighth of its size, if the factor divides both sides and the long side stays at least
    `side`. The photo gets the same place in the square, and its pixels there differ by less than one grey level on
    average.
    """
    return decode_turned(data, side, max_pixels)[0]


def decode_turned(
    data: tf.Tensor, side: int | None = None, max_pixels: int = MAX_PIXELS
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The result of `decode`, the upright photo's (height, width), (2,) int64, and its EXIF orientation, () int32.

    (height, width) is the size in the file, turned upright, even if `side` makes the decoded photo smaller.
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
    # The accurate inverse DCT gives the pixels of other decoders; the default differs by up to 16 grey levels.
    def at(ratio: int) -> tf.Tensor:
        return tf.io.decode_jpeg(data, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")

    if not side:
        return at(1)
    size = tf.image.extract_jpeg_shape(data)[:2]
    # A ratio must divide both sides: each decoded pixel then covers the same number of the photo's pixels.
    fits = tf.reduce_all(size[:, None] % RATIOS == 0, 0) & (tf.reduce_max(size) // RATIOS >= side)
    largest = tf.reduce_max(tf.where(fits, tf.range(len(RATIOS)), 0))
    return tf.switch_case(largest, [functools.partial(at, ratio) for ratio in RATIOS])


def _gif(data: tf.Tensor, stored: tf.Tensor) -> tf.Tensor:
    # Check before decoding: the first frame can be larger than the header's size, which `max_pixels` limits.
    whole = tf.reduce_all(gif_frame(data) == tf.concat([[0, 0], stored[::-1]], 0))
    with tf.control_dependencies([tf.debugging.Assert(whole, ["GIF whose first frame does not fill it"])]):
        pixels = tf.io.decode_image(tf.identity(data), channels=3, expand_animations=False)
    return tf.ensure_shape(pixels, (None, None, 3))


def _bmp(data: tf.Tensor) -> tf.Tensor:
    head = tf.io.decode_raw(tf.strings.substr(data, 0, 34) + bytes(34), tf.uint8)
    bits, compression = number(head, 28, 2, little=True), number(head, 30, 4, little=True)
    # TensorFlow's decoder takes the palette indices of an 8-bit BMP for grey levels, and does not know the oldest
    # header, which has 12 bytes and stores width and height at other offsets.
    known = tf.reduce_any(number(head, 14, 4, little=True) == BMP_HEADERS)
    plain = known & (bits == 24) & (compression == 0)
    with tf.control_dependencies([tf.debugging.Assert(plain, ["BMP of other than 24 uncompressed bits", bits])]):
        return tf.io.decode_bmp(tf.identity(data), channels=3)


def _refused() -> tf.Tensor:
    with tf.control_dependencies([tf.debugging.Assert(False, ["neither JPEG, PNG, GIF nor BMP"])]):
        return tf.zeros([0, 0, 3], tf.uint8)
