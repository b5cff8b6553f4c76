"""Batches of squares for `model.fit`, with `tf.data`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from eggseg import augment
from eggseg.squares import Squares


def train_batches(
    squares: Squares,
    indices: Sequence[int],
    *,
    batch_size: int,
    seed: int,
    strength: float,
    first_epoch: int = 0,
) -> tf.data.Dataset:
    """Endless batches of augmented ((b, size, size, 3) float32 in 0..255, (b, size, size) uint8 class ids).

    An epoch is `len(indices) // batch_size` batches. Its order and every augmentation are functions of (seed, epoch,
    photo), so that a run begun at `first_epoch` sees what an uninterrupted run would have seen.
    """
    size = squares.pixels.shape[1]
    whole = len(indices) // batch_size * batch_size  # those left over differ from epoch to epoch

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        # Shuffle indices, not pixels: no buffer to fill.
        order = tf.random.experimental.stateless_shuffle(
            tf.constant(indices, tf.int64), tf.stack([tf.cast(seed, tf.int64), number])
        )
        return tf.data.Dataset.from_tensor_slices((tf.fill([whole], number), order[:whole]))

    def augmented(number: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, ids = _square(squares, index)
        draw = augment.draw(_mix(seed, number, index), size, strength)
        return augment.apply_to_image(draw, image), augment.apply_to_ids(draw, ids)

    epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max).flat_map(epoch)
    batches = epochs.map(augmented, tf.data.AUTOTUNE, deterministic=True).batch(batch_size, drop_remainder=True)
    return batches.prefetch(tf.data.AUTOTUNE)


def plain_batches(squares: Squares, indices: Sequence[int], *, batch_size: int) -> tf.data.Dataset:
    """One pass over the photos as they are, in order, in batches like those of `train_batches`."""

    def plain(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, ids = _square(squares, index)
        return tf.cast(image, tf.float32), ids

    one_by_one = tf.data.Dataset.from_tensor_slices(tf.constant(indices, tf.int64))
    return one_by_one.map(plain, tf.data.AUTOTUNE).batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _square(squares: Squares, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The photo (size, size, 3) and the class ids (size, size) at `index`, uint8."""
    square = tf.numpy_function(squares.pixels.__getitem__, [index], tf.uint8, stateful=False)
    square = tf.ensure_shape(square, squares.pixels.shape[1:])
    return square[..., :3], square[..., 3]


def _mix(seed: int, epoch: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """A stateless seed, (2,) int64, that differs for every (seed, epoch, photo)."""
    return tf.stack([tf.cast(seed, tf.int64) * 0x9E3779B1 + epoch, index])
