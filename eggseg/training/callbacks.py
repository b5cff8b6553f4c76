"""Callbacks of `model.fit`: moving average of the weights, checkpoints, history, pictures in TensorBoard."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from eggseg.data.classes import ClassTable
from eggseg.errors import InputError
from eggseg.files import parsing, replacing, write_csv
from eggseg.training.config import HISTORY

RAW, AVERAGED = "raw.weights.h5", "averaged.weights.h5"
CHECKPOINT = "checkpoint.npz"

Logs = dict[str, Any] | None


class AveragedWeights(keras.callbacks.Callback):
    """Exponential moving average of all weights and batch-norm statistics; validation runs with the averages.

    The averages start as the initial weights. The decay per step is min(`decay`, (1 + t) / (10 + t)) after t steps: low
    at first, so that the initial weights soon lose their influence.

    The averages are updated every `EVERY` steps, since an update per step would slow down a small network. An update
    after n steps equals n updates with the current weights. Averages that are measured or saved are first updated, and
    so include the latest weights.

    With `init_share`, this share of the initial weights is mixed into the averages: a fine-tuned network keeps more of
    what it knew of other photos (WiSE-FT, Wortsman et al. 2022, arXiv 2109.01903).
    """

    EVERY = 4

    def __init__(self, model: keras.Model, decay: float, init_share: float = 0.0) -> None:
        super().__init__()
        self.decay = decay
        self.init_share = init_share
        self.weights = model.weights
        self.averages = [tf.Variable(w, trainable=False, name=f"averaged_{i}") for i, w in enumerate(self.weights)]
        kept = self.weights if init_share else []
        self.initial = [tf.Variable(w, trainable=False, name=f"initial_{i}") for i, w in enumerate(kept)]
        """The initial weights; none are kept if `init_share` is 0."""
        self.steps = tf.Variable(0, trainable=False, dtype=tf.int64)
        self.pending = tf.Variable(0, trainable=False, dtype=tf.int64)
        """Steps since the last update of the averages."""

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.steps.assign_add(1)
        self.pending.assign_add(1)
        if self.pending.numpy() == self.EVERY:
            self.update()

    def on_test_begin(self, logs: Logs = None) -> None:
        self.update()
        self.swap()

    def on_test_end(self, logs: Logs = None) -> None:
        self.swap()

    @tf.function
    def update(self) -> None:
        """Update the averages with the current weights, as if each pending step had led to these weights."""
        step = tf.cast(self.steps, tf.float32)
        keep = tf.minimum(self.decay, (1 + step) / (10 + step)) ** tf.cast(self.pending, tf.float32)
        weights = [weight.value for weight in self.weights]
        if self.initial:
            # The average of a mixture is the mixture of the averages, since the initial weights stay the same.
            weights = [w + self.init_share * (i - w) for w, i in zip(weights, self.initial, strict=True)]
        for average, weight in zip(self.averages, weights, strict=True):
            average.assign(average + (1 - keep) * (weight - average))
        self.pending.assign(0)

    @tf.function
    def swap(self) -> None:
        """Swap the model's weights and their averages."""
        for average, weight in zip(self.averages, self.weights, strict=True):
            raw = tf.identity(weight.value)
            weight.value.assign(average)
            average.assign(raw)


