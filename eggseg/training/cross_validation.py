"""Cross-validation: one run per fold, each in its own folder, then the metrics of all held-out photos together.

The last epoch of each run is measured, so the held-out photos do not choose the epoch. But with --patience, they choose
when the run stops, and the temperature that calibrates the probabilities is computed on them.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rich
from rich.table import Table

from eggseg.data import pairs
from eggseg.data.pairs import Pair
from eggseg.errors import InputError
from eggseg.evaluation import tables
from eggseg.evaluation.photo_scores import PhotoScores
from eggseg.evaluation.reliability import NONE, Reliability
from eggseg.files import parsing, read_json, write_json
from eggseg.training.config import CONFIG, METRICS, Config, asked, decisive

SUMMARY = "folds.json"


def run(config: Config) -> None:
    """Train the fold `config.fold`, or all folds; once all folds are done, print and write their figures.

    With --resume, "all" skips folds that are done. `InputError` with --keep best, or if a fold cannot be trained.
    """
    if config.keep == "best":
        raise InputError("--keep best lets a fold choose the epoch that it measures: leave it out with --folds")
    if config.fold != "all":
        from eggseg.training.run import train

        train(config)
        _report(config)
        return
    trained = False
    for fold_run in _runs(config):
        reason = _no_session(config) if fold_run.fold == "session" else ""
        if reason:
            print(f"no camera session is held out: {reason}")
        elif not (config.resume and _is_done(fold_run)):
            _train_apart(fold_run)
            trained = True
    if not trained:  # otherwise the process of the last fold has printed the figures
        _report(config)


def _report(config: Config) -> None:
    """Print which runs are left; once all folds are done, print and write their figures."""
    runs = [fold_run for fold_run in _runs(config) if fold_run.fold != "session" or not _no_session(config)]
    done = [fold_run for fold_run in runs if _is_done(fold_run)]
    rows = {fold_run.run_dir.name: _figures(fold_run.run_dir / METRICS) for fold_run in done}
    held_out = [fold_run.run_dir / METRICS for fold_run in done if fold_run.fold != "session"]
    left = [fold_run.run_dir.name for fold_run in runs if fold_run not in done]
    if left:
        print(f"to do: {', '.join(left)}")
    if set(left) - {"session"}:
        return
    pooled, classes = _pooled(held_out)
    summary = _summary(rows) | {"held_out": pooled}
    write_json(config.output_dir / SUMMARY, summary)
    _print(rows, summary)
    tables.show(pooled, classes)
    precisions = {fold_run.run_dir.name: read_json(fold_run.run_dir / CONFIG).get("precision") for fold_run in done}
    if len(set(precisions.values())) > 1:
        print("trained in " + ", ".join(f"{precision} ({name})" for name, precision in precisions.items()))
    mean, spread = summary["mean"]["mIoU"], summary["spread"]["mIoU"]
    print(f"miou={pooled['miou']:.4f} (all held-out photos; mean of the folds {mean:.4f}, spread {spread:.4f})")


def _runs(config: Config) -> list[Config]:
    """The settings of one run per fold and, with --split blocks, of one that holds out whole camera sessions."""
    names = [*range(config.folds), *(["session"] if config.split == "blocks" else [])]
    return [dataclasses.replace(config, fold=name) for name in names]


def _no_session(config: Config) -> str:
    """The reason why no camera session can be held out, from config.json of fold 0; empty if there is none."""
    path = dataclasses.replace(config, fold=0).run_dir / CONFIG
    return read_json(path).get("no_session", "") if path.exists() else ""


def _is_done(config: Config) -> bool:
    """Whether the run folder holds the metrics of a run with these settings and the current data."""
    path = config.run_dir / METRICS
    if not path.exists():
        return False
    metrics = read_json(path)
    if "miou" in metrics and not {"by_photo", "calibration"} <= set(metrics):
        return False  # the metrics of an earlier version
    record = read_json(config.run_dir / CONFIG)
    with parsing(config.run_dir / CONFIG):
        recorded = decisive(asked(record))
        used, left_out, fingerprint = {*record["sessions"]}, {*record.get("left_out", ())}, record["fingerprint"]
    if recorded != decisive(config.to_json()):
        return False
    if config.tfds:
        return True  # `decisive` compares the name of the data set; its content is not compared
    all_pairs = _pairs(config)
    if {pair.name for pair in all_pairs} != used | left_out:
        return False
    return pairs.fingerprint([pair for pair in all_pairs if pair.name in used]) == fingerprint


def _pairs(config: Config) -> list[Pair]:
    """All pairs of --data_dir and --pseudo, including unreadable ones."""
    matched, _ = pairs.match(config.data_dir)
    if config.pseudo:
        # Imported here: it imports TensorFlow.
        from eggseg.data import pseudo

        matched += pseudo.find(config.pseudo)
    return matched


def _train_apart(config: Config) -> None:
    """Train one fold in a new process: the result does not depend on folds trained before."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "settings.json")
        # No --export_dir: each fold would overwrite the export of the one before.
        write_json(settings, dataclasses.replace(config, export_dir=None).to_json())
        code = subprocess.run([sys.executable, "-m", "eggseg.train", "--config", str(settings)], check=False).returncode
    if code:
        raise InputError(f"{config.run_dir} was not trained: see the error above")


def _figures(path: Path) -> dict[str, float]:
    """The figures of a run for the table, from its metrics.json; NaN for a class in neither truth nor predictions."""
    metrics = read_json(path)
    with parsing(path):
        parts = {"IoU": metrics["pooled"]["iou"], "mean Dice": metrics["photo_mean"]["dice"]}
        values = {"mIoU": metrics["miou"], "minutes": metrics["seconds"] / 60}
        values |= {f"{part} {name}": value for part, per_class in parts.items() for name, value in per_class.items()}
        return {name: np.nan if value is None else value for name, value in values.items()}


def _pooled(paths: Sequence[Path]) -> tuple[dict[str, Any], list[str]]:
    """The report of the photos of all metrics.json files together, and the names of the classes."""
    photos: dict[str, dict[str, Any]] = {}
    reliability = NONE
    for path in paths:
        content = read_json(path)
        with parsing(path):
            photos |= PhotoScores.from_json(content["by_photo"]).to_json()
            reliability += Reliability.from_json(content["calibration"]["bins"])
            classes = list(content["pooled"]["iou"])
    return PhotoScores.from_json(photos).report(classes) | {"calibration": reliability.report()}, classes


def _summary(rows: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Mean and sample standard deviation of each figure over the folds that have it, then the figures of each run."""
    folds = [row for name, row in rows.items() if name != "session"]
    columns = {figure: np.array([row[figure] for row in folds]) for figure in folds[0]}
    columns = {figure: values[~np.isnan(values)] for figure, values in columns.items()}
    return {
        "mean": {figure: float(np.mean(values)) if len(values) else np.nan for figure, values in columns.items()},
        "spread": {
            figure: float(np.std(values, ddof=1)) if len(values) > 1 else np.nan for figure, values in columns.items()
        },
        **rows,
    }


def _print(rows: dict[str, dict[str, float]], summary: dict[str, Any]) -> None:
    shown = [figure for figure in summary["mean"] if "background" not in figure]
    table = Table(title="each fold, at original size")
    table.add_column("run")
    for figure in shown:
        table.add_column(figure, justify="right")
    folds = [name for name in rows if name != "session"]
    for name in (*folds, "mean", "spread", *(set(rows) - set(folds))):
        table.add_row(name, *(f"{summary[name][figure]:.4f}" for figure in shown))
    rich.print(table)
