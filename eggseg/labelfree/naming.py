"""From the clusters of a folder's photos to named masks, figures and a picture.

A method without labels writes CLUSTERS/NAME.png, (h, w) uint8 of the photo's own size, and leaves the rest to this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.progress import track

from eggseg import labelled, metrics, pairs, pictures, plots
from eggseg.classes import ClassTable
from eggseg.errors import InputError
from eggseg.files import write_bytes, write_json
from eggseg.labelfree import matching
from eggseg.pairs import Pair

SHOWN = 8
"""Photos in the picture of the clusters."""


def photos_of(folder: Path) -> dict[str, Path]:
    """The photos of a data set, by their names below images/, or of a folder of photos alone."""
    images = folder / "images" if (folder / "images").is_dir() else folder
    found = {path.relative_to(images).as_posix(): path for path in pictures.listed(images)}
    if not found:
        raise InputError(f"{images} holds no photo: expected files that end in {', '.join(pictures.SUFFIXES)}")
    return found


def read_clusters(path: Path) -> np.ndarray:
    """The clusters of a photo, (h, w) uint8."""
    with Image.open(path) as picture:
        return np.array(picture)


def table(
    folder: Path, clusters: Callable[[Pair, np.ndarray], np.ndarray], number: int, classes: ClassTable
) -> np.ndarray:
    """The table of counts over all photos of a folder with masks; `clusters` gives those of a pair and its photo."""
    total = np.zeros((number, len(classes)), np.int64)
    for pair in track(pairs.find(folder), "comparing"):
        both = labelled.read(pair, classes)
        total += matching.counts(clusters(pair, both.image), both.ids, number, len(classes))
    return total


def figures(table: np.ndarray, classes_of: np.ndarray, classes: ClassTable) -> dict[str, Any]:
    """IoU of each class and their mean, of clusters so named."""
    iou = metrics.iou(matching.confusion(table, classes_of))
    return {
        "miou": float(metrics.mean(iou)),
        "iou": dict(zip(classes.names, iou.tolist(), strict=True)),
        "clusters": {str(i): classes.names[owner] for i, owner in enumerate(classes_of)},
    }


def write_masks(output: Path, names: Sequence[str], classes_of: np.ndarray, classes: ClassTable) -> None:
    """Write OUTPUT/masks from OUTPUT/clusters."""
    for name in track(names, "writing masks"):
        ids = classes_of[read_clusters(output / "clusters" / f"{name}.png")]
        write_bytes(output / "masks" / f"{name}.png", pictures.png(classes.paint(ids)))


def write_figures(output: Path, found: Mapping[str, Any]) -> None:
    """Write OUTPUT/metrics.json and say what matters of it."""
    write_json(output / "metrics.json", found)
    for name, value in found["iou"].items():
        print(f"iou_{name}={value:.4f}")
    print(f"miou={found['miou']:.4f}", flush=True)


def draw(output: Path, photos: Mapping[str, Path], number: int) -> None:
    """Write OUTPUT/clusters.png: some photos, each beside its clusters."""
    names = list(photos)
    rows = []
    for name in names[:: max(1, len(names) // SHOWN)][:SHOWN]:
        image, _ = labelled.read_photo(photos[name])
        rows.append((image, read_clusters(output / "clusters" / f"{name}.png"), name))
    write_bytes(output / "clusters.png", plots.png(plots.clusters(rows, number)))
