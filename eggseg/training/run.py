"""A training run, from settings to run folder."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import shutil
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
from eggseg.data import findings, loader, pairs, pseudo
from eggseg.data.classes import EGGS_AND_PANS, ClassTable
from eggseg.data.findings import Finding
from eggseg.data.split import Method, Photo, Split, few, one_fold, split
from eggseg.data.squares import Squares, fits_in_memory
from eggseg.devices import distribution, hardware
from eggseg.devices.distribution import Workers
from eggseg.errors import InputError
from eggseg.evaluation import plots, scoring
from eggseg.exported import saved_model
from eggseg.files import parsing, write_bytes, write_json
from eggseg.kitchen import endless, scene_folder
from eggseg.training import learning, run_folder, sharding
from eggseg.training.callbacks import AVERAGED, CHECKPOINT, AveragedWeights, Pictures, RunRecorder
from eggseg.training.config import CONFIG, METRICS, Config, decisive
from eggseg.training.sharding import Share
from eggseg.training.teachers import Supervised, Teacher

VALIDATION_SCENES = 80
SAMPLES = 8
"""Validation photos in samples.png."""


def train(config: Config, teacher: Teacher | None = None) -> dict[str, Any]:
    """Train as `config` says, export, measure at original size; the content of metrics.json.

    Of several workers the first one writes the run folder. The others do all the same in a folder that they throw away.
    """
    machines = distribution.place(config.distribution)[1]
    few = config.labelled_photos
    for alone, flag in ((config.folds, "--folds"), (few, "--labelled_photos"), (teacher, "unlabelled photos")):
        if alone and machines > 1:
            raise InputError(f"several machines train one run together: without {flag}, or take --distribution one")
    teacher = teacher or Supervised()
    workers = distribution.join(config.distribution, config.num_gpus)
    with workers.losing_one_is_an_error():
        if workers.index == 0:
            return _run(config, workers, teacher)
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            apart = dataclasses.replace(config, output_dir=Path(folder), export_dir=None, resume=True)
            return _run(apart, workers, teacher)


def _run(config: Config, workers: Workers, teacher: Teacher) -> dict[str, Any]:
    begun = time.perf_counter()
    # Each of them, were it another's, would leave workers waiting for each other or learning apart.
    workers.agree(decisive(config.to_json()) | {"precision": learning.arithmetic(config)})
    classes = ClassTable.read(config.classes) if config.classes else EGGS_AND_PANS
    folder = run_folder.opened(config)
    run_folder.check_settings(folder, config, classes, workers.count)
    learning.check(config, classes)
    found, missing = pairs.match(_data(config, folder))
    found += pseudo.find(config.pseudo) if config.pseudo else []
    in_memory = config.cache == "memory" or (
        config.cache == "auto" and fits_in_memory(-(-len(found) // workers.count), config.image_size)
    )
    cache = None if in_memory else folder
    squares = sharding.read(workers, found, config.image_size, classes, cache, config.max_pixels)
    labels = {photo.name: of for photo, of in zip(squares.photos, squares.labels, strict=True)}
    told = findings.of_pairs(missing) + findings.of_faults(squares.faults) + findings.of_labels(labels, classes)
    _audit(told, config)
    if not squares.pairs:
        raise InputError(f"{config.data_dir} holds no photo with a mask that can be used")
    if config.pseudo:
        pseudo.forget_doubtful(squares, config.pseudo, config.pseudo_confidence)
    parts = pseudo.without_copies(squares.pairs, _split(config, squares.photos))
    share = sharding.deal(workers, squares, parts, config.batch_size, config.scenes)
    record = run_folder.record(config, classes, squares, found, parts, workers.count)
    learned = _learned(config, squares.photos, parts)
    if teacher.fingerprint:
        record["unlabelled"] = teacher.fingerprint
    if config.folds and (reason := _session_fault(config, squares.photos)):
        record["no_session"] = reason
    if config.labelled_photos:
        record["split"]["labelled"] = [squares.photos[i].name for i in learned]
    workers.agree({name: record[name] for name in ("classes", "split", "fingerprint")})
    run_folder.check_data(folder, record, config)
    teacher.prepare(squares, sorted(set(parts.train) - set(learned)))
    recorder = _begin(config, classes, workers, share.steps, teacher)
    # Only now: what may go wrong with the settings has not, and an earlier run is not lost for a typing error.
    if not config.resume:
        run_folder.clear(folder)
    write_json(folder / CONFIG, record)
    photos = f"{config.scenes} made-up scenes an epoch" if config.scenes else f"{len(learned)} photos"
    print(f"training on {photos}, validating on {len(parts.val)}")
    machines = f"{workers.count} machines, here " if workers.count > 1 else ""
    print(f"computing in {record['precision']} on {machines}{hardware.description(config.num_gpus)}")

    mine = sorted(set(learned).intersection(share.train))
    _fit(recorder, config, classes, squares, share, mine, workers, teacher)
    metrics = _measure(recorder, config, classes, squares, parts, record, begun) if workers.index == 0 else {}
    return workers.told_by(0, metrics)


def _measure(
    recorder: RunRecorder,
    config: Config,
    classes: ClassTable,
    squares: Squares,
    parts: Split,
    record: dict[str, Any],
    begun: float,
) -> dict[str, Any]:
    """Export the averaged weights and measure what was exported."""
    folder = recorder.folder
    network = learning.network(config, classes)
    with parsing(folder / AVERAGED):
        network.load_weights(folder / AVERAGED)
    saved = folder / "saved_model" / "1"
    how: dict[str, Any] = {"tta": config.tta, "max_pixels": config.max_pixels}
    settings = {"image_size": config.image_size, "eggseg": __version__, "fingerprint": record["fingerprint"]}
    saved_model.save(network, classes, settings, saved, **how)
    if config.export_dir:
        saved_model.save(network, classes, settings, config.export_dir / "1", **how)

    val = [squares.pairs[i] for i in parts.val]
    scores = scoring.score(saved_model.load(saved), val, [record["sessions"][pair.name] for pair in val])
    metrics = scoring.report(scores, classes) | {
        "exported_epoch": recorder.kept + 1,
        "epochs": len(recorder.rows),
        "seconds": round(recorder.before + time.perf_counter() - begun, 1),
    }
    write_json(folder / METRICS, metrics)
    picks = np.linspace(0, len(val) - 1, min(SAMPLES, len(val))).astype(int)
    rows = [scoring.row(scores, i) for i in picks]
    write_bytes(folder / "samples.png", plots.png(plots.comparison(rows, classes, columns=2)))
    write_bytes(folder / "curves.png", plots.png(plots.curves(recorder.rows)))
    print(f"miou={metrics['miou']:.4f}", flush=True)
    print(f"the model is in {saved}, its pictures in {folder / 'samples.png'}")
    return metrics


def _audit(told: Sequence[Finding], config: Config) -> None:
    """Say what the quick part of the audit found; `InputError` where it spoils training and nobody said to go on."""
    findings.settle(told, [finding for finding in told if finding.spoils], config.audit)


def _data(config: Config, folder: Path) -> Path:
    """The folder with the photos and masks of a run; what does not lie in one is written to one."""
    if config.tfds:
        # Only now: it takes seconds, and few have it.
        from eggseg.tfds.folder import write

        shutil.rmtree(folder / "tfds", ignore_errors=True)
        return write(config.tfds, folder / "tfds")
    if config.scenes:
        # To validate on: of another seed than those that are trained on.
        again = config.overwrite and not config.resume
        drawn = scene_folder.Settings(
            folder / "scenes", VALIDATION_SCENES, config.seed + 1, run_length=1, overwrite=again
        )
        scene_folder.write(drawn)
        return drawn.out
    return config.data_dir


def _split(config: Config, photos: Sequence[Photo]) -> Split:
    """The split of the photos with true masks; those whose masks a model made come after them, to be trained on."""
    if config.scenes:
        return Split((), tuple(range(len(photos))))
    true = _true(photos)
    if isinstance(config.fold, int):
        parts = one_fold(true, config.split, config.folds, config.fold, config.split_seed)
    else:
        method: Method = "session" if config.fold == "session" else config.split
        parts = split(true, method, config.val_fraction, config.split_seed)
    return Split((*parts.train, *range(len(true), len(photos))), parts.val)


def _session_fault(config: Config, photos: Sequence[Photo]) -> str:
    """Why cross-validation cannot hold out whole camera sessions of these photos; empty where it can."""
    try:
        split(_true(photos), "session", config.val_fraction, config.split_seed)
    except InputError as error:
        return str(error)
    return ""


def _true(photos: Sequence[Photo]) -> list[Photo]:
    """The photos whose masks no model made."""
    return [photo for photo in photos if not photo.name.startswith(pseudo.PREFIX)]


def _learned(config: Config, photos: Sequence[Photo], parts: Split) -> tuple[int, ...]:
    """Those of the training photos whose masks are learned from."""
    if not config.labelled_photos:
        return parts.train
    made = tuple(i for i in parts.train if photos[i].name.startswith(pseudo.PREFIX))
    return few(photos, parts.train[: len(parts.train) - len(made)], config.labelled_photos, config.seed) + made


def _begin(config: Config, classes: ClassTable, workers: Workers, steps: int, teacher: Teacher) -> RunRecorder:
    """The recorder of a run of so many steps an epoch, with its model before the first."""
    keras.utils.set_random_seed(config.seed)
    # So that a resumed run ends as an uninterrupted one; it costs next to nothing on a processor.
    tf.config.experimental.enable_op_determinism()
    # A model that was loaded before, such as that of an earlier fold, would have its way with this one's arithmetic.
    hardware.rewrite_to_bfloat16(False)
    with workers.strategy.scope():
        model = teacher.learner(config, classes, steps)
        if config.init:
            learning.load(model, config.init)
        workers.agree({"first weights": hashlib.sha256(b"".join(w.numpy().tobytes() for w in model.weights)).digest()})
        averaged = AveragedWeights(model, config.ema_decay)
        recorder = RunRecorder(config.run_dir, averaged, config.keep, config.patience, teacher.variables)
        recorder.set_model(model)
    return recorder


def _fit(
    recorder: RunRecorder,
    config: Config,
    classes: ClassTable,
    squares: Squares,
    share: Share,
    learned: Sequence[int],
    workers: Workers,
    teacher: Teacher,
) -> None:
    """Train on those photos of the share whose masks are `learned` from."""
    workers.share(recorder.folder / CHECKPOINT)
    done = recorder.restore()
    if done:
        print(f"going on after epoch {done}")
    if done == config.epochs or recorder.is_exhausted:
        return
    lesson: dict[str, Any] = {
        "batch_size": share.batch_size,
        "steps": share.steps * share.replicas,
        "seed": config.seed,
        "strength": config.augment,
        "first_epoch": done,
    }
    if config.scenes:
        train = endless.train_batches(config.image_size, **lesson, worker=workers.index, workers=workers.count)
    else:
        train = teacher.batches(loader.train_batches(squares, learned, **lesson), lesson)
    val = loader.plain_batches(
        squares,
        share.val,
        batch_size=share.batch_size,
        steps=share.val_steps * share.replicas,
        weight=share.val_weight,
    )
    logs = recorder.folder / "tensorboard"
    shown = next(iter(val.unbatch().batch(4).as_numpy_iterator()))
    images, truth = (part[shown[2] > 0] for part in shown[:2])
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
                Pictures((images, truth), classes, logs / "pictures"),
                recorder.averaged,
                recorder,
                keras.callbacks.TensorBoard(logs, write_graph=False),
            ],
        )
