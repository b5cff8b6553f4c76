"""Tasks: how a network learns from batches. The interface, and supervised training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import keras
import tensorflow as tf

from eggseg.data.classes import ClassTable
from eggseg.data.squares import Squares
from eggseg.training import building
from eggseg.training.config import Config


class Task(Protocol):
    """Builds the model of a run and its training batches."""

    variables: Sequence[keras.Variable]
    """Further variables of the checkpoint, beside model, optimizer and averages; set once `model` was called."""

    fingerprint: str
    """Fingerprint of the data beside photos with masks; empty where there is none."""

    def prepare(self, squares: Squares, others: Sequence[int]) -> None:
        """Read further data before the model is built; `others` are training photos whose masks must not be used."""

    def model(self, config: Config, classes: ClassTable, steps: int) -> keras.Model:
        """The compiled model, like `building.compiled`, with a `train_step` for the batches."""

    def batches(self, labelled: tf.data.Dataset, options: Mapping[str, Any]) -> tf.data.Dataset:
        """Training batches from `labelled` batches and further data; `options`: those of `loader.train_batches`."""


class Supervised:
    """Supervised training on photos with masks."""

    variables: Sequence[keras.Variable] = ()
    fingerprint = ""
    model = staticmethod(building.compiled)

    def prepare(self, squares: Squares, others: Sequence[int]) -> None:
        """No-op: there is no further data."""

    def batches(self, labelled: tf.data.Dataset, options: Mapping[str, Any]) -> tf.data.Dataset:
        return labelled
