"""k-means on a folder of photos, from settings to masks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf
from rich.progress import track

from eggseg import geometry, labelled
from eggseg.classes import EGGS_AND_PANS, VOID, ClassTable
from eggseg.errors import InputError
from eggseg.files import read_json, write_bytes, write_json
from eggseg.labelfree import features, matching, naming, smoothing
from eggseg.labelfree.clusters import Clusters, fit
from eggseg.labelfree.features import Features
from eggseg.pairs import Pair
from eggseg.pictures import png

if TYPE_CHECKING:
    from eggseg.labelfree.kmeans import Settings

MODEL, RECORD = "clusters.npz", "config.json"
"""In the output folder: the fitted clusters, and the settings that they and the rest were made with."""

DECISIVE = ("features", "encoder_weights", "clusters", "size", "position", "texture", "components", "smooth", "seed")
"""Settings under which clusters are others."""


def run(settings: Settings) -> int:
    """Fit, cluster every photo, name the clusters if anything says how, and measure if there are masks."""
    classes = ClassTable.read(settings.classes) if settings.classes else EGGS_AND_PANS
    output = settings.output_dir
    photos = naming.photos_of(settings.data_dir)
    _open(settings)
    see = _features(settings)
    model = _fitted(settings, see, photos)
    for name, path in track(photos.items(), "clustering"):
        target = output / "clusters" / f"{name}.png"
        if not target.exists():
            write_bytes(target, png(_clusters(labelled.read_photo(path)[0], model, see, settings)))
    naming.draw(output, photos, len(model))
    print(f"the clusters of {len(photos)} photos are in {output / 'clusters'}, some of them in {output}/clusters.png")

    def written(pair: Pair, _: np.ndarray) -> np.ndarray:
        return naming.read_clusters(output / "clusters" / f"{pair.name}.png")

    def seen(_: Pair, image: np.ndarray) -> np.ndarray:
        return _clusters(image, model, see, settings)

    has_masks = (settings.data_dir / "masks").is_dir()
    table = naming.table(settings.data_dir, written, len(model), classes) if has_masks else None
    if settings.name:
        classes_of = matching.named(settings.name, len(model), classes)
    elif settings.examples:
        classes_of = matching.assign(naming.table(settings.examples, seen, len(model), classes))
    elif table is not None:
        classes_of = matching.assign(table)
    else:
        print("no masks yet: --name or --examples says which clusters are which class")
        return 0
    naming.write_masks(output, list(photos), classes_of, classes)
    if table is not None:
        naming.write_figures(output, naming.figures(table, classes_of, classes))
    return 0


def _open(settings: Settings) -> None:
    """Make the output folder; where it holds clusters of other settings, forget them or say so."""
    output, record = settings.output_dir, settings.output_dir / RECORD
    now = {name: getattr(settings, name) for name in DECISIVE} | {"data_dir": str(settings.data_dir.resolve())}
    if record.exists() and read_json(record) != now:
        if not settings.overwrite:
            raise InputError(f"{output} holds clusters of other settings: --overwrite begins anew")
        shutil.rmtree(output / "clusters", ignore_errors=True)
        (output / MODEL).unlink(missing_ok=True)
    write_json(record, now)


def _features(settings: Settings) -> Features:
    if settings.features == "pixels":
        return features.pixels
    return features.of_network(settings.features, settings.encoder_weights, settings.size)


def _fitted(settings: Settings, see: Features, photos: Mapping[str, Path]) -> Clusters:
    path = settings.output_dir / MODEL
    if path.exists():
        return Clusters.load(path)

    def vectors() -> Iterator[np.ndarray]:
        for photo in track(photos.values(), "sampling"):
            image, _ = labelled.read_photo(photo)
            found = see(geometry.letterbox(image, settings.size).numpy())
            there = np.zeros((*image.shape[:2], 1), np.uint8)
            inside = geometry.letterbox(there, len(found), labels=True, pad=VOID).numpy()[..., 0] != VOID
            yield found[inside]

    pixels = settings.features == "pixels"
    weights = features.pixel_weights(settings.position, settings.texture) if pixels else None
    found = fit(vectors(), settings.clusters, settings.seed, weights, settings.components)
    found.save(path)
    return found


def _clusters(image: np.ndarray, model: Clusters, see: Features, settings: Settings) -> np.ndarray:
    """The cluster of each pixel of a photo, (h, w) uint8."""
    square = geometry.letterbox(image, settings.size).numpy()
    scores = model.scores(see(square))
    if settings.smooth:
        scores = smoothing.guided(tf.image.resize(scores, square.shape[:2]).numpy(), square)
    height, width = image.shape[:2]
    best, clusters = np.full((height, width), -np.inf, np.float32), np.zeros((height, width), np.uint8)
    # One after the other: those of all clusters at once would be gigabytes of a large photo.
    for i in range(len(model)):
        score = geometry.restore(scores[..., i : i + 1], height, width).numpy()[..., 0]
        better = score > best
        best[better], clusters[better] = score[better], i
    return clusters
