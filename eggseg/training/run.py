"""A training run, from settings to run folder."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from eggseg import __version__
from eggseg.data.classes import EGGS_AND_PANS, ClassTable
from eggseg.devices import distribution, hardware
from eggseg.devices.distribution import Workers
from eggseg.errors import InputError
from eggseg.evaluation import plots, scoring
from eggseg.exported import saved_model
from eggseg.files import parsing, write_bytes, write_json
from eggseg.training import budget, building, calibration, fit, run_data, run_folder, sharding
from eggseg.training.callbacks import AVERAGED, RunRecorder
from eggseg.training.config import CONFIG, METRICS, Config, decisive
from eggseg.training.fit import Setup
from eggseg.training.run_data import RunData
from eggseg.training.tasks import Supervised, Task

SAMPLES = 8
"""Maximum number of validation photos in samples.png."""


def train(config: Config, task: Task | None = None) -> dict[str, Any]:
    """Train, export and measure at original size; return the content of metrics.json.

    With several workers, worker 0 writes the run folder, exports and measures. The others train along in a temporary
    folder and print nothing. `InputError` if settings, data or run folder cannot be used, or another worker ends.
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
    """All steps of a run on one worker; return the content of metrics.json, which is the same on all workers."""
    begun = budget.clock()
    # Workers with different settings or precisions would deadlock or train different models.
    workers.agree(decisive(config.to_json()) | {"precision": building.precision(config)})
    classes = ClassTable.read(config.classes) if config.classes else EGGS_AND_PANS
    folder = _checked_folder(config, classes, workers)
    given, config = config, dataclasses.replace(config, **workers.told_by(0, run_folder.planned(folder, config)))

    data = run_data.read(config, classes, folder, workers)
    share = sharding.deal(workers, data.squares, data.split, config.batch_size, config.scenes, config.share_of_scenes)
    setup = Setup(config, classes, data, run_data.labelled(config, data), share, workers, task)
    record = _checked_record(setup, folder)
    _print_setup(setup, record["precision"])

    setup.prepare()
    if not config.epochs:
        setup = budget.plan(setup, folder, begun)
    if not given.epochs:
        record |= {"settings": setup.config.to_json(), "asked": budget.asked(given)}
    recorder = fit.new_recorder(setup)
    # Only after all checks: a typing error in the settings must not delete an earlier run.
    if not config.resume:
        run_folder.clear(folder)
    write_json(folder / CONFIG, record)

    fit.fit(setup, recorder)
    metrics = {}
    if workers.index == 0:
        _export(recorder, setup, record["fingerprint"])
        metrics = _measure(recorder, classes, setup.data, record["sessions"], begun)
    return workers.told_by(0, metrics)


def _checked_folder(config: Config, classes: ClassTable, workers: Workers) -> Path:
    """Create the run folder if missing; `InputError` if the folder, settings or initial weights cannot be used."""
    folder = run_folder.opened(config)
    run_folder.check_settings(folder, config, classes, workers.count)
    building.check(config, classes)
    return folder


def _checked_record(setup: Setup, folder: Path) -> dict[str, Any]:
    """The content of config.json; `InputError` if workers have different data, or a resumed run had other data."""
    config, data, workers = setup.config, setup.data, setup.workers
    record = run_folder.record(config, setup.classes, data.squares, data.pairs, data.split, workers.count)
    photos = data.squares.photos
    if setup.task.fingerprint:
        record["unlabelled"] = setup.task.fingerprint
    if config.folds and (reason := run_data.no_session_reason(config, photos)):
        record["no_session"] = reason
    if config.labelled_photos:
        record["split"]["labelled"] = [photos[i].name for i in setup.labelled]
    workers.agree({name: record[name] for name in ("classes", "split", "fingerprint")})
    run_folder.check_data(folder, record, config)
    return record


def _print_setup(setup: Setup, precision: str) -> None:
    config, workers = setup.config, setup.workers
    photos = f"{config.scenes} made-up scenes an epoch" if config.scenes else f"{len(setup.labelled)} photos"
    if setup.share.scenes:
        each = (n * workers.replicas for n in (setup.share.batch_size, setup.share.scenes))
        photos += " and, in each batch of {}, {} made-up scenes".format(*each)
    elif config.share_of_scenes:
        print("no made-up scenes: each device gets one photo a step; a larger --batch_size makes room for scenes")
    some = "" if setup.data.split.holds_out else " of the same, so that no metric is of unseen photos"
    print(f"training on {photos}, validating on {len(setup.data.split.val)}{some}")
    machines = f"{workers.count} machines, here " if workers.count > 1 else ""
    print(f"computing in {precision} on {machines}{hardware.description(config.num_gpus)}")


def _export(recorder: RunRecorder, setup: Setup, fingerprint: str) -> None:
    """Write the SavedModel of the averaged weights, calibrated, to the run folder and to --export_dir."""
    config, classes = setup.config, setup.classes
    network = building.network(config, classes)
    with parsing(recorder.folder / AVERAGED):
        network.load_weights(recorder.folder / AVERAGED)
    # Photos that were trained on would make the probabilities too high.
    held_out = setup.share.val if setup.data.split.holds_out else ()
    temperature = calibration.calibrate(network, setup.data.squares, held_out, config.tta)
    settings = {
        "image_size": config.image_size,
        "eggseg": __version__,
        "fingerprint": fingerprint,
        "temperature": round(temperature, 4),
    }
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
    metrics = scores.report() | {
        "held_out": data.split.holds_out,
        "exported_epoch": recorder.kept + 1,
        "epochs": len(recorder.rows),
        "seconds": round(recorder.seconds_before + budget.clock() - begun, 1),
    }
    write_json(folder / METRICS, metrics)
    picks = np.linspace(0, len(val) - 1, min(SAMPLES, len(val))).astype(int)
    rows = [scoring.row(scores, i) for i in picks]
    write_bytes(folder / "samples.png", plots.png(plots.comparison(rows, classes, columns=2)))
    write_bytes(folder / "curves.png", plots.png(plots.curves(recorder.rows)))
    seen = "" if data.split.holds_out else " (of photos that it was trained on)"
    print(f"miou={metrics['miou']:.4f}{seen}", flush=True)
    print(f"the model is in {_exported(folder)}, sample pictures in {folder / 'samples.png'}")
    return metrics


def _exported(folder: Path) -> Path:
    """The SavedModel of a run folder."""
    return folder / "saved_model" / "1"
