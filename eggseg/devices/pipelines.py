"""Options of `tf.data` pipelines, for `Dataset.apply`."""

from __future__ import annotations

import tensorflow as tf

ENDLESS = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
"""Declares a data set infinite, for `Dataset.apply`.

Without this declaration, the workers of distributed training ask each other before each step whether all have a batch.
"""


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Turn autotuning off: stages with `AUTOTUNE` parallelism keep one thread per processor.

    The autotuning thread sleeps up to a minute between measurements, and the deletion of an iterator waits until the
    thread wakes. With autotuning, 8 training steps took 10 s instead of 5 s.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
