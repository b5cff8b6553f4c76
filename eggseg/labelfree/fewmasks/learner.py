"""What networks that learn from photos without masks have in common."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from eggseg.data.classes import VOID
from eggseg.training.objective import KnownPixelCrossentropy


class SemiSupervisedModel(keras.Model):
    """A functional model whose own masks count, times `weight`, where they reach `trust`, from step `begin` on.

    Batches are (images, truth) of photos with masks, and `Views` of photos without.
    """

    def __init__(self, *args: Any, begin: int, trust: float, weight: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.begin, self.trust, self.weight = begin, trust, weight
        self.pseudo = KnownPixelCrossentropy(name="pseudo")
        self.told = {"trusted": keras.metrics.Mean("trusted")}
        """What is told of an epoch's training beside loss and IoU."""

    def begun(self) -> tf.Tensor:
        """1 where photos without masks count already, else 0, () float32."""
        return tf.cast(self.optimizer.iterations >= self.begin, tf.float32)

    def pseudo_loss(self, ids: tf.Tensor, logits: tf.Tensor, there: tf.Tensor) -> tf.Tensor:
        """The loss of made masks, (b, h, w) uint8, VOID where they are not trusted, as a mean over what is `there`."""
        trusted = share(ids, there)
        self.told["trusted"].update_state(trusted * self.begun())
        return self.begun() * self.weight * self.pseudo(ids, logits, sample_weight=trusted)

    def learn(self, tape: tf.GradientTape, scaled: tf.Tensor) -> None:
        """A step along the gradient of a loss that `scale_loss` gave."""
        gradients = tape.gradient(scaled, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))

    def figures(self, loss: tf.Tensor, images: tf.Tensor, truth: tf.Tensor, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        """Bring the metrics up to date and return them."""
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
        return self.compute_metrics(images, truth, logits)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        return {name: value for name, value in super().test_step(data).items() if name not in self.told}


def share(ids: tf.Tensor, there: tf.Tensor) -> tf.Tensor:
    """The share of the pixels that are `there`, (b, h, w) bool, which are not VOID in `ids`: (b,) float32.

    A photo's loss times this is its mean over all of its pixels: one in which little is trusted counts little.
    """
    trusted, all_of_it = (tf.reduce_sum(tf.cast(part, tf.float32), (1, 2)) for part in (ids != VOID, there))
    return tf.math.divide_no_nan(trusted, all_of_it)
