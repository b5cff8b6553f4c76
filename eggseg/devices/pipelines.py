"""Options of `tf.data` pipelines, for `Dataset.apply`."""

from __future__ import annotations

import tensorflow as tf

ENDLESS = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
"""Declare a data set infinite: otherwise workers ask each other before each batch whether all have one."""


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Turn autotuning off: stages with `AUTOTUNE` parallelism keep one thread per processor.

    The tuning thread sleeps up to a minute between measurements, and dropping an iterator waits until it wakes: eight
    steps of training took ten seconds instead of five.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
