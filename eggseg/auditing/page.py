"""The audit as a self-contained HTML page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from PIL import Image

from eggseg.auditing.inspection import Look
from eggseg.data.classes import ClassTable
from eggseg.data.findings import Finding
from eggseg.evaluation.overlays import overlay

MOST_PICTURES = 48
"""Maximum number of photos shown for a finding."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 }
td, th { padding: .2rem .8rem; text-align: left; vertical-align: top }
tr:nth-child(even) { background: #f4f4f4 } td.number { text-align: right; font-variant-numeric: tabular-nums }
figure { display: inline-block; margin: .4rem; vertical-align: top }
figcaption { font-size: 12px; overflow-wrap: anywhere } summary { cursor: pointer; margin: .4rem 0 }
.spoils { color: #b00020; font-weight: 600 }
.key span { border: 1px solid #888; display: inline-block; width: 1em; height: 1em }
"""


def page(
    report: Mapping[str, Any],
    findings: Sequence[Finding],
    looks: Sequence[Look],
    predicted: Mapping[str, np.ndarray],
    classes: ClassTable,
) -> str:
    """Build the page from `report` (the content of audit.json), the findings, and `looks` (the inspected pairs).

    `predicted` maps names of photos to the model's class ids, (h, w) uint8, of the same size as the look's `ids`.
    """
    by_name = {look.name: look for look in looks}
    spoiling = sum(finding.spoils for finding in findings)
    verdict = f"{spoiling} spoil training" if spoiling else "nothing that spoils training"
    key = " ".join(
        f'<span style="background: rgb{row.color}"></span> {escape(row.name)}' for row in classes.classes[1:]
    )
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><meta charset="utf-8"><title>Audit of {escape(report["data_dir"])}</title>',
        f"<style>{STYLE}</style>",
        f"<h1>{escape(report['data_dir'])}</h1>",
        f"<p>{report['pairs']} pairs; {len(findings)} findings, {verdict}.</p>",
        f'<p class="key">{key}</p>',
        "<h2>Findings</h2>",
        *(_finding(finding, by_name, predicted, classes) for finding in findings),
        "<h2>Contents</h2>",
        _contents(report["contents"]),
        "<h2>Camera sessions</h2>",
        _sessions(report["sessions"], classes),
    ]
    return "\n".join(parts)


def _finding(
    finding: Finding, looks: Mapping[str, Look], predicted: Mapping[str, np.ndarray], classes: ClassTable
) -> str:
    mark = '<span class="spoils">spoils training</span> ' if finding.spoils else ""
    details = "".join(f"<li>{escape(line)}</li>" for line in finding.details)
    shown = [looks[name] for name in dict.fromkeys(finding.files) if name in looks]
    figures = "".join(_figure(look, predicted.get(look.name), classes) for look in shown[:MOST_PICTURES])
    rest = f"<p>and {len(shown) - MOST_PICTURES} more, named in audit.json</p>" if len(shown) > MOST_PICTURES else ""
    heading = f"{mark}<b>{escape(finding.kind)}</b>: {escape(finding.message)}"
    return f"<details><summary>{heading}</summary><ul>{details}</ul>{figures}{rest}</details>"


def _figure(look: Look, predicted: np.ndarray | None, classes: ClassTable) -> str:
    """A photo, its label and, if there is one, the model's prediction, side by side."""
    pictures = {"photo": look.image, "label": overlay(look.image, look.ids, classes)}
    if predicted is not None:
        pictures["model"] = overlay(look.image, predicted, classes)
    shown = (f'<img alt="{title}" src="data:image/jpeg;base64,{_jpeg(pixels)}">' for title, pixels in pictures.items())
    return f"<figure>{''.join(shown)}<figcaption>{escape(look.name)}: {', '.join(pictures)}</figcaption></figure>"


def _jpeg(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()


def _contents(contents: Mapping[str, Mapping[str, int]]) -> str:
    rows = [
        f"<tr><th>{escape(title)}</th><td>{escape(', '.join(f'{name} ({n})' for name, n in counts.items()))}</td></tr>"
        for title, counts in contents.items()
    ]
    return f"<table>{''.join(rows)}</table>"


def _sessions(sessions: Mapping[str, Mapping[str, Any]], classes: ClassTable) -> str:
    names = classes.names[1:]
    heads = "".join(f"<th>with {escape(name)}</th><th>{escape(name)} pixels</th>" for name in names)
    rows = []
    for session, row in sessions.items():
        cells = (
            f'<td class="number">{row["with"][n]}</td><td class="number">{row["share"][n]:.2%}</td>' for n in names
        )
        rows.append(f'<tr><td>{escape(session)}</td><td class="number">{row["photos"]}</td>{"".join(cells)}</tr>')
    return f"<table><tr><th>session</th><th>photos</th>{heads}</tr>{''.join(rows)}</table>"
