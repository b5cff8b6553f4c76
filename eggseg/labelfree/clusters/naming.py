"""Run a clustering method on a folder of photos, name the clusters, and write masks, metrics and a picture."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rich.progress import track

from eggseg.data import labelled, pairs
from eggseg.data.classes import EGGS_AND_PANS, ClassTable
from eggseg.data.pairs import Pair
from eggseg.errors import InputError
from eggseg.evaluation import metrics, plots
from eggseg.files import digest, link, read_json, write_bytes, write_json
from eggseg.labelfree.clusters import matching
from eggseg.labelfree.clusters.centers import Clusters
from eggseg.labelfree.clusters.settings import Settings
from eggseg.pictures import pillow
from eggseg.pictures.limits import MOST_PIXELS
from eggseg.training.callbacks import AVERAGED
from eggseg.training.config import CONFIG

MODEL, RECORD = "clusters.npz", CONFIG
"""Files of the output folder: the fitted clusters; and the settings and photos that the results were made from."""

VERSION = 3
"""Increment when a change of the code gives other clusters for the same settings."""

SHOWN = 8
"""Largest number of photos in the picture of the clusters."""


class Method(Protocol):
    """A clustering method."""

    def fit(self, photos: Mapping[str, Path]) -> Clusters:
        """Fit clusters to all `photos`, paths by name."""

    def labels(self, model: Clusters) -> int:
        """Number of labels that `paint` uses."""

    def paint(self, photo: Path, model: Clusters) -> np.ndarray:
        """The cluster of each pixel of a photo, (h, w) uint8."""


def run(settings: Settings, decisive: Sequence[str], method: Method) -> int:
    """Fit the clusters, paint the clusters of every photo, and write all results; return the exit code.

    The classes of the clusters come from `name`, else from the masks of `examples`, else from the masks of `data_dir`.
    If there are none of these, no masks are written. Metrics are written if `data_dir` has masks. Results in the output
    folder are reused if `data_dir`, `clusters`, `seed`, and the settings whose names are in `decisive` are the same.
    `InputError` if a folder, a photo or a mask cannot be used, or if the output folder holds other files, or clusters
    of other settings without `overwrite`.
    """
    classes = ClassTable.read(settings.classes) if settings.classes else EGGS_AND_PANS
    output = settings.output_dir
    paths = photos(settings.data_dir, output)
    masked, lacking = pairs.match(settings.data_dir) if (settings.data_dir / "masks").is_dir() else ([], [])
    if lacking:
        print(f"measured on the {len(masked)} photos with masks: {pairs.summary(lacking, 'files have no partner', 3)}")
    few = pairs.find(settings.examples) if settings.examples else []
    _open(settings, ("clusters", "seed", *decisive), paths)
    if not (output / MODEL).exists():
        method.fit(paths).save(output / MODEL)
    model = Clusters.load(output / MODEL)
    number = method.labels(model)
    for name, path in track(paths.items(), "painting clusters"):
        target = output / "clusters" / f"{name}.png"
        if not target.exists():
            write_bytes(target, pillow.png(method.paint(path, model)))
    _draw(output, paths, number, settings.max_pixels)
    print(f"the clusters of {len(paths)} photos are in {output / 'clusters'}; {output}/clusters.png shows some")

    def painted(pair: Pair) -> np.ndarray:
        return _read(output / "clusters" / f"{pair.name}.png")

    table_of = functools.partial(_table, number=number, classes=classes, max_pixels=settings.max_pixels)
    table = table_of(masked, painted) if masked else None
    if settings.name:
        classes_of = matching.named(settings.name, number, classes)
    elif few:
        classes_of = matching.assign(table_of(few, lambda pair: method.paint(pair.image, model)))
    elif table is not None:
        classes_of = matching.assign(table)
    else:
        print("no masks yet: name the clusters with --name or --examples")
        return 0
    _write_masks(output, paths, classes_of, classes)
    if table is not None:
        _write_metrics(output, _measure(table, classes_of, classes))
    return 0


def _open(settings: Settings, decisive: Sequence[str], paths: Mapping[str, Path]) -> None:
    """Remove results of other settings (if `overwrite`) and of changed photos; write the record of the output folder.

    `InputError` if the output folder is the folder of the photos, if it holds other files than clusters, or if it holds
    clusters of other settings and `overwrite` is False.
    """
    output, data = settings.output_dir, settings.data_dir.resolve()
    if output.resolve() in (data, _images(data)) or (output / "images").resolve() == _images(data):
        raise InputError(
            f"--output_dir {output} is the folder of the photos: expected another, since masks are written to it"
        )
    now = {name: _identity(getattr(settings, name)) for name in decisive} | {"data_dir": str(data), "version": VERSION}
    begun = (output / RECORD).exists()
    before: dict[str, Any] = read_json(output / RECORD) if begun else dict(now)
    if "version" not in before or (not begun and any((output / name).exists() for name in ("images", "masks"))):
        raise InputError(f"{output} holds other files than clusters: expected another --output_dir")
    known = before.pop("photos", {})
    if before != now and (output / MODEL).exists():
        if not settings.overwrite:
            raise InputError(f"{output} holds clusters of other settings: --overwrite begins anew")
        for name in ("clusters", "images", "masks"):
            shutil.rmtree(output / name, ignore_errors=True)
        for name in (MODEL, "metrics.json"):
            (output / name).unlink(missing_ok=True)
    digests = {name: digest(path) for name, path in paths.items()}
    for name in known:
        if known[name] != digests.get(name):
            for stale in (f"clusters/{name}.png", f"masks/{name}.png", f"images/{name}"):
                (output / stale).unlink(missing_ok=True)
    write_json(output / RECORD, now | {"photos": digests})


def _identity(value: object) -> str:
    """A setting as text; a file or a run folder is followed by the digest of the file or of the run's weights."""
    path = Path(value) if isinstance(value, str | Path) else None
    if path and (path / CONFIG).is_file():
        path = path / AVERAGED
    return f"{value} {digest(path)}" if path and path.is_file() else str(value)


