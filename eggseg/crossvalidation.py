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

from eggseg.config import CONFIG, METRICS, Config, decisive
from eggseg.errors import InputError
from eggseg.files import parsing, read_json, write_json

SUMMARY = "folds.json"


def run(config: Config) -> None:
    """Train those folds of `config` that it names, and tell the figures of all as soon as the last is done."""
    if config.keep == "best":
        raise InputError("--keep best lets a fold choose the epoch that is measured on it: leave it out with --folds")
    if config.fold == "all":
        left = [one for one in _runs(config) if not (config.resume and _is_done(one))]
        for one in left:
            _train_apart(one)
        if left:
            return  # the last of them has told the figures of all
    else:
        from eggseg import training

        training.run(config)
    _tell(config)


def _tell(config: Config) -> None:
    """Say which runs are left or, once all folds are done, print and write the figures of all."""
    rows = {one.run_dir.name: _figures(one.run_dir / METRICS) for one in _runs(config) if _is_done(one)}
    left = [one.run_dir.name for one in _runs(config) if one.run_dir.name not in rows]
    if left:
        print(f"to do: {', '.join(left)}")
    if not set(left) - {"session"}:
        summary = _summary(rows)
        write_json(config.output_dir / SUMMARY, summary)
        _print(rows, summary)


def _runs(config: Config) -> list[Config]:
    """A run for each fold and, where they are of blocks, one that holds out whole camera sessions."""
    names = [*range(config.folds), *(["session"] if config.split == "blocks" else [])]
    return [dataclasses.replace(config, fold=name) for name in names]


def _is_done(config: Config) -> bool:
    """Whether the folder of a fold holds the figures of a run with these settings."""
    if not (config.run_dir / METRICS).exists():
        return False
    record = read_json(config.run_dir / CONFIG)
    with parsing(config.run_dir / CONFIG):
        return decisive(record["settings"]) == decisive(config.to_json())


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
