"""Batches of squares for `model.fit`, with `tf.data`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from eggseg import augment
from eggseg.classes import VOID
from eggseg.pipelines import ENDLESS, untuned
from eggseg.squares import Squares


def train_batches(
    squares: Squares,
    indices: Sequence[int],
    *,
    batch_size: int,
    steps: int,
    seed: int,
    strength: float,
    first_epoch: int = 0,
) -> tf.data.Dataset:
    """Endless batches of augmented ((b, size, size, 3) float32 in 0..255, (b, size, size) uint8 class ids).

    An epoch is `steps` batches, for which the photos must be enough. Its order and every augmentation are functions of
    (seed, epoch, photo), so that a run begun at `first_epoch` sees what an uninterrupted run would have seen.
    """
    size = squares.size
    whole = steps * batch_size  # those left over differ from epoch to epoch

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
    return batches.prefetch(tf.data.AUTOTUNE).apply(ENDLESS).apply(untuned)


def plain_batches(
    squares: Squares, indices: Sequence[int], *, batch_size: int, steps: int, weight: float
) -> tf.data.Dataset:
    """One pass over the photos as they are, in order, in `steps` full batches like those of `train_batches`.

    Blank photos, without a known pixel, fill up the last. So that the mean of a loss over all is the mean over the
    photos, these come with a `weight`, (b,) float32: how many there are with the blank ones for each.
    """

    def plain(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        image, ids = _square(squares, index)
        return tf.cast(image, tf.float32), ids, tf.constant(weight, tf.float32)

    shape = (squares.size, squares.size)
    blank = tf.zeros((*shape, 3)), tf.fill(shape, tf.constant(VOID, tf.uint8)), tf.constant(0.0)
    blanks = tf.data.Dataset.from_tensors(blank).repeat(steps * batch_size - len(indices))
    one_by_one = tf.data.Dataset.from_tensor_slices(tf.constant(indices, tf.int64))
    photos = one_by_one.map(plain, tf.data.AUTOTUNE).concatenate(blanks)
    return photos.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE).apply(untuned)


def _square(squares: Squares, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The photo (size, size, 3) and the class ids (size, size) at `index`, uint8."""
    square = tf.numpy_function(squares.at, [index], tf.uint8, stateful=False)
    square = tf.ensure_shape(square, (squares.size, squares.size, 4))
    return square[..., :3], square[..., 3]


def _mix(seed: int, epoch: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """A stateless seed, (2,) int64, that differs for every (seed, epoch, photo)."""
    return tf.stack([tf.cast(seed, tf.int64) * 0x9E3779B1 + epoch, index])
