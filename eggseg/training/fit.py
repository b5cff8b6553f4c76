"""Train with `model.fit`: create a new model and the recorder of its run, then train from the checkpoint, if any."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from eggseg import cli
from eggseg.data import loader
from eggseg.data.classes import ClassTable
from eggseg.devices import hardware
from eggseg.devices.distribution import Workers
from eggseg.kitchen import endless
from eggseg.training import building
from eggseg.training.callbacks import CHECKPOINT, AveragedWeights, Pictures, RunRecorder
from eggseg.training.config import Config
from eggseg.training.run_data import RunData
from eggseg.training.sharding import Share
from eggseg.training.tasks import Task


@dataclasses.dataclass(frozen=True)
class Setup:
    """What a run needs for training: settings, data, this worker's share of the data, and the task."""

    config: Config
    classes: ClassTable
    data: RunData
    labelled: tuple[int, ...]
    """Indices of the training photos whose masks may be used."""
    share: Share
    workers: Workers
    task: Task

    def prepare(self) -> None:
        """Let the task read data other than labelled photos, such as photos without masks."""
        self.task.prepare(self.data.squares, sorted(set(self.data.split.train) - set(self.labelled)))


def new_recorder(setup: Setup) -> RunRecorder:
    """Create the model of a run, and the recorder that writes the run folder; the recorder holds the model.

    `InputError` if the weights of --init do not fit, or the initial weights differ between workers.
    """
    config, workers, task = setup.config, setup.workers, setup.task
    keras.utils.set_random_seed(config.seed)
    # So that a resumed run gives the same weights as an uninterrupted one. It costs almost no time on a processor.
    tf.config.experimental.enable_op_determinism()
    # An earlier `saved_model.load` may have turned oneDNN's bfloat16 rewrite on for this process.
    hardware.rewrite_to_bfloat16(False)
    with workers.strategy.scope():
        model = task.model(config, setup.classes, setup.share.steps)
        building.start(model, config)
        initial = hashlib.sha256(b"".join(weight.numpy().tobytes() for weight in model.weights))
        workers.agree({"initial weights": initial.digest()})
        averaged = AveragedWeights(model, config.ema_decay, config.init_share)
        recorder = RunRecorder(config.run_dir, averaged, config.keep, config.patience, task.variables)
        recorder.set_model(model)
    return recorder


def fit(setup: Setup, recorder: RunRecorder, callbacks: Sequence[keras.callbacks.Callback] = ()) -> None:
    """Train from the checkpoint, or from the start, to the last epoch or until --patience stops the run.

    `InputError` if the checkpoint is damaged or belongs to another network.
    """
    config, share, workers = setup.config, setup.share, setup.workers
    workers.share(recorder.folder / CHECKPOINT)
    done = recorder.restore()
    if done:
        print(f"resuming after epoch {done}")
    if done == config.epochs or recorder.is_exhausted:
        return
    train = _train_batches(setup, first_epoch=done)
    val = loader.plain_batches(
        setup.data.squares,
        share.val,
        batch_size=share.batch_size,
        steps=share.val_steps * share.replicas,
        weight=share.val_weight,
    )
    logs = recorder.folder / "tensorboard"
    with workers.strategy.scope(), cli.drawing():
        recorder.model.fit(
            workers.batches(train),
            validation_data=workers.batches(val.repeat()),
            initial_epoch=done,
            epochs=config.epochs,
            steps_per_epoch=share.steps,
            validation_steps=share.val_steps,
            shuffle=False,
            verbose=1 if sys.stdout.isatty() else 2,
            callbacks=[
                Pictures(_first_photos(val), setup.classes, logs / "pictures"),
                recorder.averaged,
                recorder,
                keras.callbacks.TensorBoard(logs, write_graph=False),
                *callbacks,
            ],
        )


def _train_batches(setup: Setup, first_epoch: int) -> tf.data.Dataset:
    """This worker's training batches: made-up scenes, or batches that the task makes from this worker's photos.

    With --scene_share, the batches of photos have made-up scenes too.
    """
    config, share, workers = setup.config, setup.share, setup.workers
    options: dict[str, Any] = {
        "batch_size": share.batch_size,
        "steps": share.steps * share.replicas,
        "seed": config.seed,
        "strength": config.augment,
        "first_epoch": first_epoch,
    }

    def scenes(batch_size: int) -> tf.data.Dataset:
        part = {"batch_size": batch_size, "worker": workers.index, "workers": workers.count}
        return endless.train_batches(config.image_size, **options | part)

    if config.scenes:
        return scenes(share.batch_size)
    own = sorted(set(setup.labelled).intersection(share.train))
    photos = options | {"batch_size": share.batch_size - share.scenes}
    labelled = loader.train_batches(setup.data.squares, own, **photos)
    if share.scenes:
        labelled = loader.joined(labelled, scenes(share.scenes))
    return setup.task.batches(labelled, options)


def _first_photos(val: tf.data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The first validation photos, at most 4, and their true class ids; blank padding photos are left out."""
    images, truth, weights = next(iter(val.unbatch().batch(4).as_numpy_iterator()))
    return images[weights > 0], truth[weights > 0]
