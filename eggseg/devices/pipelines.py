"""What the `tf.data` pipelines are told; both are for `Dataset.apply`."""

from __future__ import annotations

import tensorflow as tf

ENDLESS = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
"""Where it is not said, several workers ask each other before each batch whether it is there."""


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Steps whose parallelism is `AUTOTUNE` get a thread for each processor, and keep them.

    The thread that would tune them sleeps between its looks, longer each time and up to a minute, and whoever drops an
    iterator waits until it wakes: eight steps of training took ten seconds instead of five.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
