"""Tasks: the interface for a way to train the network, and supervised training, which implements it."""

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
    """Variables in the checkpoint in addition to those of model, optimizer and averages; `model` sets them."""

    fingerprint: str
    """Hash that identifies the data other than photos with masks; empty if there is no such data."""

    def prepare(self, squares: Squares, others: Sequence[int]) -> None:
        """Read further data before the model is built.

        `others` are the indices in `squares` of training photos whose masks must not be used.
        """

    def model(self, config: Config, classes: ClassTable, steps: int) -> keras.Model:
        """The compiled model, like `building.compiled`, with a `train_step` for the batches of `batches`."""

    def batches(self, labelled: tf.data.Dataset, options: Mapping[str, Any]) -> tf.data.Dataset:
        """Training batches from `labelled` batches and further data; `options` as in `loader.train_batches`."""


class Supervised:
    """Supervised training on photos with masks."""

    variables: Sequence[keras.Variable] = ()
    fingerprint = ""
    model = staticmethod(building.compiled)

    def prepare(self, squares: Squares, others: Sequence[int]) -> None:
        """No-op: there is no further data."""

    def batches(self, labelled: tf.data.Dataset, options: Mapping[str, Any]) -> tf.data.Dataset:
        return labelled
