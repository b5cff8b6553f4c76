"""The run folder: whether a run may use it, and what it says of the run."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from pathlib import Path
from typing import Any

from eggseg import __version__, learning, pairs
from eggseg.callbacks import CHECKPOINT
from eggseg.classes import ClassTable
from eggseg.config import CONFIG, METRICS, Config, decisive
from eggseg.errors import InputError
from eggseg.files import parsing, read_json
from eggseg.split import Split, sessions
from eggseg.squares import Squares


def opened(config: Config) -> Path:
    """The run folder, made if need be; `InputError` where it holds a run that nobody said to resume or overwrite."""
    folder = config.run_dir
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise InputError(f"{folder} cannot be written to")
    if (folder / CONFIG).exists() and not (config.resume or config.overwrite):
        raise InputError(f"{folder} holds a run already: --resume goes on with it, --overwrite begins anew")
    return folder


def clear(folder: Path) -> None:
    """Forget an earlier run's state; its model stays until the new one takes its place."""
    for name in (CHECKPOINT, METRICS):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "tensorboard", ignore_errors=True)


def record(config: Config, classes: ClassTable, squares: Squares, parts: Split, workers: int) -> dict[str, Any]:
    """What config.json holds: all that a reader needs to know how the model came to be."""
    names = [pair.name for pair in squares.pairs]
    return {
        "settings": config.to_json(),
        "classes": classes.to_json(),
        "split": {"train": [names[i] for i in parts.train], "val": [names[i] for i in parts.val]},
        "sessions": dict(zip(names, sessions(squares.photos), strict=True)),
        "workers": workers,
        "precision": learning.arithmetic(config),
        "fingerprint": pairs.fingerprint(squares.pairs),
        "versions": {name: importlib.metadata.version(name) for name in ("tensorflow", "keras", "numpy", "pillow")}
        | {"eggseg": __version__, "python": platform.python_version()},
    }


def check_same_run(folder: Path, now: dict[str, Any], config: Config) -> None:
    """`InputError` where a run is resumed with other data or other settings than it was begun with."""
    if not (config.resume and (folder / CHECKPOINT).exists()):
        return
    before = read_json(folder / CONFIG)
    with parsing(folder / CONFIG):
        classes, fingerprint, was = before["classes"], before["fingerprint"], decisive(before["settings"])
    if classes != now["classes"]:
        raise InputError(f"{folder} was trained with other classes: use another --output_dir")
    if fingerprint != now["fingerprint"]:
        raise InputError(f"{folder} was trained on other data than {config.data_dir}: use another --output_dir")
    if before.get("workers", 1) != now["workers"]:
        raise InputError(f"{folder} was trained on {before.get('workers', 1)} machines, not on {now['workers']}")
    wanted = decisive(now["settings"])
    names = [name for name in was | wanted if was.get(name) != wanted.get(name)]
    changed = [f"--{name} was {was.get(name)}, is {wanted.get(name)}" for name in names]
    if changed:
        raise InputError(pairs.summary(changed, f"settings differ from those of the run in {folder}"))
    if before.get("unlabelled", now.get("unlabelled")) != now.get("unlabelled"):
        raise InputError(f"{folder} was trained on other photos without masks: use another --output_dir")
