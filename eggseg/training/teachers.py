"""How a run's network learns from its batches: from photos with masks, or in ways that others bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import keras
import tensorflow as tf

from eggseg.data.classes import ClassTable
from eggseg.data.squares import Squares
from eggseg.training import learning
from eggseg.training.config import Config


class Teacher(Protocol):
    """How a network learns from batches, and what from."""

    variables: Sequence[keras.Variable]
    """What the next step depends on beside the model, its optimizer and the averages; known once there is a model."""

    fingerprint: str
    """Of what it learns from beside photos with masks; empty where that is nothing."""

    def prepare(self, squares: Squares, others: Sequence[int]) -> None:
        """Look at what there is to learn from: `others` are training photos whose masks are not to be seen."""

    def learner(self, config: Config, classes: ClassTable, steps: int) -> keras.Model:
        """What `learning.learner` gives, with a `train_step` for the batches."""

    def batches(self, labelled: tf.data.Dataset, lesson: Mapping[str, Any]) -> tf.data.Dataset:
        """Batches of labelled photos and what else there is; the `lesson` is as `loader.train_batches` takes it."""


class Supervised:
    """The teacher of photos with masks."""

    variables: Sequence[keras.Variable] = ()
    fingerprint = ""
    learner = staticmethod(learning.learner)

    def prepare(self, squares: Squares, others: Sequence[int]) -> None:
        """Nothing is left to look at."""

    def batches(self, labelled: tf.data.Dataset, lesson: Mapping[str, Any]) -> tf.data.Dataset:
        return labelled
