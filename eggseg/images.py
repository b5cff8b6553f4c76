"""Bytes to upright pixels: photos, masks, and the one drawn over the other."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from eggseg.classes import ClassTable
from eggseg.exif import orientation, upright

RATIOS = (1, 2, 4, 8)
"""By how much the sides of a JPEG can be divided in decoding, which then leaves out much of the work."""


def decode(data: tf.Tensor, side: int | None = None) -> tf.Tensor:
    """Decode the bytes of a photo, () string, to upright RGB, (h, w, 3) uint8.

    With `side` the photo is for a square of so many pixels: a far larger JPEG comes at a half, quarter or eighth of its
    size. `geometry.letterbox` puts it where it puts the whole photo, within a grey level or so of the same pixels.
    """
    pixels, _ = _decode_stored(data, side)
    return upright(pixels, _orientation(data))


def decode_pair(image: tf.Tensor, mask: tf.Tensor, side: int | None = None) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Decode the bytes of a photo and of its mask, () string each, to (h, w, 3) and (h, w, 1) uint8, upright.

    The third is the photo's own (height, width), (2,) int32: with `side` the photo may come smaller, as from `decode`.
    The mask never does, since a mixture of class values is another class.

    A mask that fits the upright photo is taken as it is, one that fits the photo as stored is turned with it. One that
    fits neither comes back as stored: its size then differs from the photo's, and the caller names the files.
    """
    tag = _orientation(image)
    (stored, ratio), (values, _) = _decode_stored(image, side), _decode_stored(mask)
    photo, values = upright(stored, tag), values[..., :1]
    shape = ratio * tf.shape(photo)[:2]
    fits = tf.reduce_all(tf.shape(values)[:2] == shape)
    turns = ~fits & tf.reduce_all(tf.shape(values)[:2] == ratio * tf.shape(stored)[:2])
    return photo, upright(values, tf.where(turns, tag, 1)), shape


def _orientation(data: tf.Tensor) -> tf.Tensor:
    return tf.cond(tf.io.is_jpeg(data), lambda: orientation(data), lambda: tf.constant(1))


def _decode_stored(data: tf.Tensor, side: int | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Decode to RGB as stored, (h, w, 3) uint8, and by how much its sides were divided, () int32 of `RATIOS`."""

    def jpeg(ratio: int = 1) -> tuple[tf.Tensor, tf.Tensor]:
        # The accurate transform gives the pixels that other decoders give; the default is off by up to 16.
        pixels = tf.io.decode_jpeg(data, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")
        return pixels, tf.constant(ratio)

    def smallest_jpeg() -> tuple[tf.Tensor, tf.Tensor]:
        shape = tf.image.extract_jpeg_shape(data)[:2]
        # Only by what divides both sides: each pixel then stands for as many of the photo's, none for less.
        fits = tf.reduce_all(shape[:, None] % RATIOS == 0, 0) & (tf.reduce_max(shape) // RATIOS >= side)
        largest = tf.reduce_max(tf.where(fits, tf.range(len(RATIOS)), 0))
        return tf.switch_case(largest, [functools.partial(jpeg, ratio) for ratio in RATIOS])

    pixels, ratio = tf.cond(
        tf.io.is_jpeg(data),
        smallest_jpeg if side else jpeg,
        lambda: (tf.io.decode_image(data, channels=3, expand_animations=False), tf.constant(1)),
    )
    return tf.ensure_shape(pixels, (None, None, 3)), ratio


def overlay(image: np.ndarray, ids: np.ndarray, classes: ClassTable, opacity: float = 0.45) -> np.ndarray:
    """Tint (h, w, 3) uint8 by (h, w) class ids in the classes' colours, outlined; the background is left as it is."""
    colors = np.append(np.zeros((256, 3), np.uint8), [[0, 0, 0]], 0)[:256]
    colors[: len(classes)] = classes.colors
    edge = np.zeros(ids.shape, bool)
    edge[1:] |= ids[1:] != ids[:-1]
    edge[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    alpha = np.where(ids == 0, 0, opacity) + np.where(edge, 0.5, 0)
    alpha = np.minimum(alpha, 1)[..., None]
    return np.round(image * (1 - alpha) + colors[ids] * alpha).astype(np.uint8)
