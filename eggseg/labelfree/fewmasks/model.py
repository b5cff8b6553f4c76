"""Base class of the models that train on photos with masks and on photos without."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from eggseg.data.classes import VOID
from eggseg.training.objective import KnownPixelCrossentropy


class SemiSupervisedModel(keras.Model):
    """A functional model that also trains on the trusted pixels of its own masks, from step `begin` on.

    `trust` is the threshold, a probability, for trusted pixels; subclasses define whose probability. `weight` is the
    weight of the loss on these pixels. A batch is a pair: (images, truth) of photos with masks, and `Views` of photos
    without.
    """

    def __init__(self, *args: Any, begin: int, trust: float, weight: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.begin, self.trust, self.weight = begin, trust, weight
        self.pseudo = KnownPixelCrossentropy(name="pseudo")
        self.extra_metrics = {"trusted": keras.metrics.Mean("trusted")}
        """Metrics in addition to loss and IoU; they are reported for training, not for validation."""

    def begun(self) -> tf.Tensor:
        """1 once photos without masks count, else 0; () float32."""
        return tf.cast(self.optimizer.iterations >= self.begin, tf.float32)

    def pseudo_loss(self, ids: tf.Tensor, logits: tf.Tensor, inside: tf.Tensor) -> tf.Tensor:
        """Loss times `weight` of logits (b, h, w, classes) on the model's own masks, () float32; 0 before step `begin`.

        `ids` (b, h, w) uint8 are these masks, VOID at pixels that are not trusted. A photo's loss is the cross-entropy,
        summed over trusted pixels and divided by the number of pixels `inside` the photo, (b, h, w) bool.
        """
        trusted = share(ids, inside)
        self.extra_metrics["trusted"].update_state(trusted * self.begun())
        return self.begun() * self.weight * self.pseudo(ids, logits, sample_weight=trusted)

    def learn(self, tape: tf.GradientTape, scaled: tf.Tensor) -> None:
        """Apply the gradient of a loss that the optimizer's `scale_loss` scaled."""
        gradients = tape.gradient(scaled, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))

    def figures(self, loss: tf.Tensor, images: tf.Tensor, truth: tf.Tensor, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        """Update the metrics and return them."""
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
        return self.compute_metrics(images, truth, logits)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        return {name: value for name, value in super().test_step(data).items() if name not in self.extra_metrics}


def share(ids: tf.Tensor, inside: tf.Tensor) -> tf.Tensor:
    """The share of trusted pixels (not VOID in `ids`) among the pixels `inside` each photo, (b,) float32.

    `ids` is (b, h, w) uint8, `inside` is (b, h, w) bool. With the share as sample weight, the loss of a photo is
    divided by the number of all pixels of the photo, so a few trusted pixels have little influence.
    """
    trusted, total = (tf.reduce_sum(tf.cast(part, tf.float32), (1, 2)) for part in (ids != VOID, inside))
    return tf.math.divide_no_nan(trusted, total)
