"""Random augmentation for training: a photo and its mask get the same geometric transform.

The same seed, size and strength give the same `Draw`, so the augmentation of any photo in any epoch can be reproduced.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

from eggseg.data.classes import VOID


class Draw(NamedTuple):
    """The augmentation of one pair."""

    transform: tf.Tensor
    """(8,) float32: maps output to input coordinates, in pixels; the format of `ImageProjectiveTransformV3`."""
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
    transform = tf.stack([m[0, 0], m[0, 1], offset[0], m[1, 0], m[1, 1], offset[1], 0.0, 0.0])
    return Draw(
        transform=transform,
        gain=tf.exp(0.25 * unit[6] + 0.12 * unit[7:10]),
        gamma=tf.exp(0.4 * unit[10]),
        saturation=1 + 0.5 * unit[11],
        noise=tf.abs(unit[6] * unit[10]) * 12,
        seed=seed,
    )


def apply_to_image(draw: Draw, image: tf.Tensor) -> tf.Tensor:
    """Augment a photo, (size, size, 3) uint8, to float32 in 0..255.

    Pixels from outside the square are black before the noise is added.
    """
    # A lookup table: it takes 256 powers instead of one per pixel and channel.
    curve = 255 * tf.pow(tf.linspace(0.0, 1.0, 256), draw.gamma)
    light = _transform(draw, tf.gather(curve, tf.cast(image, tf.int32)), "BILINEAR", 0.0)
    # One matrix scales the channels by `gain`, then blends each with the mean of all three by `saturation`.
    mix = draw.gain[:, None] * (draw.saturation * tf.eye(3) + (1 - draw.saturation) / 3)
    grain = draw.noise * tf.random.stateless_normal((*image.shape[:2], 1), draw.seed)
    return tf.clip_by_value(tf.matmul(light, mix) + grain, 0, 255)


def apply_to_ids(draw: Draw, ids: tf.Tensor) -> tf.Tensor:
    """Augment (size, size) class ids, uint8; pixels from outside the square are VOID."""
    return _transform(draw, ids[..., None], "NEAREST", VOID)[..., 0]


def _transform(draw: Draw, image: tf.Tensor, interpolation: str, fill: float) -> tf.Tensor:
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=draw.transform[None],
        output_shape=tf.shape(image)[:2],
        fill_value=tf.cast(fill, tf.float32),
        interpolation=interpolation,
        fill_mode="CONSTANT",
    )[0]
    return tf.ensure_shape(moved, image.shape)
