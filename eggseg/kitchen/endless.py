"""Made-up scenes drawn during training, so that the network never sees a scene twice."""

from __future__ import annotations

import collections
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import Future

import numpy as np
import tensorflow as tf

from eggseg.data import augment
from eggseg.devices.pipelines import ENDLESS, untuned
from eggseg.kitchen import scenes
from eggseg.kitchen.processes import Pool

AHEAD = 4 * (os.cpu_count() or 1)
"""Number of scenes drawn in advance; small, so that the step time that the time budget measures includes drawing."""


def train_batches(
    size: int,
    *,
    batch_size: int,
    steps: int,
    seed: int,
    strength: float,
    first_epoch: int = 0,
    worker: int = 0,
    workers: int = 1,
) -> tf.data.Dataset:
    """Endless batches of augmented scenes, (b, size, size, 3), and class ids, (b, size, size), both uint8.

    Each scene has its own table, camera position and light. An epoch is `steps` batches. At equal `size` and
    `strength`, a scene and its augmentation depend only on the seed and the scene's number, so a run that resumes at
    `first_epoch` sees the same scenes as an uninterrupted run. Each of n workers sees every n-th scene.
    """
    numbers = range(first_epoch * steps * batch_size * workers + worker, sys.maxsize, workers)

    def augmented(index: tf.Tensor, square: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        draw = augment.draw(tf.stack([tf.cast(seed, tf.int64), index]), size, strength)
        return augment.apply_to_image(draw, square[..., :3]), augment.apply_to_ids(draw, square[..., 3])

    drawn = tf.data.Dataset.from_generator(
        lambda: _drawn(seed, numbers, size), output_signature=tf.TensorSpec((size, size, 4), tf.uint8)
    )
    numbered = tf.data.Dataset.zip(tf.data.Dataset.range(numbers.start, numbers.stop, numbers.step), drawn)
    batches = numbered.map(augmented, tf.data.AUTOTUNE, deterministic=True).batch(batch_size, drop_remainder=True)
    return batches.prefetch(tf.data.AUTOTUNE).apply(ENDLESS).apply(untuned)


def _drawn(seed: int, numbers: Iterable[int], size: int) -> Iterator[np.ndarray]:
    """Yield the scenes of `numbers` in order, as `scenes.square` returns them; one process per core draws them."""
    with Pool() as pool:
        ahead: collections.deque[Future[np.ndarray]] = collections.deque()
        try:
            for index in numbers:
                ahead.append(pool.submit(scenes.square, seed, index, size))
                if len(ahead) > AHEAD:
                    yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
