"""Learning from photos without masks by consistency."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from eggseg.data.classes import VOID
from eggseg.labelfree.fewmasks.learner import SemiSupervisedModel
from eggseg.labelfree.fewmasks.views import Views


class FixMatch(SemiSupervisedModel):
    """A network that is to find in a disturbed photo what it is sure of in the photo as it is.

    After FixMatch (Sohn et al. 2020, arXiv 2001.07685) with CutMix (Yun et al. 2019, arXiv 1905.04899), as it is used
    for segmentation (Yang et al. 2022, arXiv 2208.09910): pixels whose class has at least the probability `trust` in
    one view are the truth of the other, in which a box of another photo covers a part.
    """

    def __init__(self, *args: Any, begin: int = 0, trust: float = 0.95, weight: float = 1.0, **kwargs: Any) -> None:
        super().__init__(*args, begin=begin, trust=trust, weight=weight, **kwargs)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        (images, truth), views = data
        views = Views(*views)
        found = tf.nn.softmax(self(views.image, training=False))
        there = views.ids != VOID
        sure = (tf.reduce_max(found, -1) >= self.trust) & there
        ids = tf.where(sure, tf.cast(tf.argmax(found, -1), tf.uint8), VOID)
        other = tf.where(views.covered[..., None], tf.roll(views.other, 1, 0), views.other)
        ids, there = (tf.where(views.covered, tf.roll(part, 1, 0), part) for part in (ids, there))

        labelled = tf.shape(images)[0]
        with tf.GradientTape() as tape:
            logits = self(tf.concat([images, other], 0), training=True)
            loss = self.compute_loss(images, truth, logits[:labelled])
            loss += self.pseudo_loss(ids, logits[labelled:], there)
            scaled = self.optimizer.scale_loss(loss)
        self.learn(tape, scaled)
        return self.figures(loss, images, truth, logits[:labelled])
