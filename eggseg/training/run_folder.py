"""The run folder: checks before a run writes to it, and the record in its config.json."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eggseg import __version__
from eggseg.data import pairs
from eggseg.data.classes import ClassTable
from eggseg.data.pairs import Pair
from eggseg.data.split import Split, sessions
from eggseg.data.squares import Squares
from eggseg.errors import InputError, printable
from eggseg.files import parsing, read_json
from eggseg.training import building
from eggseg.training.callbacks import CHECKPOINT
from eggseg.training.config import CONFIG, METRICS, Config, asked, decisive


def opened(config: Config) -> Path:
    """Create the run folder and --export_dir if missing, and return the run folder.

    `InputError` if a folder is not writable, or the run folder holds a run and neither --resume nor --overwrite is set.
    """
    folder = config.run_dir
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise InputError(f"{folder} cannot be written to")
    if config.export_dir:
        config.export_dir.mkdir(parents=True, exist_ok=True)
        if not os.access(config.export_dir, os.W_OK):
            raise InputError(f"{config.export_dir} cannot be written to")
    if (folder / CONFIG).exists() and not (config.resume or config.overwrite):
        raise InputError(f"{folder} holds a run already: --resume continues it, --overwrite starts anew")
    return folder


def clear(folder: Path) -> None:
    """Delete the checkpoint, metrics and logs of an earlier run; its model stays until the new one replaces it."""
    for name in (CHECKPOINT, METRICS):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "tensorboard", ignore_errors=True)


def record(
    config: Config, classes: ClassTable, squares: Squares, all_pairs: Sequence[Pair], parts: Split, workers: int
) -> dict[str, Any]:
    """The content of config.json: how the model was trained, and on what.

    `all_pairs` are all pairs of the data set, `squares` the readable ones, `parts` has indices into `squares`, and
    `workers` is the number of workers.
    """
    names = [pair.name for pair in squares.pairs]
    return {
        "settings": config.to_json(),
        "classes": classes.to_json(),
        "split": {"train": [names[i] for i in parts.train], "val": [names[i] for i in parts.val]},
        "left_out": sorted({pair.name for pair in all_pairs} - set(names)),
        "sessions": dict(zip(names, sessions(squares.photos), strict=True)),
        "workers": workers,
        "precision": building.precision(config),
        "fingerprint": pairs.fingerprint(squares.pairs),
        "versions": {name: importlib.metadata.version(name) for name in ("tensorflow", "keras", "numpy", "pillow")}
        | {"eggseg": __version__, "python": platform.python_version()},
    }


def planned(folder: Path, config: Config) -> dict[str, Any]:
    """The settings that --minutes set in the run to resume; empty if no run is resumed, or --epochs was given."""
    before = _resumed(folder, config)
    with parsing(folder / CONFIG):
        return {name: before["settings"][name] for name in before.get("asked", ())}


def check_settings(folder: Path, config: Config, classes: ClassTable, workers: int) -> None:
    """`InputError` if a resumed run has other classes, settings, precision or number of workers than before."""
    before = _resumed(folder, config)
    if not before:
        return
    with parsing(folder / CONFIG):
        old_classes, old, old_precision = before["classes"], decisive(asked(before)), before["precision"]
    if old_classes != classes.to_json():
        raise InputError(f"{folder} was trained with other classes: use another --output_dir")
    if before.get("workers", 1) != workers:
        raise InputError(f"{folder} was trained on {before.get('workers', 1)} machines, not on {workers}")
    new = decisive(config.to_json())
    names = [name for name in old | new if old.get(name) != new.get(name)]
    changed = [f"--{name} was {old.get(name)}, is {new.get(name)}" for name in names]
    if changed:
        raise InputError(pairs.summary(changed, f"settings differ from those of the run in {folder}"))
    precision = building.precision(config)
    if old_precision != precision:
        raise InputError(
            f"{folder} was trained in {old_precision}, this machine would continue in {precision}: "
            f"--precision {old_precision} continues as before, though perhaps slower"
        )


def check_data(folder: Path, now: dict[str, Any], config: Config) -> None:
    """`InputError` if a resumed run has other data or another split than before; `now` is its new record."""
    before = _resumed(folder, config)
    if not before:
        return
    with parsing(folder / CONFIG):
        fingerprint, split = before["fingerprint"], before["split"]
    if fingerprint != now["fingerprint"]:
        raise InputError(f"{folder} was trained on other data than {config.data_dir}: use another --output_dir")
    if split != now["split"]:
        raise InputError(f"{folder} was trained on another split, {_moved(before, now)}: use another --output_dir")
    if before.get("unlabelled", now.get("unlabelled")) != now.get("unlabelled"):
        raise InputError(f"{folder} was trained on other photos without masks: use another --output_dir")


def _resumed(folder: Path, config: Config) -> dict[str, Any]:
    """The record of the run to resume; empty if no run is resumed."""
    return read_json(folder / CONFIG) if config.resume and (folder / CHECKPOINT).exists() else {}


def _moved(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Describe one difference between the splits in two records: photos of `before` that `now` lacks."""
    for part, use in {"train": "trained on", "val": "held out", "labelled": "trained on with masks"}.items():
        gone = sorted(set(before["split"].get(part, ())) - set(now["split"].get(part, ())))
        if gone:
            return f"where {len(gone)} photos were {use} that are not now, {printable(gone[0])} first"
    return "with fewer photos"
