"""Decode PNG in the TensorFlow graph, and add what its decoder lacks: transparency, rounded 16 bits, orientation."""

from __future__ import annotations

import tensorflow as tf

from eggseg.pictures import exif
from eggseg.pictures.headers import number
from eggseg.pictures.orientation import MOST_PARTS

_WITH_ALPHA = (4, 6)
"""Colour types with an alpha channel: grey, RGB. Other types may declare transparent colours in a tRNS chunk."""


def decode(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Decode a PNG, () string, to RGB as stored, (h, w, 3) uint8, and its orientation, () int32 in 1..8.

    Transparent pixels are composed on black, and 16-bit values are divided by 257 and rounded.
    """
    head = tf.io.decode_raw(data, tf.uint8)
    transparent, turn = _chunks(head)
    alpha = tf.reduce_any(number(head, 25, 1) == _WITH_ALPHA) | (transparent > 0)

    # Ask for alpha only if there is any: otherwise the decoder gives PNGs of 1, 2 and 4 bits an alpha of 1, 3 and 15.
    pixels = tf.case(
        [
            (number(head, 24, 1) == 16, lambda: _on_black(_of_16_bits(data))),
            (alpha, lambda: _transparent(data, number(head, 24, 1))),
        ],
        default=lambda: tf.io.decode_png(data, channels=3),
    )
    size = number(head, tf.maximum(turn - 8, 0), 4)
    return pixels, tf.cond(turn > 0, lambda: exif.in_block(head[turn : turn + size]), lambda: tf.constant(1))


def _chunks(head: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Byte offsets of the content of the chunks tRNS and eXIf before the pixels, () int64 each; 0 if there is none."""
    length = tf.size(head, tf.int64)

    def named(at: tf.Tensor, name: bytes) -> tf.Tensor:
        return number(head, at + 4, 4) == int.from_bytes(name, "big")

    def goes_on(at: tf.Tensor, transparent: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
        return (at + 8 < length) & ~named(at, b"IDAT")

    def onward(at: tf.Tensor, transparent: tf.Tensor, turn: tf.Tensor) -> tuple[tf.Tensor, ...]:
        content = at + 8
        return (
            content + number(head, at, 4) + 4,  # past the content and its checksum (4)
            tf.where(named(at, b"tRNS"), content, transparent),
            tf.where(named(at, b"eXIf"), content, turn),
        )

    zero = tf.constant(0, tf.int64)
    start = tf.constant(8, tf.int64)  # past the signature
    return tf.while_loop(goes_on, onward, (start, zero, zero), maximum_iterations=MOST_PARTS)[1:]


def _transparent(data: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Decode a PNG of up to 8 `bits`, () int64, with alpha or a tRNS chunk, to (h, w, 3) uint8, on black."""
    pixels = tf.io.decode_png(data, channels=4)
    # The decoder ignores a damaged tRNS chunk: it then sets alpha to the largest value of `bits` bits everywhere.
    filler = tf.cast(tf.bitwise.left_shift(tf.constant(1, tf.int64), bits) - 1, tf.uint8)
    is_opaque = tf.reduce_all(pixels[..., 3] == filler)
    return tf.cond(is_opaque, lambda: pixels[..., :3], lambda: _on_black(pixels))


def _of_16_bits(data: tf.Tensor) -> tf.Tensor:
    """Decode a PNG of 16 bits to RGBA, (h, w, 4) uint8: values are divided by 257 (65535 / 255) and rounded."""
    pixels = tf.cast(tf.io.decode_png(data, channels=4, dtype=tf.uint16), tf.int32)
    return tf.cast((pixels + 128) // 257, tf.uint8)


def _on_black(pixels: tf.Tensor) -> tf.Tensor:
    """Compose RGBA, (h, w, 4) uint8, on black: RGB times alpha / 255, rounded, (h, w, 3) uint8."""
    pixels = tf.cast(pixels, tf.int32)
    return tf.cast((pixels[..., :3] * pixels[..., 3:] + 127) // 255, tf.uint8)
