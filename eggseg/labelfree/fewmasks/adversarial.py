"""Adversarial training on photos without masks: a discriminator, the judge, tells true from predicted masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from eggseg.data.classes import VOID
from eggseg.devices.hardware import Precision
from eggseg.labelfree.fewmasks.model import SemiSupervisedModel
from eggseg.labelfree.fewmasks.views import Views
from eggseg.models.unet import dtype_policy

ADVERSARIAL = 0.01, 0.001
"""Weights of the adversarial loss, on photos with masks and on photos without."""

RATE, MOMENTUM = 2e-4, 0.5
"""The judge's learning rate, which is constant, and `beta_1` of the judge's Adam optimizer.

In the paper (see `Judge`), the rate decays from 1e-4 to 0 over 20,000 steps. If the rate decayed to 0 over a short run
of a few hundred steps, the judge would learn hardly anything.
"""

CELL = 32
"""Stride of the judge's network, pixels: each of its logits belongs to a cell of CELL x CELL pixels."""


class Judge:
    """The discriminator of Hung et al. 2018 (arXiv 1802.07934), and its optimizer.

    Five convolutions with stride 2, from class probabilities (n, size, size, classes) to a logit for each cell: above 0
    if this part of the mask looks true. Where the true class is unknown, as in the padding, the masks given to the
    judge, true or predicted, are 0 for all classes.
    """

    def __init__(self, size: int, classes: int, digits: Precision, filters: int = 64, rate: float = RATE) -> None:
        # Never float16, which would need loss scaling.
        with dtype_policy("mixed_bfloat16" if digits == "bfloat16" else "float32"):
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
        """Logits (n, size, size) float32 of masks (n, size, size, classes); above 0 means true."""
        verdict = self.network(masks, training=True)
        side = CELL * verdict.shape[1]
        return tf.image.resize(verdict, (side, side))[:, : self.size, : self.size, 0]

    def learn(self, true: tf.Tensor, made: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
        """Train the judge for one step on true and predicted masks, (n, size, size, classes); return its loss.

        `known` (n, size, size) float32 is 1 where the true class is known, else 0.
        """
        with tf.GradientTape() as tape:
            verdict = self(tf.concat([true, made], 0))
            truth = tf.concat([known, tf.zeros_like(known)], 0)
            loss = _judge_loss(verdict, truth, tf.concat([known, known], 0))
        weights = self.network.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss


class Adversarial(SemiSupervisedModel):
    """A network that learns to predict masks that the judge takes for true, and trains on its own trusted masks.

    The loss is the sum of three, as in Hung et al. 2018 (arXiv 1802.07934): the supervised loss on photos with masks;
    the adversarial loss on all photos; and, on photos without masks, cross-entropy with the network's own mask as the
    truth, at pixels where the judge's probability of a true mask is above `trust`. Photos without masks count from step
    `begin` on. `judge` is a function that builds the judge.
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
        # Built after the network, so that the network's initial weights do not depend on the judge.
        self.judge = judge()
        self.extra_metrics["judge"] = keras.metrics.Mean("judge")

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        (images, truth), views = data
        views = Views(*views)
        labelled = tf.shape(images)[0]
        is_known = tf.concat([truth, views.ids], 0) != VOID
        known = tf.cast(is_known, tf.float32)
        # Gradients are summed over replicas. Divide these losses by the number of replicas, as Keras divides its own.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        with_masks, without = (weight / replicas for weight in ADVERSARIAL)
        with tf.GradientTape() as tape:
            logits = self(tf.concat([images, views.image], 0), training=True)
            made = tf.nn.softmax(logits) * known[..., None]
            verdict = self.judge(made)
            true = tf.ones_like(known)
            loss = self.compute_loss(images, truth, logits[:labelled])
            loss += with_masks * _judge_loss(verdict[:labelled], true[:labelled], known[:labelled])
            loss += self.begun() * without * _judge_loss(verdict[labelled:], true[labelled:], known[labelled:])
            sure = (tf.sigmoid(verdict[labelled:]) > self.trust) & is_known[labelled:]
            ids = tf.where(sure, tf.cast(tf.argmax(logits[labelled:], -1), tf.uint8), VOID)
            loss += self.pseudo_loss(ids, logits[labelled:], is_known[labelled:])
            scaled = self.optimizer.scale_loss(loss)
        self.learn(tape, scaled)
        masks = tf.one_hot(tf.cast(truth, tf.int32), logits.shape[-1])  # VOID gives zeros in all classes
        judge_loss = self.judge.learn(masks, tf.stop_gradient(made[:labelled]), known[:labelled])
        self.extra_metrics["judge"].update_state(judge_loss)
        return self.figures(loss, images, truth, logits[:labelled])


def _judge_loss(verdict: tf.Tensor, truth: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
    """Mean binary cross-entropy of the judge's logits with `truth`, 1 or 0, over the known pixels; all (n, h, w)."""
    losses = tf.nn.sigmoid_cross_entropy_with_logits(truth, verdict)
    return tf.math.divide_no_nan(tf.reduce_sum(losses * known), tf.reduce_sum(known))
