"""AdamW for a network whose encoder is pretrained, loss scaling for float16, and the learning rate schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


class EncoderAdamW(keras.optimizers.AdamW):
    """AdamW that freezes `encoder` for `frozen_steps` steps, then trains it at `rate` times the learning rate."""

    def __init__(
        self,
        learning_rate: Any,
        *,
        encoder: Sequence[keras.Variable] = (),
        rate: float = 1.0,
        frozen_steps: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.encoder, self.rate, self.frozen_steps = list(encoder), rate, frozen_steps
        self.encoder_indices: set[int] = set()

    def apply(self, grads: Sequence[tf.Tensor], trainable_variables: Sequence[keras.Variable] | None = None) -> None:
        """Sum the gradients over replicas, then clip and step; Keras would clip on each replica before the sum."""
        replica = tf.distribute.get_replica_context()
        if replica and replica.num_replicas_in_sync > 1:
            grads = replica.all_reduce(tf.distribute.ReduceOp.SUM, list(grads))
        super().apply(grads, trainable_variables)

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        """No-op: `apply` already summed the gradients over replicas."""
        return grads_and_vars

    def build(self, variables: Sequence[keras.Variable]) -> None:
        super().build(variables)
        self.encoder_indices = {self._get_variable_index(variable) for variable in self.encoder}

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        if self._get_variable_index(variable) in self.encoder_indices:
            learning_rate = learning_rate * tf.where(self.iterations < self.frozen_steps, 0.0, self.rate)
        super().update_step(gradient, variable, learning_rate)


class LossScaling(keras.optimizers.LossScaleOptimizer):
    """Keras' loss scaling, except that all replicas skip a step together if the gradients of one overflow."""

    def check_finite(self, grads: Sequence[tf.Tensor]) -> tf.Tensor:
        finite = super().check_finite(grads)
        replica = tf.distribute.get_replica_context()
        if replica is None or replica.num_replicas_in_sync == 1:
            return finite
        overflows = tf.cast(tf.logical_not(finite), tf.float32)
        return replica.all_reduce(tf.distribute.ReduceOp.SUM, overflows) == 0


@keras.saving.register_keras_serializable("eggseg")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate: linear warm-up to `peak` over `warmup` steps, then cosine decay to 0 over the rest of `steps`."""

    def __init__(self, peak: float, warmup: int, steps: int) -> None:
        self.peak, self.warmup, self.steps = peak, warmup, steps

    def __call__(self, step: Any) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        rise = (step + 1) / max(1, self.warmup)
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        fall = 0.5 * (1 + tf.cos(math.pi * tf.clip_by_value(done, 0, 1)))
        return self.peak * tf.where(step < self.warmup, rise, fall)

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "warmup": self.warmup, "steps": self.steps}
