"""What `model.fit` minimises and what it reports."""

from __future__ import annotations

import keras
import tensorflow as tf

from eggseg.classes import VOID, ClassTable


class KnownPixelCrossentropy(keras.losses.Loss):
    """Sparse categorical cross-entropy from logits over the pixels whose class is known.

    Truth is (n, h, w) class ids, uint8, logits (n, h, w, classes) float32. Each photo's loss is the mean over its own
    known pixels, 0 if it has none, and the loss the mean over photos: so it does not depend on how photos are grouped
    into batches or spread over workers.
    """

    def __init__(self, name: str = "known_pixel_crossentropy") -> None:
        super().__init__(name=name, reduction="sum_over_batch_size")

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        y_true = tf.cast(y_true, tf.int32)
        known = y_true != VOID
        pixels = keras.losses.sparse_categorical_crossentropy(tf.where(known, y_true, 0), y_pred, from_logits=True)
        pixels = tf.where(known, pixels, 0.0)
        return tf.math.divide_no_nan(tf.reduce_sum(pixels, (1, 2)), tf.reduce_sum(tf.cast(known, pixels.dtype), (1, 2)))


class IoU(keras.metrics.Metric):
    """IoU of each class and their mean, `miou`, from one pooled confusion matrix over all known pixels so far."""

    def __init__(self, classes: ClassTable, name: str = "iou") -> None:
        super().__init__(name=name, dtype="float32")
        self.classes = classes
        n = len(classes)
        # float64 holds every whole number up to 2**53 pixels; integers cannot be summed over replicas on every device.
        self.counts = self.add_weight(shape=(n, n), dtype="float64", initializer="zeros", name="counts")

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None) -> None:
        n = len(self.classes)
        truth = tf.reshape(tf.one_hot(tf.cast(y_true, tf.int32), n), (-1, n))  # all zeros where it is VOID
        prediction = tf.reshape(tf.one_hot(tf.argmax(y_pred, -1), n), (-1, n))
        # A product of matrices: counting in bins is slower on a processor.
        self.counts.assign_add(tf.cast(tf.matmul(truth, prediction, transpose_a=True), "float64"))

    def result(self) -> dict[str, tf.Tensor]:
        counts = tf.convert_to_tensor(self.counts)
        hits = tf.linalg.diag_part(counts)
        union = tf.reduce_sum(counts, 0) + tf.reduce_sum(counts, 1) - hits
        iou = tf.where(union > 0, tf.math.divide_no_nan(hits, union), float("nan"))
        there = tf.cast(union > 0, "float64")
        mean = tf.math.divide_no_nan(tf.reduce_sum(tf.math.divide_no_nan(hits, union)), tf.reduce_sum(there))
        return {"miou": mean} | {f"iou_{name}": iou[i] for i, name in enumerate(self.classes.names)}
