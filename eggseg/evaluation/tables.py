"""Tables of metrics for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import rich
from rich import box
from rich.markup import escape
from rich.table import Table

from eggseg.errors import printable
from eggseg.evaluation import metrics

MOST_NUMBERS = 9
"""Columns of numbers that 80 columns of a terminal have room for."""


def show(report: Mapping[str, Any], classes: Sequence[str]) -> None:
    """Print the metrics of `Scores.report`: of each class, of each camera session, and of what the model is sure of.

    With fewer than two photos a session on average, there is a row for each photo instead.
    """
    table = Table(title=f"{report['photos']} photos, at original size")
    table.add_column("")
    for name in classes:
        table.add_column(escape(name), justify="right")
    pooled, photo_mean = report["pooled"], report["photo_mean"]
    for title, values, interval in (
        ("IoU", pooled["iou"], pooled["iou_interval"]),
        ("Dice", pooled["dice"], None),
        ("precision", pooled["precision"], None),
        ("recall", pooled["recall"], None),
        ("IoU, mean over photos", photo_mean["iou"], None),
        ("Dice, mean over photos", photo_mean["dice"], photo_mean["dice_interval"]),
        ("boundary F1, mean over photos", photo_mean["boundary_f1"], None),
        ("false regions a photo", photo_mean["false_regions"], photo_mean["false_regions_interval"]),
    ):
        table.add_row(title, *(_number(values[name]) for name in classes))
        if interval:
            table.add_row("  95 % interval, bootstrap over photos", *(_span(interval[name]) for name in classes))
    rich.print(table)
    has_sessions = 2 * len(report["sessions"]) <= report["photos"]
    rich.print(_by_session(report, classes[1:]) if has_sessions else _by_photo(report, classes[1:]))
    rich.print(_by_limit(report["calibration"]))


def _by_session(report: Mapping[str, Any], objects: Sequence[str]) -> Table:
    table = _table("by camera session; false: regions a photo of a class that the photo lacks")
    _add_columns(table, "session", "photos", "mIoU", *_for_each(objects, "IoU", "Dice", "false"))
    for session, values in report["sessions"].items():
        per_class = (values["pooled"]["iou"], values["photo_mean"]["dice"], values["photo_mean"]["false_regions"])
        numbers = (values["miou"], *(figures[name] for figures in per_class for name in objects))
        table.add_row(escape(session), str(values["photos"]), *map(_number, numbers))
    return table


def _by_photo(report: Mapping[str, Any], objects: Sequence[str]) -> Table:
    table = _table("by photo; false: regions of a class that the photo lacks")
    _add_columns(table, "photo", *_for_each(objects, "IoU", "Dice", "false"))
    for photo, values in report["by_photo"].items():
        counts = np.array(values["confusion"])
        scores = (*metrics.iou(counts)[1:], *metrics.dice(counts)[1:])
        table.add_row(escape(printable(photo)), *map(_number, scores), *map(str, values["false_regions"][1:]))
    return table


def _by_limit(calibration: Mapping[str, Any]) -> Table:
    table = _table(f"each photo alike; expected calibration error {calibration['error']:.3f}")
    _add_columns(table, "pixels with at least this probability", "share", "of these wrong")
    for row in calibration["limits"]:
        table.add_row(
            f"{row['limit']:g}", f"{row['kept']:.2%}", "-" if row["wrong"] != row["wrong"] else f"{row['wrong']:.2%}"
        )
    return table


def _for_each(objects: Sequence[str], *titles: str) -> list[str]:
    return [f"{title} {escape(name)}" for title in titles for name in objects]


def _table(title: str) -> Table:
    """A table with little beside its numbers, for terminals of 80 columns."""
    return Table(title=title, box=box.SIMPLE_HEAD, padding=0)


def _add_columns(table: Table, first: str, *titles: str) -> None:
    """Add columns; a narrow terminal wraps the titles and the cells of the first column, never a number."""
    table.add_column(first, overflow="fold")
    for title in titles:
        table.add_column(title, justify="right", min_width=6 if len(titles) <= MOST_NUMBERS else None)


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"


def _span(interval: Sequence[float]) -> str:
    return " to ".join(map(_number, interval))