def photos(folder: Path, apart: Path | None = None) -> dict[str, Path]:
    """The photos of a folder, or of its images/ if it has one: paths by name.

    Files below `apart` are left out, unless the photos' folder itself is below `apart`. `InputError` if the folder is
    missing or no photo is found.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not there: expected a folder of photos, or one with images/")
    images = _images(folder)
    paths = pillow.named(images)
    if apart and not images.resolve().is_relative_to(apart.resolve()):
        paths = {name: path for name, path in paths.items() if not path.resolve().is_relative_to(apart.resolve())}
    if not paths:
        raise InputError(f"{images} holds no photo: expected files that end in {', '.join(pillow.SUFFIXES)}")
    return paths


def _images(folder: Path) -> Path:
    return folder / "images" if (folder / "images").is_dir() else folder


def _read(path: Path) -> np.ndarray:
    """Read the clusters of a photo, (h, w) uint8, from a PNG file."""
    with pillow.opened(path, MOST_PIXELS) as picture:
        return np.array(picture)


def _table(
    few: Sequence[Pair],
    clusters: Callable[[Pair], np.ndarray],
    number: int,
    classes: ClassTable,
    max_pixels: int,
) -> np.ndarray:
    """The table of counts (see `matching`) over all pairs in `few`; `clusters` gives a pair's clusters, (h, w)."""
    total = np.zeros((number, len(classes)), np.int64)
    for pair in track(few, "comparing with masks"):
        total += matching.counts(clusters(pair), labelled.read(pair, classes, max_pixels).ids, number, len(classes))
    return total


def _measure(table: np.ndarray, classes_of: np.ndarray, classes: ClassTable) -> dict[str, Any]:
    """The content of metrics.json: mean IoU, IoU of each class, and class of each cluster."""
    iou = metrics.iou(matching.confusion(table, classes_of))
    return {
        "miou": float(metrics.mean(iou)),
        "iou": dict(zip(classes.names, iou.tolist(), strict=True)),
        "clusters": {str(i): classes.names[owner] for i, owner in enumerate(classes_of)},
    }


def _write_masks(output: Path, paths: Mapping[str, Path], classes_of: np.ndarray, classes: ClassTable) -> None:
    """Write OUTPUT/masks from OUTPUT/clusters, and link the photos into OUTPUT/images for training on OUTPUT."""
    for name, path in track(paths.items(), "writing masks"):
        ids = classes_of[_read(output / "clusters" / f"{name}.png")]
        write_bytes(output / "masks" / f"{name}.png", pillow.png(classes.paint(ids)))
        link(path, output / "images" / name)


def _write_metrics(output: Path, measured: Mapping[str, Any]) -> None:
    """Write OUTPUT/metrics.json and print the IoU."""
    write_json(output / "metrics.json", measured)
    for name, value in measured["iou"].items():
        print(f"iou_{name}={value:.4f}")
    print(f"miou={measured['miou']:.4f}", flush=True)


def _draw(output: Path, photos: Mapping[str, Path], number: int, max_pixels: int) -> None:
    """Write OUTPUT/clusters.png: up to `SHOWN` photos, each beside its clusters."""
    names = list(photos)
    rows = []
    for name in names[:: max(1, len(names) // SHOWN)][:SHOWN]:
        image, _ = labelled.read_photo(photos[name], max_pixels)
        rows.append((image, _read(output / "clusters" / f"{name}.png"), name))
    write_bytes(output / "clusters.png", plots.png(plots.clusters(rows, number)))
