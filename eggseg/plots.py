"""Every picture that a command or a notebook shows."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from eggseg.classes import ClassTable
from eggseg.overlays import overlay
from eggseg.pictures import shrunk

matplotlib.use("agg")

Row = tuple[np.ndarray, np.ndarray, np.ndarray, str]
"""A photo (h, w, 3) uint8, its true class ids (h, w), the predicted ones, and a caption."""


def png(figure: Figure, dpi: int = 110) -> bytes:
    """A figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # names of files are in every script
        figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight")
    return buffer.getvalue()


def comparison(rows: Sequence[Row], classes: ClassTable, *, columns: int = 1, side: int = 360) -> Figure:
    """Photo, truth and prediction side by side, `columns` such rows next to each other, `side` pixels a picture."""
    lines = -(-len(rows) // columns)
    figure = Figure(figsize=(3.2 * 3 * columns, 2.55 * lines + 0.8), layout="constrained")
    axes = figure.subplots(lines, 3 * columns, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for i, (image, truth, prediction, caption) in enumerate(rows):
        line, first = i // columns, i % columns * 3
        small = shrunk(image, side)
        shown = (small, *(overlay(small, shrunk(ids, side), classes) for ids in (truth, prediction)))
        for axis, picture, title in zip(
            axes[line, first : first + 3], shown, (caption, "truth", "prediction"), strict=True
        ):
            axis.imshow(picture)
            axis.set_title(title, fontsize=8, parse_math=False)
    figure.legend(handles=_legend(classes), loc="outside lower center", ncols=len(classes), frameon=False, fontsize=9)
    return figure


def clusters(rows: Sequence[tuple[np.ndarray, np.ndarray, str]], number: int, *, side: int = 360) -> Figure:
    """Photos (h, w, 3) uint8 with captions, each beside its clusters (h, w), 0..`number` - 1, two to a line."""
    lines = -(-len(rows) // 2)
    figure = Figure(figsize=(3.2 * 4, 2.55 * lines + 0.8), layout="constrained")
    axes = figure.subplots(lines, 4, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    known = np.concatenate([matplotlib.colormaps[name](range(20)) for name in ("tab20", "tab20b", "tab20c")])
    colors = known[np.arange(number) % len(known)]
    for i, (image, found, caption) in enumerate(rows):
        photo, painted = axes[i // 2, i % 2 * 2 : i % 2 * 2 + 2]
        photo.imshow(shrunk(image, side))
        photo.set_title(caption, fontsize=8, parse_math=False)
        painted.imshow(colors[shrunk(found, side)])
    handles = [Patch(color=color, label=str(i)) for i, color in enumerate(colors)]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(number, 20), frameon=False, fontsize=8)
    return figure


def confusion(counts: np.ndarray, classes: ClassTable) -> Figure:
    """A count matrix (classes, classes), truth in rows, as shares of each true class."""
    total = counts.sum(1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axis = figure.subplots()
    axis.imshow(share, cmap="cividis", vmin=0, vmax=1)
    ticks = range(len(classes))
    axis.set_xticks(ticks, classes.names)
    axis.set_yticks(ticks, classes.names)
    axis.set_xlabel("prediction")
    axis.set_ylabel("truth")
    for row in ticks:
        for column in ticks:
            axis.text(
                column,
                row,
                f"{share[row, column]:.1%}\n{counts[row, column]:,}",
                ha="center",
                va="center",
                fontsize=8,
                color="black" if share[row, column] > 0.5 else "white",
            )
    axis.set_title("share of each true class")
    return figure


def _legend(classes: ClassTable) -> list[Patch]:
    return [Patch(color=classes.colors[i] / 255, label=classes.names[i]) for i in range(1, len(classes))]
