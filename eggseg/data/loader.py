"""Batches of squares for `model.fit`, with `tf.data`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from eggseg.data import augment
from eggseg.data.classes import VOID
from eggseg.data.squares import Squares
from eggseg.devices.pipelines import ENDLESS, untuned

_REPEAT = 1 << 32
"""Seed offset between repeats of a photo within an epoch; it is larger than the number of photos."""


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
    """Endless batches of augmented photos, (b, size, size, 3), and class ids, (b, size, size), both uint8.

    An epoch is `steps` batches. A batch depends on the other arguments, its epoch and its place in the epoch, not on
    earlier batches. So a run that starts at `first_epoch` gets the same batches as an uninterrupted run gets from that
    epoch on.
    """
    size = squares.size

    def augmented(index: tf.Tensor, photo_seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, ids = _square(squares, index)
        draw = augment.draw(photo_seed, size, strength)
        return augment.apply_to_image(draw, image), augment.apply_to_ids(draw, ids)

    shuffled = order(indices, count=steps * batch_size, seed=seed, first_epoch=first_epoch)
    batches = shuffled.map(augmented, tf.data.AUTOTUNE, deterministic=True).batch(batch_size, drop_remainder=True)
    return batches.prefetch(tf.data.AUTOTUNE).apply(ENDLESS).apply(untuned)


def joined(first: tf.data.Dataset, second: tf.data.Dataset) -> tf.data.Dataset:
    """Endless batches, shaped as in `train_batches`, each of a batch of `first` and one of `second`."""

    def join(*batches: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        images, ids = zip(*batches, strict=True)
        return tf.concat(images, 0), tf.concat(ids, 0)

    batches = tf.data.Dataset.zip(first, second).map(join, tf.data.AUTOTUNE, deterministic=True)
    return batches.prefetch(tf.data.AUTOTUNE).apply(ENDLESS).apply(untuned)


def order(indices: Sequence[int], *, count: int, seed: int, first_epoch: int) -> tf.data.Dataset:
    """Endless epochs of `count` elements each: the index of a photo, () int64, and a stateless seed, (2,) int64.

    If there are more than `count` photos, each epoch takes a random subset. If there are fewer, photos repeat within an
    epoch, each time with another seed.
    """

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        # Shuffle indices: unlike `Dataset.shuffle` after the photos are read, this needs no buffer of pixels.
        places = tf.range(max(count, len(indices)), dtype=tf.int64)
        epoch_seed = tf.stack([tf.constant(seed, tf.int64), number])
        places = tf.random.experimental.stateless_shuffle(places, epoch_seed)[:count]
        # With fewer photos than `count`, some occur once more than others in an epoch: other ones in each epoch.
        turn = number * count if len(indices) < count else 0
        index = tf.gather(np.array(indices, np.int64), (places + turn) % len(indices))
        repeat = places // len(indices)
        return tf.data.Dataset.from_tensor_slices((index, _mix(seed, number, index + repeat * _REPEAT)))

    return tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max).flat_map(epoch)


def plain_batches(
    squares: Squares, indices: Sequence[int], *, batch_size: int, steps: int, weight: float
) -> tf.data.Dataset:
    """One pass over the photos, in order and not augmented, in `steps` full batches shaped as in `train_batches`.

    Each batch also has sample weights, (b,) float32: `weight` for real photos, and 0 for blank photos. Blank photos are
    black with all class ids VOID, and fill up the last batches. `weight` is (real + blank photos) / real photos over
    all workers: the mean loss is then the mean over the real photos.
    """

    def plain(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        image, ids = _square(squares, index)
        return image, ids, tf.constant(weight, tf.float32)

    shape = (squares.size, squares.size)
    blank = tf.zeros((*shape, 3), tf.uint8), tf.fill(shape, tf.constant(VOID, tf.uint8)), tf.constant(0.0)
    blanks = tf.data.Dataset.from_tensors(blank).repeat(steps * batch_size - len(indices))
    one_by_one = tf.data.Dataset.from_tensor_slices(tf.constant(indices, tf.int64))
    photos = one_by_one.map(plain, tf.data.AUTOTUNE).concatenate(blanks)
    return photos.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE).apply(untuned)


def _square(squares: Squares, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The photo (size, size, 3) and the class ids (size, size) at `index`, both uint8."""
    pixels = tf.numpy_function(squares.at, [index], tf.uint8, stateful=False)
    pixels = tf.ensure_shape(pixels, (squares.size, squares.size, 4))
    return pixels[..., :3], pixels[..., 3]


def _mix(seed: int, epoch: tf.Tensor, photos: tf.Tensor) -> tf.Tensor:
    """Stateless seeds, (n, 2) int64, different for every (seed, epoch, photo)."""
    return tf.stack([tf.fill(tf.shape(photos), tf.constant(seed, tf.int64) * 0x9E3779B1 + epoch), photos], axis=1)
