"""Devices of a run: processor or GPUs, precision, training on several devices or machines, options of `tf.data`."""
