"""A training run, from settings to run folder."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from eggseg import __version__, cli
from eggseg.data import loader
from eggseg.data.classes import EGGS_AND_PANS, ClassTable
from eggseg.data.squares import Squares
from eggseg.devices import distribution, hardware
from eggseg.devices.distribution import Workers
from eggseg.errors import InputError
from eggseg.evaluation import plots, scoring
from eggseg.exported import saved_model
from eggseg.files import parsing, write_bytes, write_json
from eggseg.kitchen import endless
from eggseg.training import building, run_data, run_folder, sharding
from eggseg.training.callbacks import AVERAGED, CHECKPOINT, AveragedWeights, Pictures, RunRecorder
from eggseg.training.config import CONFIG, METRICS, Config, decisive
from eggseg.training.run_data import RunData
from eggseg.training.sharding import Share
from eggseg.training.tasks import Supervised, Task

SAMPLES = 8
"""Validation photos in samples.png."""


def train(config: Config, task: Task | None = None) -> dict[str, Any]:
    """Train, export and measure at original size; return the content of metrics.json.

    With several workers, the first writes the run folder. The others do the same in a temporary folder, silently.
    """
    _, machines = distribution.place(config.distribution)
    unsupported = {
        "--folds": config.folds,
        "--labelled_photos": config.labelled_photos,
        "unlabelled photos": task,
    }
    for what, used in unsupported.items():
        if used and machines > 1:
            raise InputError(f"several machines cannot train with {what}: remove that, or add --distribution one")
    task = task or Supervised()
    workers = distribution.join(config.distribution, config.num_gpus)
    with workers.losing_one_is_an_error():
        if workers.index == 0:
            return _run(config, workers, task)
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            temporary = dataclasses.replace(config, output_dir=Path(folder), export_dir=None, resume=True)
            return _run(temporary, workers, task)


def _run(config: Config, workers: Workers, task: Task) -> dict[str, Any]:
    """All steps of a run, as each worker takes them; return the content of metrics.json."""
    begun = time.perf_counter()
    # Workers that disagree on these would deadlock or train different models.
    workers.agree(decisive(config.to_json()) | {"precision": building.precision(config)})
    classes = ClassTable.read(config.classes) if config.classes else EGGS_AND_PANS
    folder = _checked_folder(config, classes, workers)

    data = run_data.read(config, classes, folder, workers)
    share = sharding.deal(workers, data.squares, data.split, config.batch_size, config.scenes)
    labelled = run_data.labelled(config, data)
    record = _checked_record(config, classes, data, labelled, folder, workers, task)

    task.prepare(data.squares, sorted(set(data.split.train) - set(labelled)))
    recorder = _new_recorder(config, classes, share.steps, workers, task)
    # Only after all checks: a typing error in the settings must not delete an earlier run.
    if not config.resume:
        run_folder.clear(folder)
    write_json(folder / CONFIG, record)
    _print_plan(config, data, labelled, workers, record["precision"])

    _fit(recorder, config, classes, data.squares, labelled, share, workers, task)
    metrics = {}
    if workers.index == 0:
        _export(recorder, config, classes, record["fingerprint"])
        metrics = _measure(recorder, classes, data, record["sessions"], begun)
    return workers.told_by(0, metrics)


def _checked_folder(config: Config, classes: ClassTable, workers: Workers) -> Path:
    """Open the run folder; `InputError` where it, the settings or the first weights cannot be used."""
    folder = run_folder.opened(config)
    run_folder.check_settings(folder, config, classes, workers.count)
    building.check(config, classes)
    return folder


def _checked_record(
    config: Config,
    classes: ClassTable,
    data: RunData,
    labelled: Sequence[int],
    folder: Path,
    workers: Workers,
    task: Task,
) -> dict[str, Any]:
    """The content of config.json; `InputError` where the workers, or a resumed run, have other data."""
    record = run_folder.record(config, classes, data.squares, data.pairs, data.split, workers.count)
    photos = data.squares.photos
    if task.fingerprint:
        record["unlabelled"] = task.fingerprint
    if config.folds and (reason := run_data.no_session_reason(config, photos)):
        record["no_session"] = reason
    if config.labelled_photos:
        record["split"]["labelled"] = [photos[i].name for i in labelled]
    workers.agree({name: record[name] for name in ("classes", "split", "fingerprint")})
    run_folder.check_data(folder, record, config)
    return record


def _new_recorder(config: Config, classes: ClassTable, steps: int, workers: Workers, task: Task) -> RunRecorder:
    """The recorder of a run of `steps` an epoch, with a new model."""
    keras.utils.set_random_seed(config.seed)
    # A resumed run must end like an uninterrupted one; determinism costs next to nothing on a processor.
    tf.config.experimental.enable_op_determinism()
    # A model loaded earlier in this process, for an earlier fold, may have turned the rewrite on.
    hardware.rewrite_to_bfloat16(False)
    with workers.strategy.scope():
        model = task.model(config, classes, steps)
        if config.init:
            building.load(model, config.init)
        workers.agree({"first weights": hashlib.sha256(b"".join(w.numpy().tobytes() for w in model.weights)).digest()})
        averaged = AveragedWeights(model, config.ema_decay)
        recorder = RunRecorder(config.run_dir, averaged, config.keep, config.patience, task.variables)
        recorder.set_model(model)
    return recorder


def _print_plan(config: Config, data: RunData, labelled: Sequence[int], workers: Workers, precision: str) -> None:
    photos = f"{config.scenes} made-up scenes an epoch" if config.scenes else f"{len(labelled)} photos"
    print(f"training on {photos}, validating on {len(data.split.val)}")
    machines = f"{workers.count} machines, here " if workers.count > 1 else ""
    print(f"computing in {precision} on {machines}{hardware.description(config.num_gpus)}")


def _fit(
    recorder: RunRecorder,
    config: Config,
    classes: ClassTable,
    squares: Squares,
    labelled: Sequence[int],
    share: Share,
    workers: Workers,
    task: Task,
) -> None:
    """Train from the checkpoint, or from the start, to the last epoch or until patience is exhausted."""
    workers.share(recorder.folder / CHECKPOINT)
    done = recorder.restore()
    if done:
        print(f"resuming after epoch {done}")
    if done == config.epochs or recorder.is_exhausted:
        return
    train = _train_batches(config, squares, labelled, share, workers, task, first_epoch=done)
    val = loader.plain_batches(
        squares,
        share.val,
        batch_size=share.batch_size,
        steps=share.val_steps * share.replicas,
        weight=share.val_weight,
    )
    logs = recorder.folder / "tensorboard"
    callbacks = [
        Pictures(_first_photos(val), classes, logs / "pictures"),
        recorder.averaged,
        recorder,
        keras.callbacks.TensorBoard(logs, write_graph=False),
    ]
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
            callbacks=callbacks,
        )


def _train_batches(
    config: Config,
    squares: Squares,
    labelled: Sequence[int],
    share: Share,
    workers: Workers,
    task: Task,
    first_epoch: int,
) -> tf.data.Dataset:
    """This worker's training batches: made-up scenes, or what the task makes of its labelled photos."""
    options: dict[str, Any] = {
        "batch_size": share.batch_size,
        "steps": share.steps * share.replicas,
        "seed": config.seed,
        "strength": config.augment,
        "first_epoch": first_epoch,
    }
    if config.scenes:
        return endless.train_batches(config.image_size, **options, worker=workers.index, workers=workers.count)
    own = sorted(set(labelled).intersection(share.train))
    return task.batches(loader.train_batches(squares, own, **options), options)


