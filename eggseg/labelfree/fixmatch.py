"""Learning from photos without masks by consistency."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from eggseg.classes import VOID
from eggseg.labelfree.views import Views
from eggseg.objective import KnownPixelCrossentropy


class FixMatch(keras.Model):
    """A network that is to find in a disturbed photo what it is sure of in the photo as it is.

    After FixMatch (Sohn et al. 2020, arXiv 2001.07685) with CutMix (Yun et al. 2019, arXiv 1905.04899), as it is used
    for segmentation (Yang et al. 2022, arXiv 2208.09910): pixels whose class has at least the probability `trust` in
    one view are the truth of the other, in which a box of another photo covers a part. Batches are (images, truth) of
    photos with masks, and `Views` of photos without. The masks count, times `weight`, from step `begin` on.
    """

    def __init__(self, *args: Any, begin: int = 0, trust: float = 0.95, weight: float = 1.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.begin, self.trust, self.weight = begin, trust, weight
        self.pseudo_loss = KnownPixelCrossentropy(name="pseudo")

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        (images, truth), views = data
        views = Views(*views)
        found = tf.nn.softmax(self(views.image, training=False))
        sure = (tf.reduce_max(found, -1) >= self.trust) & (views.ids != VOID)
        ids = tf.where(sure, tf.cast(tf.argmax(found, -1), tf.uint8), VOID)
        other = tf.where(views.covered[..., None], tf.roll(views.other, 1, 0), views.other)
        ids = tf.where(views.covered, tf.roll(ids, 1, 0), ids)
        trusted = share(ids)

        labelled = tf.shape(images)[0]
        weight = tf.where(self.optimizer.iterations >= self.begin, self.weight, 0.0)
        with tf.GradientTape() as tape:
            logits = self(tf.concat([images, other], 0), training=True)
            loss = self.compute_loss(images, truth, logits[:labelled])
            loss += weight * self.pseudo_loss(ids, logits[labelled:], sample_weight=trusted)
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        return figures(self, loss, images, truth, logits[:labelled]) | {"trusted": tf.reduce_mean(trusted)}


def share(ids: tf.Tensor) -> tf.Tensor:
    """The share of the pixels that are not VOID, (b, h, w) uint8 to (b,) float32.

    A photo's loss times this is its mean over all pixels: one in which little is trusted counts little.
    """
    return tf.reduce_mean(tf.cast(ids != VOID, tf.float32), (1, 2))


def figures(
    model: keras.Model, loss: tf.Tensor, images: tf.Tensor, truth: tf.Tensor, logits: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Bring a model's metrics up to date and return them."""
    for metric in model.metrics:
        if metric.name == "loss":
            metric.update_state(loss)
    return model.compute_metrics(images, truth, logits)
