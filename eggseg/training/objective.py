"""The training loss, `KnownPixelCrossentropy`, and the metric that is reported for each epoch, `IoU`.

`model.fit` minimises the loss. No gradient flows through the metric; it only chooses the epoch with --keep best, and
ends a run early with --patience.
"""

from __future__ import annotations

import functools

import keras
import tensorflow as tf

from eggseg.data.classes import VOID, ClassTable

SMOOTH = 20.0
"""Smoothing of soft Dice, in pixels: the loss of a class that the photo lacks grows with its predicted pixels."""


class KnownPixelCrossentropy(keras.losses.Loss):
    """The loss: sparse categorical cross-entropy from logits plus `dice` times soft Dice loss, over known pixels.

    Truth is (n, h, w) class ids, uint8, and VOID at unknown pixels, which have no influence on the loss. Logits
    are (n, h, w, classes) float32.

    The cross-entropy of a photo is the mean over its known pixels, 0 if it has none. The loss is the mean over photos,
    so it does not depend on how photos are grouped into batches or spread over workers.

    The soft Dice loss of a photo is the mean of 1 - soft Dice over all classes but the background (Milletari et al.
    2016, arXiv 1606.04797, but without squares in the denominator). A class with few pixels has little influence on the
    cross-entropy. Soft Dice is a ratio of areas, so such a class has about as much influence as a class with many
    pixels. For a class that the photo lacks, `SMOOTH` wrong pixels already cost half of the largest Dice loss.
    """

    def __init__(self, dice: float = 0.0, name: str = "known_pixel_crossentropy") -> None:
        super().__init__(name=name, reduction="sum_over_batch_size")
        self.dice = dice

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        # One plane per class: operations along a last axis of length 3 take several times as long.
        scores = tf.unstack(y_pred, axis=-1)
        truth = [tf.cast(y_true == i, tf.float32) for i in range(len(scores))]
        known = tf.cast(y_true != VOID, tf.float32)
        highest = functools.reduce(tf.maximum, scores)
        normaliser = highest + tf.math.log(tf.add_n([tf.exp(score - highest) for score in scores]))
        of_truth = tf.add_n([score * is_class for score, is_class in zip(scores, truth, strict=True)])
        loss = tf.math.divide_no_nan(_sum(known * normaliser - of_truth), _sum(known))
        if self.dice:
            dice = []
            for score, is_class in zip(scores[1:], truth[1:], strict=True):
                p = known * tf.exp(score - normaliser)
                dice.append((2 * _sum(is_class * p) + SMOOTH) / (_sum(is_class) + _sum(p) + SMOOTH))
            loss += self.dice * (1 - tf.add_n(dice) / len(dice))
        return loss


def _sum(plane: tf.Tensor) -> tf.Tensor:
    """The sum over each photo's pixels, (n, h, w) to (n,)."""
    return tf.reduce_sum(plane, (1, 2))


class IoU(keras.metrics.Metric):
    """The metric: IoU of each class and their mean, `miou`, from one confusion matrix over all known pixels so far.

    A class in neither truth nor predictions has the IoU NaN; the mean leaves it out.
    """

    def __init__(self, classes: ClassTable, name: str = "iou") -> None:
        super().__init__(name=name, dtype="float32")
        self.classes = classes
        n = len(classes)
        # float64 is exact up to 2**53 pixels; not every device can sum integers over replicas.
        self.counts = self.add_weight(shape=(n, n), dtype="float64", initializer="zeros", name="counts")

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None) -> None:
        n = len(self.classes)
        truth = tf.reshape(tf.one_hot(tf.cast(y_true, tf.int32), n), (-1, n))  # all zeros at VOID
        prediction = tf.reshape(tf.one_hot(tf.argmax(y_pred, -1), n), (-1, n))
        # A matrix product: bincount is slower on a processor.
        self.counts.assign_add(tf.cast(tf.matmul(truth, prediction, transpose_a=True), "float64"))

    def result(self) -> dict[str, tf.Tensor]:
        counts = tf.convert_to_tensor(self.counts)
        hits = tf.linalg.diag_part(counts)
        union = tf.reduce_sum(counts, 0) + tf.reduce_sum(counts, 1) - hits
        iou = tf.where(union > 0, tf.math.divide_no_nan(hits, union), float("nan"))
        is_present = tf.cast(union > 0, "float64")
        mean = tf.math.divide_no_nan(tf.reduce_sum(tf.math.divide_no_nan(hits, union)), tf.reduce_sum(is_present))
        return {"miou": mean} | {f"iou_{name}": iou[i] for i, name in enumerate(self.classes.names)}