def _first_photos(val: tf.data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Images and truth of the first photos of a validation data set, at most 4, without blank padding photos."""
    images, truth, weights = next(iter(val.unbatch().batch(4).as_numpy_iterator()))
    return images[weights > 0], truth[weights > 0]


def _export(recorder: RunRecorder, config: Config, classes: ClassTable, fingerprint: str) -> None:
    """Write the SavedModel of the averaged weights to the run folder and to --export_dir."""
    network = building.network(config, classes)
    with parsing(recorder.folder / AVERAGED):
        network.load_weights(recorder.folder / AVERAGED)
    settings = {"image_size": config.image_size, "eggseg": __version__, "fingerprint": fingerprint}
    folders = [_exported(recorder.folder)]
    if config.export_dir:
        folders.append(config.export_dir / "1")
    for folder in folders:
        saved_model.save(network, classes, settings, folder, tta=config.tta, max_pixels=config.max_pixels)


def _measure(
    recorder: RunRecorder, classes: ClassTable, data: RunData, sessions: dict[str, str], begun: float
) -> dict[str, Any]:
    """Measure the exported model on the validation photos; write the metrics and pictures, return the metrics."""
    folder = recorder.folder
    val = [data.squares.pairs[i] for i in data.split.val]
    scores = scoring.score(saved_model.load(_exported(folder)), val, [sessions[pair.name] for pair in val])
    metrics = scoring.report(scores, classes) | {
        "exported_epoch": recorder.kept + 1,
        "epochs": len(recorder.rows),
        "seconds": round(recorder.seconds_before + time.perf_counter() - begun, 1),
    }
    write_json(folder / METRICS, metrics)
    picks = np.linspace(0, len(val) - 1, min(SAMPLES, len(val))).astype(int)
    rows = [scoring.row(scores, i) for i in picks]
    write_bytes(folder / "samples.png", plots.png(plots.comparison(rows, classes, columns=2)))
    write_bytes(folder / "curves.png", plots.png(plots.curves(recorder.rows)))
    print(f"miou={metrics['miou']:.4f}", flush=True)
    print(f"the model is in {_exported(folder)}, sample pictures in {folder / 'samples.png'}")
    return metrics


def _exported(folder: Path) -> Path:
    """The SavedModel of a run folder."""
    return folder / "saved_model" / "1"
