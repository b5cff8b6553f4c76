"""Bytes to upright pixels: photos, masks, and the one drawn over the other."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from eggseg.classes import ClassTable
from eggseg.exif import orientation, upright


def decode(data: tf.Tensor) -> tf.Tensor:
    """Decode the bytes of a photo, () string, to upright RGB, (h, w, 3) uint8."""
    return upright(_decode_stored(data), _orientation(data))


def decode_pair(image: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Decode the bytes of a photo and of its mask, () string each, to (h, w, 3) and (h, w, 1) uint8, upright.

    A mask that fits the upright photo is taken as it is, one that fits the photo as stored is turned with it. One that
    fits neither comes back as stored: its size then differs from the photo's, and the caller names the files.
    """
    tag = _orientation(image)
    stored, values = _decode_stored(image), _decode_stored(mask)[..., :1]
    photo = upright(stored, tag)
    fits = tf.reduce_all(tf.shape(values)[:2] == tf.shape(photo)[:2])
    turns = ~fits & tf.reduce_all(tf.shape(values)[:2] == tf.shape(stored)[:2])
    return photo, upright(values, tf.where(turns, tag, 1))


def _orientation(data: tf.Tensor) -> tf.Tensor:
    return tf.cond(tf.io.is_jpeg(data), lambda: orientation(data), lambda: tf.constant(1))


def _decode_stored(data: tf.Tensor) -> tf.Tensor:
    pixels = tf.cond(
        tf.io.is_jpeg(data),
        # The accurate transform gives the pixels that other decoders give; the default is off by up to 16.
        lambda: tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(data, channels=3, expand_animations=False),
    )
    return tf.ensure_shape(pixels, (None, None, 3))


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