class RunRecorder(keras.callbacks.Callback):
    """Writes the run folder after each epoch: weights, history and checkpoint.

    `keep` selects the epoch whose weights are in the run folder: the last, or the one with the best validation mIoU.
    The best mIoU is optimistic, since the same photos choose the epoch and measure it.

    The checkpoint is written last and atomically. A run killed at any moment resumes after the last epoch in it and
    repeats the unfinished epoch with the same result.
    """

    def __init__(
        self,
        folder: Path,
        averaged: AveragedWeights,
        keep: Literal["last", "best"] = "last",
        patience: int = 0,
        others: Sequence[keras.Variable] = (),
    ) -> None:
        super().__init__()
        self.folder = folder
        self.averaged = averaged
        self.others = others
        """Variables in the checkpoint in addition to those of the model, its optimizer and the averages."""
        self.keep = keep
        self.patience = patience
        self.rows: list[dict[str, float]] = []
        self.begun = time.perf_counter()
        self.seconds_before = 0.0
        """Seconds of training before the run was resumed."""

    @property
    def best(self) -> int:
        """Index, from 0, of the epoch with the best validation mIoU; `ValueError` if no epoch has one."""
        return int(np.nanargmax([row["val_miou"] for row in self.rows]))

    @property
    def kept(self) -> int:
        """Index, from 0, of the epoch whose weights are in the run folder."""
        return self.best if self.keep == "best" else len(self.rows) - 1

    @property
    def is_exhausted(self) -> bool:
        """Whether `patience` epochs have passed without a better validation mIoU; never if `patience` is 0."""
        return bool(self.rows) and 0 < self.patience <= len(self.rows) - 1 - self.best

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self.averaged.update()  # the checkpoint stores no pending steps
        row = {name: float(value) for name, value in (logs or {}).items()}
        self.rows.append({"epoch": epoch + 1, "learning_rate": float(self.model.optimizer.learning_rate)} | row)
        # One metric a line, for programs that search logs by line, and one print, so that nothing comes between them.
        # The first line break ends the line of Keras' progress bar.
        print("".join(f"\n{name}={value:.4f}" for name, value in row.items() if name.startswith("val_")), flush=True)
        if self.kept == len(self.rows) - 1:
            self._save_weights()
        write_csv(self.folder / HISTORY, self.rows)
        self._save_checkpoint()
        if self.is_exhausted:
            self.model.stop_training = True

    def restore(self) -> int:
        """Load the checkpoint, if there is one; return the number of finished epochs, 0 without a checkpoint.

        `InputError` if the checkpoint is damaged, or of another network.
        """
        path = self.folder / CHECKPOINT
        if not path.exists():
            return 0
        with parsing(path), path.open("rb") as file, np.load(file) as arrays:
            state = dict(arrays)
            record = json.loads(str(state["record"]))
            self.rows, self.seconds_before = record["rows"], record["seconds"]
        for name, variable in self._variables().items():
            if name not in state or state[name].shape != tuple(variable.shape):
                raise InputError(f"{path} belongs to another network (variable {name}): use another --output_dir")
            variable.assign(state[name])
        return len(self.rows)

    def _variables(self) -> dict[str, Any]:
        """All variables that the next step depends on, by their names in the checkpoint."""
        groups = {
            "model": self.model.variables,
            "optimizer": self.model.optimizer.variables,
            "averaged": [*self.averaged.averages, self.averaged.steps],
            "initial": self.averaged.initial,
            "others": self.others,
        }
        return {f"{group}/{i}": v for group, variables in groups.items() for i, v in enumerate(variables)}

    def _save_checkpoint(self) -> None:
        arrays = {name: tf.convert_to_tensor(variable).numpy() for name, variable in self._variables().items()}
        seconds = self.seconds_before + time.perf_counter() - self.begun
        arrays["record"] = np.array(json.dumps({"rows": self.rows, "seconds": seconds}))
        with replacing(self.folder / CHECKPOINT) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def _save_weights(self) -> None:
        network = uncompiled(self.model)
        with replacing(self.folder / RAW) as temporary:
            network.save_weights(temporary)
        self.averaged.swap()
        with replacing(self.folder / AVERAGED) as temporary:
            network.save_weights(temporary)
        self.averaged.swap()


def uncompiled(model: keras.Model) -> keras.Model:
    """The model without its optimizer, whose state Keras would save and load with the weights."""
    return keras.Model(model.input, model.output)


class Pictures(keras.callbacks.Callback):
    """Writes a few validation photos, their truth and their prediction to TensorBoard, every `every` epochs.

    `batch` is the photos, (n, size, size, 3), and their class ids, (n, size, size), both uint8; `folder` is that of
    TensorBoard's logs. The callback must come before `AveragedWeights`, whose `on_test_end` takes the averages out of
    the model: the predictions are those of the averages.
    """

    def __init__(self, batch: tuple[np.ndarray, np.ndarray], classes: ClassTable, folder: Path, every: int = 5) -> None:
        super().__init__()
        self.images, self.truth = batch
        self.classes = classes
        self.every = every
        self.epoch = 0
        self.writer = tf.summary.create_file_writer(str(folder))

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.epoch = epoch

    def on_test_end(self, logs: Logs = None) -> None:
        if self.epoch % self.every:
            return
        # Not predict_on_batch: on several GPUs it returns one copy per GPU.
        predicted = np.argmax(self.model(self.images, training=False), -1)
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(self.classes)] = self.classes.colors
        strips = np.concatenate([self.images, palette[self.truth], palette[predicted]], axis=2)
        with self.writer.as_default():
            tf.summary.image("photo, truth, prediction", strips, step=self.epoch, max_outputs=len(strips))
