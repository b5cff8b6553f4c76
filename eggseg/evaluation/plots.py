"""The figures of commands and notebooks."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from eggseg.data.classes import ClassTable
from eggseg.evaluation.overlays import overlay
from eggseg.pictures.pillow import shrunk

if TYPE_CHECKING:
    import keras

Row = tuple[np.ndarray, np.ndarray, np.ndarray, str]
"""A photo (h, w, 3) uint8, its true and its predicted class ids, each (h, w) uint8, and a caption."""


def png(figure: Figure, dpi: int = 110) -> bytes:
    """Encode a figure as PNG."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # file names may use any script
        figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight")
    return buffer.getvalue()


def comparison(rows: Sequence[Row], classes: ClassTable, *, columns: int = 1, side: int = 360) -> Figure:
    """Figure with photo, truth and prediction side by side for each of `rows`.

    Each line of the figure shows `columns` of `rows`. Pictures are resized to a long side of `side` pixels.
    """
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
    """Figure of photos, (h, w, 3) uint8, with captions, and to the right of each its cluster ids, (h, w).

    Cluster ids are 0 to `number` - 1. Each line of the figure shows two photos. Pictures are resized to a
    long side of `side` pixels.
    """
    lines = -(-len(rows) // 2)
    figure = Figure(figsize=(3.2 * 4, 2.55 * lines + 0.8), layout="constrained")
    axes = figure.subplots(lines, 4, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    # Steps of the golden ratio: no hue repeats, and hues of successive clusters are 0.38 of the colour circle apart.
    order = np.arange(number)
    colors = hsv_to_rgb(np.stack([order * 0.618034 % 1, 0.45 + 0.25 * (order % 3), 0.95 - 0.2 * (order // 3 % 3)], -1))
    for i, (image, ids, caption) in enumerate(rows):
        photo, painted = axes[i // 2, i % 2 * 2 : i % 2 * 2 + 2]
        photo.imshow(shrunk(image, side))
        photo.set_title(caption, fontsize=8, parse_math=False)
        painted.imshow(colors[shrunk(ids, side)])
        painted.set_title("clusters", fontsize=8)
    handles = [Patch(color=color, label=str(i)) for i, color in enumerate(colors)]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(number, 20), frameon=False, fontsize=8)
    return figure


def grid(
    pictures: Sequence[tuple[np.ndarray, str]], *, columns: int = 4, side: int = 360, highest: float | None = None
) -> Figure:
    """Figure of pictures with captions: photos, (h, w, 3) uint8, or maps of a quantity, (h, w) float, at least 0.

    With `highest`, all maps share a colour scale from 0 to `highest`, with a colour bar; otherwise the scale of each
    map ends at its maximum. Photos are resized to a long side of `side` pixels.
    """
    lines = -(-len(pictures) // columns)
    tallest = min(1.0, max(picture.shape[0] / picture.shape[1] for picture, _ in pictures))
    figure = Figure(figsize=(3.2 * columns, (3.2 * tallest + 0.35) * lines), layout="constrained")
    for axis in figure.subplots(lines, columns, squeeze=False).flat:
        axis.axis("off")
    for axis, (picture, caption) in zip(figure.axes, pictures, strict=False):
        small = shrunk(picture, side) if picture.ndim == 3 else picture
        most = None if picture.ndim == 3 else highest or max(float(picture.max()), 1e-9)
        axis.imshow(small, cmap="cividis", vmin=0, vmax=most)
        axis.set_title(caption, fontsize=8, parse_math=False)
    if highest:
        scale = ScalarMappable(Normalize(0, highest), "cividis")
        figure.colorbar(scale, ax=figure.axes, orientation="horizontal", shrink=0.3, aspect=40)
    return figure


def values(counts: Mapping[str, np.ndarray], classes: ClassTable) -> Figure:
    """Histograms of grey values in masks, (256,) counts each, by name, and the range of values of each class."""
    spans = {kind: kind.value for kind in classes.classes if isinstance(kind.value, int)}
    figure = Figure(figsize=(9, 1.7 * len(counts) + 0.9), layout="constrained")
    axes = figure.subplots(len(counts), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, histogram) in zip(axes, counts.items(), strict=True):
        for kind, value in spans.items():
            left, right = value - classes.reach, value + classes.reach
            axis.axvspan(left, right, color=np.array(kind.color) / 255, alpha=0.35, lw=0)
        axis.bar(np.arange(256), histogram, width=1.0, color="black")
        axis.set_yscale("symlog")
        axis.set_title(name, fontsize=8, parse_math=False)
        axis.set_ylabel("pixels", fontsize=8)
    axes[-1].set_xlim(-2, 257)
    axes[-1].set_xlabel("grey value in the mask")
    handles = [Patch(color=np.array(kind.color) / 255, alpha=0.35, label=kind.name) for kind in spans]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(spans), frameon=False, fontsize=9)
    return figure


def shares(parts: Mapping[str, Mapping[str, int]]) -> Figure:
    """A bar for each camera session: its number of photos in each part of the split, `parts[session][part]`."""
    kinds = list(dict.fromkeys(kind for photos in parts.values() for kind in photos))
    figure = Figure(figsize=(8, 0.34 * len(parts) + 1.1), layout="constrained")
    axis = figure.subplots()
    left = np.zeros(len(parts))
    for color, kind in zip(matplotlib.colormaps["cividis"](np.linspace(0.15, 0.9, len(kinds))), kinds, strict=True):
        counts = np.array([photos.get(kind, 0) for photos in parts.values()])
        axis.barh(list(parts), counts, left=left, color=color, label=kind)
        left += counts
    axis.invert_yaxis()
    axis.set_xlabel("photos")
    axis.tick_params(axis="y", labelsize=8)
    figure.legend(loc="outside lower center", ncols=len(kinds), frameon=False, fontsize=9)
    return figure


def network(model: keras.Model) -> Figure:
    """Figure of a network's feature maps as boxes, in the order of the layers.

    The height of a box is the height of the feature map; its width grows with the number of channels. Successive layers
    with the same height and channels share a box.
    """
    boxes: list[tuple[int, int]] = []
    for layer in model.layers:
        height, _, channels = layer.output.shape[1:]
        if boxes[-1:] != [(height, channels)]:
            boxes.append((height, channels))
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    axis = figure.subplots()
    highest, left = max(height for height, _ in boxes), 0.0
    colors = matplotlib.colormaps["cividis"]
    for height, channels in boxes:
        width = 0.35 * channels**0.5
        axis.add_patch(Rectangle((left, -height / 2), width, height, color=colors(1 - height / highest)))
        axis.text(left + width / 2, -highest * 0.56, f"{height}\n{channels}", ha="center", va="top", fontsize=7)
        left += width + 0.9
    axis.text(-0.4, -highest * 0.56, "side\nchannels", ha="right", va="top", fontsize=7)
    axis.set_xlim(-3, left)
    axis.set_ylim(-0.8 * highest, 0.55 * highest)
    axis.axis("off")
    return figure


def lines(x: Sequence[float], series: Mapping[str, Sequence[float]], label: str) -> Figure:
    """A named curve over `x` for each entry of `series`; `label` is the title of the x axis."""
    figure = Figure(figsize=(5, 3), layout="constrained")
    axis = figure.subplots()
    for name, y in series.items():
        axis.plot(x, y, label=name)
    axis.set_xlabel(label)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    return figure


def curves(history: Sequence[Mapping[str, float]]) -> Figure:
    """Loss and mIoU in training and validation, validation IoU of each class, and learning rate; from history.csv."""
    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(11, 3), layout="constrained")
    loss, iou, rate = figure.subplots(1, 3)
    for axis, names in (
        (loss, ["loss", "val_loss"]),
        (iou, ["miou", "val_miou", *(name for name in history[0] if name.startswith("val_iou_"))]),
        (rate, ["learning_rate"]),
    ):
        for name in names:
            axis.plot(epochs, [row[name] for row in history], "o-" if len(epochs) < 3 else "-", label=name)
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    iou.set_ylim(0, 1)
    return figure


def calibration(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> Figure:
    """Reliability diagram: the share of correct pixels and the number of pixels in each of `bins` confidence bins.

    `confidence` is (n,) float, 0 to 1. `right` is (n,) bool, True for a correctly predicted pixel.
    """
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(place, minlength=bins)
    share = np.bincount(place, right, bins) / np.maximum(counts, 1)
    middles = (np.arange(bins) + 0.5) / bins
    figure = Figure(figsize=(4.6, 4.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], "--", color="grey", label="perfectly calibrated")
    upper.plot(middles[counts > 0], share[counts > 0], "o-", color="#004488", label="measured")
    upper.set_ylabel("share of correct pixels")
    upper.legend(fontsize=8)
    lower.bar(middles, counts, width=0.9 / bins, color="#004488")
    lower.set_yscale("symlog")
    lower.set_ylabel("pixels")
    lower.set_xlabel("confidence")
    return figure


def confusion(counts: np.ndarray, classes: ClassTable) -> Figure:
    """Figure of a confusion matrix, (classes, classes) int, truth in rows: shares of each true class, and counts."""
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
