"""What a run computes on: processor or GPUs, precision, several devices or machines, and what `tf.data` is told."""
