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
from rich.console import Console
from rich.table import Table

from eggseg.config import Config
from eggseg.errors import InputError
from eggseg.files import read_json, write_json

METRICS, SUMMARY = "metrics.json", "folds.json"
FIGURES = ("mIoU", "IoU egg", "IoU pan", "mean Dice egg", "mean Dice pan", "minutes")


def run(config: Config) -> None:
    """Train those folds of `config` that it names, and tell the figures of all as soon as the last is done."""
    if config.keep == "best":
        raise InputError("--keep best lets a fold choose the epoch that is measured on it: leave it out with --folds")
    if config.fold == "all":
        for one in _runs(config):
            if config.resume and (one.run_dir / METRICS).exists():
                print(f"{one.run_dir} is done already")
            else:
                _train_apart(one)
    else:
        from eggseg.training import run

        run(config)
    done = {one.run_dir.name: one.run_dir / METRICS for one in _runs(config)}
    left = [name for name, path in done.items() if not path.exists()]
    if left:
        print(f"to do: {', '.join(left)}")
        return
    rows = {name: _figures(read_json(path)) for name, path in done.items()}
    summary = _summary(rows)
    write_json(config.output_dir / SUMMARY, summary)
    _print(rows, summary)


def _runs(config: Config) -> list[Config]:
    """A run for each fold and, where they are of blocks, one that holds out a whole camera session."""
    names = [*range(config.folds), *(["session"] if config.split == "blocks" else [])]
    return [dataclasses.replace(config, fold=name) for name in names]


def _train_apart(config: Config) -> None:
    """Train one fold in a process of its own: it ends the same whether others went before it or not."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "settings.json")
        write_json(settings, config.to_json())
        code = subprocess.run([sys.executable, "-m", "eggseg.train", "--config", str(settings)], check=False).returncode
    if code:
        raise InputError(f"{config.run_dir} was not trained: see the error above")


def _figures(metrics: dict[str, Any]) -> dict[str, float]:
    iou, dice = metrics["pooled"]["iou"], metrics["photo_mean"]["dice"]
    values = (metrics["miou"], iou["egg"], iou["pan"], dice["egg"], dice["pan"], metrics["seconds"] / 60)
    return dict(zip(FIGURES, values, strict=True))


def _summary(rows: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Mean and sample standard deviation over the folds of each figure, and those of the session held out."""
    folds = [row for name, row in rows.items() if name != "session"]
    columns = {figure: [row[figure] for row in folds] for figure in FIGURES}
    return {
        "mean": {figure: float(np.mean(values)) for figure, values in columns.items()},
        "spread": {figure: float(np.std(values, ddof=1)) for figure, values in columns.items()},
        **rows,
    }


def _print(rows: dict[str, dict[str, float]], summary: dict[str, Any]) -> None:
    table = Table(title="held out, at original size")
    table.add_column("run")
    for figure in FIGURES:
        table.add_column(figure, justify="right")
    order = [
        *(name for name in rows if name != "session"),
        "mean",
        "spread",
        *(["session"] if "session" in rows else []),
    ]
    for name in order:
        table.add_row(name, *(f"{summary[name][figure]:.4f}" for figure in FIGURES))
    Console().print(table)
    print(f"miou={summary['mean']['mIoU']:.4f} (mean of the folds, spread {summary['spread']['mIoU']:.4f})")
