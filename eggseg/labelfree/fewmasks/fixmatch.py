"""Consistency training on photos without masks."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from eggseg.data.classes import VOID
from eggseg.labelfree.fewmasks.model import SemiSupervisedModel
from eggseg.labelfree.fewmasks.views import Views


class FixMatch(SemiSupervisedModel):
    """A network that trains on the strong view of a photo, with its confident predictions on the weak view as truth.

    FixMatch (Sohn et al. 2020, arXiv 2001.07685) with CutMix (Yun et al. 2019, arXiv 1905.04899), as used for
    segmentation (Yang et al. 2022, arXiv 2208.09910). `Views` defines the two views. Where the probability of a class
    in the weak view is at least `trust`, this class is the truth for the strong view. Then CutMix replaces a box of the
    strong view, and of the truth, by the same box of another photo.
    """

    def __init__(self, *args: Any, begin: int = 0, trust: float = 0.95, weight: float = 1.0, **kwargs: Any) -> None:
        super().__init__(*args, begin=begin, trust=trust, weight=weight, **kwargs)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        (images, truth), views = data
        views = Views(*views)
        probabilities = tf.nn.softmax(self(views.image, training=False))
        inside = views.ids != VOID
        sure = (tf.reduce_max(probabilities, -1) >= self.trust) & inside
        ids = tf.where(sure, tf.cast(tf.argmax(probabilities, -1), tf.uint8), VOID)
        mixed = tf.where(views.covered[..., None], tf.roll(views.other, 1, 0), views.other)
        ids, inside = (tf.where(views.covered, tf.roll(part, 1, 0), part) for part in (ids, inside))

        labelled = tf.shape(images)[0]
        with tf.GradientTape() as tape:
            logits = self(tf.concat([images, mixed], 0), training=True)
            loss = self.compute_loss(images, truth, logits[:labelled])
            loss += self.pseudo_loss(ids, logits[labelled:], inside)
            scaled = self.optimizer.scale_loss(loss)
        self.learn(tape, scaled)
        return self.figures(loss, images, truth, logits[:labelled])
