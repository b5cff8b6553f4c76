"""Learning from photos without masks against a network that tells true masks from made ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from eggseg.data.classes import VOID
from eggseg.devices.hardware import Precision
from eggseg.labelfree.fewmasks.learner import SemiSupervisedModel
from eggseg.labelfree.fewmasks.views import Views
from eggseg.models.unet import precision

ADVERSARIAL = 0.01, 0.001
"""What it counts to be taken for true, on photos with masks and on photos without."""

RATE, MOMENTUM = 2e-4, 0.5
"""The judge's learning rate, the same in all steps, and the momentum of its gradients.

The paper's rate, 1e-4, falls to 0 over 20,000 steps: that it should fall over the few hundred of a short run instead
leaves a judge that has learned hardly anything.
"""

CELL = 32
"""Pixels along a side of what one verdict of the judge is about."""


class Judge:
    """The discriminator of Hung et al. 2018 (arXiv 1802.07934), and its optimizer.

    Five convolutions, each of which halves the picture: from the probabilities of the classes, (n, size, size,
    classes), to how true each part of the mask looks. Padding is 0 in all classes, in true masks and in made ones.
    """

    def __init__(self, size: int, classes: int, digits: Precision, filters: int = 64, rate: float = RATE) -> None:
        # Its loss is not scaled, as float16 would want.
        with precision("mixed_bfloat16" if digits == "bfloat16" else "float32"):
            inputs = x = keras.Input((size, size, classes), name="mask")
            for level in range(4):
                x = layers.Conv2D(filters << level, 4, 2, padding="same", name=f"judge{level}")(x)
                x = layers.LeakyReLU(0.2, name=f"judge_relu{level}")(x)
            x = layers.Conv2D(1, 4, 2, padding="same", name="verdict")(x)
            x = layers.Activation("linear", dtype="float32", name="verdict_logits")(x)
        self.size = size
        self.network = keras.Model(inputs, x, name="judge")
        self.optimizer = keras.optimizers.Adam(rate, beta_1=MOMENTUM, beta_2=0.99)
        self.optimizer.build(self.network.trainable_variables)

    @property
    def variables(self) -> list[keras.Variable]:
        return [*self.network.variables, *self.optimizer.variables]

    def __call__(self, masks: tf.Tensor) -> tf.Tensor:
        """Logits, (n, size, size) float32: above 0 is true."""
        verdict = self.network(masks, training=True)
        side = CELL * verdict.shape[1]
        return tf.image.resize(verdict, (side, side))[:, : self.size, : self.size, 0]

    def learn(self, true: tf.Tensor, made: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
        """A step of telling true masks from made ones, both (n, size, size, classes); its loss."""
        with tf.GradientTape() as tape:
            verdict = self(tf.concat([true, made], 0))
            truth = tf.concat([known, tf.zeros_like(known)], 0)
            loss = _disbelief(verdict, truth, tf.concat([known, known], 0))
        weights = self.network.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss


class Adversarial(SemiSupervisedModel):
    """A network whose masks are to be taken for true ones, and which learns from those that are.

    After Hung et al. 2018 (arXiv 1802.07934): cross-entropy on photos with masks; on all photos, what the judge takes
    for made costs something; and on photos without masks, where the judge's verdict is above `trust`, the network's own
    mask is the truth.
    """

    def __init__(
        self,
        *args: Any,
        judge: Callable[[], Judge],
        begin: int = 0,
        trust: float = 0.2,
        weight: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, begin=begin, trust=trust, weight=weight, **kwargs)
        # After the network, whose first weights are then those of one that has no judge.
        self.judge = judge()
        self.told["judge"] = keras.metrics.Mean("judge")

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        (images, truth), views = data
        views = Views(*views)
        labelled = tf.shape(images)[0]
        there = tf.concat([truth, views.ids], 0) != VOID
        known = tf.cast(there, tf.float32)
        # Keras' losses are means over all replicas' photos.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        with_masks, without = (weight / replicas for weight in ADVERSARIAL)
        with tf.GradientTape() as tape:
            logits = self(tf.concat([images, views.image], 0), training=True)
            made = tf.nn.softmax(logits) * known[..., None]
            verdict = self.judge(made)
            true = tf.ones_like(known)
            loss = self.compute_loss(images, truth, logits[:labelled])
            loss += with_masks * _disbelief(verdict[:labelled], true[:labelled], known[:labelled])
            loss += self.begun() * without * _disbelief(verdict[labelled:], true[labelled:], known[labelled:])
            sure = (tf.sigmoid(verdict[labelled:]) > self.trust) & there[labelled:]
            ids = tf.where(sure, tf.cast(tf.argmax(logits[labelled:], -1), tf.uint8), VOID)
            loss += self.pseudo_loss(ids, logits[labelled:], there[labelled:])
            scaled = self.optimizer.scale_loss(loss)
        self.learn(tape, scaled)
        masks = tf.one_hot(tf.cast(truth, tf.int32), logits.shape[-1])  # all zeros where it is VOID
        judged = self.judge.learn(masks, tf.stop_gradient(made[:labelled]), known[:labelled])
        self.told["judge"].update_state(judged)
        return self.figures(loss, images, truth, logits[:labelled])


def _disbelief(verdict: tf.Tensor, truth: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
    """Mean binary cross-entropy of verdicts, (n, h, w) logits, over the known pixels."""
    each = tf.nn.sigmoid_cross_entropy_with_logits(truth, verdict)
    return tf.math.divide_no_nan(tf.reduce_sum(each * known), tf.reduce_sum(known))
