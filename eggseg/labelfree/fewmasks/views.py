"""Batches of photos without masks, for training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from eggseg.data import augment, loader
from eggseg.devices.pipelines import ENDLESS, untuned

COVER = (0.25, 0.6)
"""Least and largest side of the CutMix box, as shares of the square's side."""
LIGHT = 2.0
"""The `strength` for `augment.draw` of the changes of light, colour and noise in the strong view."""

OTHERS = 1 << 31
"""Added to the seed, so that photos without masks get other random numbers than photos with masks.

Every seed is smaller.
"""


class Views(NamedTuple):
    """A batch of photos without masks."""

    image: tf.Tensor
    """The weak view, (b, size, size, 3) uint8."""
    ids: tf.Tensor
    """(b, size, size) uint8: VOID outside of the photo, else 0."""
    other: tf.Tensor
    """The strong view, like `image`, with the same geometry but stronger changes of light, colour and noise.

    Without `two_views`, (b, 0).
    """
    covered: tf.Tensor
    """(b, size, size) bool: True in the CutMix box of each photo; (b, 0) without `two_views`."""


def batches(
    photos: Sequence[Callable[[], np.ndarray]],
    size: int,
    *,
    two_views: bool,
    batch_size: int,
    steps: int,
    seed: int,
    strength: float,
    first_epoch: int,
) -> tf.data.Dataset:
    """Endless batches of `Views`; each of `photos` is a function, as in `SemiSupervised.squares`.

    As in `loader.train_batches`, an epoch is `steps` batches, which depend on (seed, epoch, photo) alone.
    """

    def viewed(place: tf.Tensor, dice: tf.Tensor) -> Views:
        square = tf.numpy_function(lambda i: photos[i](), [place], tf.uint8, stateful=False)
        square = tf.ensure_shape(square, (size, size, 4))
        draw = augment.draw(dice, size, strength)
        image, ids = augment.apply_to_image(draw, square[..., :3]), augment.apply_to_ids(draw, square[..., 3])
        if not two_views:
            return Views(image, ids, tf.zeros([0]), tf.zeros([0], tf.bool))
        light = augment.draw(tf.random.experimental.stateless_fold_in(dice, 1), size, LIGHT)._replace(
            transform=draw.transform
        )
        return Views(image, ids, augment.apply_to_image(light, square[..., :3]), _box(dice, size))

    order = loader.order(range(len(photos)), count=steps * batch_size, seed=seed + OTHERS, first_epoch=first_epoch)
    views = order.map(viewed, tf.data.AUTOTUNE, deterministic=True).batch(batch_size, drop_remainder=True)
    return views.prefetch(tf.data.AUTOTUNE).apply(ENDLESS).apply(untuned)


def _box(dice: tf.Tensor, size: int) -> tf.Tensor:
    """A random box in the square, (size, size) bool."""
    unit = tf.random.stateless_uniform((4,), tf.random.experimental.stateless_fold_in(dice, 2))
    sides = size * (COVER[0] + (COVER[1] - COVER[0]) * unit[:2])
    start = unit[2:] * (size - sides)
    places = tf.range(size, dtype=tf.float32)[:, None]
    inside = (places >= start) & (places < start + sides)
    return inside[:, :1] & inside[None, :, 1]
