"""Cross-validation: a run for each fold, each in its own folder, then the mean and the spread of their figures.

No photo of a fold takes part in its run: what is measured are the last weights, whatever they are.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import rich
from rich.table import Table

from eggseg.data import pairs
from eggseg.data.pairs import Pair
from eggseg.errors import InputError
from eggseg.files import parsing, read_json, write_json
from eggseg.training.config import CONFIG, METRICS, Config, decisive

SUMMARY = "folds.json"


def run(config: Config) -> None:
    """Train those folds of `config` that it names, and tell the figures of all as soon as the last is done."""
    if config.keep == "best":
        raise InputError("--keep best lets a fold choose the epoch that is measured on it: leave it out with --folds")
    if config.fold != "all":
        from eggseg.training.run import train

        train(config)
        _tell(config)
        return
    trained = False
    for one in _runs(config):
        reason = _no_session(config) if one.fold == "session" else ""
        if reason:
            print(f"no camera session is held out: {reason}")
        elif not (config.resume and _is_done(one)):
            _train_apart(one)
            trained = True
    if not trained:  # else the last of them has told the figures of all
        _tell(config)


def _tell(config: Config) -> None:
    """Say which runs are left or, once all folds are done, print and write the figures of all."""
    runs = [one for one in _runs(config) if one.fold != "session" or not _no_session(config)]
    done = [one for one in runs if _is_done(one)]
    rows = {one.run_dir.name: _figures(one.run_dir / METRICS) for one in done}
    left = [one.run_dir.name for one in runs if one not in done]
    if left:
        print(f"to do: {', '.join(left)}")
    if set(left) - {"session"}:
        return
    summary = _summary(rows)
    write_json(config.output_dir / SUMMARY, summary)
    _print(rows, summary)
    precisions = {one.run_dir.name: read_json(one.run_dir / CONFIG).get("precision") for one in done}
    if len(set(precisions.values())) > 1:
        print("trained in " + ", ".join(f"{precision} ({name})" for name, precision in precisions.items()))


def _runs(config: Config) -> list[Config]:
    """A run for each fold and, where they are of blocks, one that holds out whole camera sessions."""
    names = [*range(config.folds), *(["session"] if config.split == "blocks" else [])]
    return [dataclasses.replace(config, fold=name) for name in names]


def _no_session(config: Config) -> str:
    """Why no camera session can be held out, as the first fold found; empty where one can, or no fold is done yet."""
    path = dataclasses.replace(config, fold=0).run_dir / CONFIG
    return read_json(path).get("no_session", "") if path.exists() else ""


def _is_done(config: Config) -> bool:
    """Whether the folder of a fold holds the figures of a run with these settings, on the data as they are now."""
    if not (config.run_dir / METRICS).exists():
        return False
    record = read_json(config.run_dir / CONFIG)
    with parsing(config.run_dir / CONFIG):
        was = decisive(record["settings"])
        used, left_out, fingerprint = {*record["sessions"]}, {*record.get("left_out", ())}, record["fingerprint"]
    if was != decisive(config.to_json()):
        return False
    if config.tfds:
        return True  # which has a name and a version
    found = _pairs(config)
    if {pair.name for pair in found} != used | left_out:
        return False
    return pairs.fingerprint([pair for pair in found if pair.name in used]) == fingerprint


def _pairs(config: Config) -> list[Pair]:
    """All pairs that a run of `config` is given."""
    found, _ = pairs.match(config.data_dir)
    if config.pseudo:
        # Only now: it takes TensorFlow.
        from eggseg.data import pseudo

        found += pseudo.find(config.pseudo)
    return found


def _train_apart(config: Config) -> None:
    """Train one fold in a process of its own: it ends the same whether others went before it or not."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "settings.json")
        # A second export would hold whichever fold came last.
        write_json(settings, dataclasses.replace(config, export_dir=None).to_json())
        code = subprocess.run([sys.executable, "-m", "eggseg.train", "--config", str(settings)], check=False).returncode
    if code:
        raise InputError(f"{config.run_dir} was not trained: see the error above")


def _figures(path: Path) -> dict[str, float]:
    """What is told of a run, from its metrics.json; nan where its photos lack a class."""
    metrics = read_json(path)
    with parsing(path):
        parts = {"IoU": metrics["pooled"]["iou"], "mean Dice": metrics["photo_mean"]["dice"]}
        values = {"mIoU": metrics["miou"], "minutes": metrics["seconds"] / 60}
        values |= {f"{part} {name}": value for part, of in parts.items() for name, value in of.items()}
        return {name: np.nan if value is None else value for name, value in values.items()}


def _summary(rows: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Mean and sample standard deviation over the folds of each figure, then the figures of each run."""
    folds = [row for name, row in rows.items() if name != "session"]
    columns = {figure: [row[figure] for row in folds] for figure in folds[0]}
    return {
        "mean": {figure: float(np.mean(values)) for figure, values in columns.items()},
        "spread": {figure: float(np.std(values, ddof=1)) for figure, values in columns.items()},
        **rows,
    }


def _print(rows: dict[str, dict[str, float]], summary: dict[str, Any]) -> None:
    shown = [figure for figure in summary["mean"] if "background" not in figure]
    table = Table(title="held out, at original size")
    table.add_column("run")
    for figure in shown:
        table.add_column(figure, justify="right")
    folds = [name for name in rows if name != "session"]
    for name in (*folds, "mean", "spread", *(set(rows) - set(folds))):
        table.add_row(name, *(f"{summary[name][figure]:.4f}" for figure in shown))
    rich.print(table)
    print(f"miou={summary['mean']['mIoU']:.4f} (mean of the folds, spread {summary['spread']['mIoU']:.4f})")
