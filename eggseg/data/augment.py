"""Random augmentation for training: a photo and its mask get the same geometric transform.

OpenCV changes the pixels, as uint8, which takes a third of the time of TensorFlow's operations on a processor.
The same seed, size and strength give the same `Draw`, so the augmentation of any photo in any epoch can be reproduced.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
import tensorflow as tf

from eggseg.data.classes import VOID


class Draw(NamedTuple):
    """The augmentation of one pair."""

    transform: tf.Tensor
    """(2, 3) float32: affine map from output to input coordinates (x, y), in pixels."""
    gain: tf.Tensor
    """(3,) float32: factor of each colour channel."""
    gamma: tf.Tensor
    """() float32: exponent of the channel values, scaled to 0..1; 1 changes nothing."""
    saturation: tf.Tensor
    """() float32: 0 is grey, 1 changes nothing."""
    noise: tf.Tensor
    """() float32: standard deviation in grey levels; the three channels of a pixel get the same noise."""
    seed: tf.Tensor
    """(2,) int32 or int64: seed of the noise."""


def draw(seed: tf.Tensor, size: int, strength: float = 1.0) -> Draw:
    """Draw the augmentation of a (size, size) square from `seed`, (2,) int32 or int64; `strength` 0 changes nothing.

    If `strength` is above 0, the square is flipped horizontally and vertically, each with probability 1/2. With
    `strength` 1, the square is also rotated by up to 45 degrees, scaled by 0.75 to 2 and shifted by up to a quarter of
    `size` along each axis; brightness, gain of each channel (the colour of the light), saturation and noise change too.
    """
    unit = tf.random.stateless_uniform((12,), seed, -1, 1)  # each in -1..1; 0 changes nothing
    flip = tf.where((tf.constant(strength) > 0) & (unit[:2] > 0), -1.0, 1.0)
    unit = unit * strength
    angle = unit[2] * math.pi / 4
    scale = tf.exp(tf.where(unit[3] > 0, unit[3] * math.log(2), unit[3] * -math.log(0.75)))
    shift = unit[4:6] * size / 4
    middle = (size - 1) / 2
    # The output pixel (x, y) takes the input value at m @ ((x, y) - middle - shift) + middle.
    # m is the inverse of flip, scale and rotation.
    cos, sin = tf.cos(angle) / scale, tf.sin(angle) / scale
    m = tf.reshape(tf.stack([cos * flip[0], sin * flip[0], -sin * flip[1], cos * flip[1]]), (2, 2))
    offset = middle - tf.linalg.matvec(m, middle + shift)
    return Draw(
        transform=tf.concat([m, offset[:, None]], 1),
        gain=tf.exp(0.25 * unit[6] + 0.12 * unit[7:10]),
        gamma=tf.exp(0.4 * unit[10]),
        saturation=1 + 0.5 * unit[11],
        noise=tf.abs(unit[6] * unit[10]) * 12,
        seed=seed,
    )


def apply_to_image(draw: Draw, image: tf.Tensor) -> tf.Tensor:
    """Augment a photo, (size, size, 3) uint8, to the same shape and dtype.

    Pixels from outside the square are black before the noise is added.
    """
    return tf.ensure_shape(tf.numpy_function(_augmented, [image, *draw], tf.uint8, stateful=False), image.shape)


def apply_to_ids(draw: Draw, ids: tf.Tensor) -> tf.Tensor:
    """Augment (size, size) class ids, uint8; pixels from outside the square are VOID."""
    return tf.ensure_shape(tf.numpy_function(_moved_ids, [ids, draw.transform], tf.uint8, stateful=False), ids.shape)


def _augmented(
    image: np.ndarray,
    transform: np.ndarray,
    gain: np.ndarray,
    gamma: np.ndarray,
    saturation: np.ndarray,
    noise: np.ndarray,
    seed: np.ndarray,
) -> np.ndarray:
    moved = _moved(image, transform, cv2.INTER_LINEAR, 0)
    curve = 255 * np.linspace(0, 1, 256) ** gamma
    light = cv2.LUT(moved, np.rint(curve).astype(np.uint8))
    # One matrix scales the channels by `gain`, then blends each with the mean of all three by `saturation`.
    light = cv2.transform(light, saturation * np.diag(gain) + (1 - saturation) / 3 * gain)
    if noise:
        # The generator that this seeds is the thread's own.
        cv2.setRNGSeed(int(np.random.SeedSequence(seed.astype(np.uint64)).generate_state(1)[0] >> 1))
        grain = cv2.randn(np.empty(light.shape[:2], np.int8), 0, float(noise))
        light = cv2.add(light, cv2.merge([grain] * 3), dtype=cv2.CV_8U)
    return light


def _moved_ids(ids: np.ndarray, transform: np.ndarray) -> np.ndarray:
    return _moved(ids, transform, cv2.INTER_NEAREST, VOID)


def _moved(pixels: np.ndarray, transform: np.ndarray, interpolation: int, fill: int) -> np.ndarray:
    size = pixels.shape[1::-1]
    return cv2.warpAffine(pixels, transform, size, flags=interpolation | cv2.WARP_INVERSE_MAP, borderValue=(fill,) * 4)
