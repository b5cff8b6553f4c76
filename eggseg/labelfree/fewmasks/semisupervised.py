"""Training on photos with masks and photos without, and the masks that it makes for these."""

from __future__ import annotations

import functools
import hashlib
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.progress import track

from eggseg.data import labelled
from eggseg.data.classes import VOID, ClassTable
from eggseg.data.squares import Squares
from eggseg.errors import InputError
from eggseg.exported import saved_model
from eggseg.files import digest, link, read_json, write_json
from eggseg.labelfree.clusters import naming
from eggseg.labelfree.fewmasks import views
from eggseg.labelfree.fewmasks.adversarial import Adversarial, Judge
from eggseg.labelfree.fewmasks.fixmatch import FixMatch
from eggseg.labelfree.fewmasks.settings import Settings
from eggseg.pictures import geometry
from eggseg.prediction import writing
from eggseg.prediction.settings import Settings as PredictSettings
from eggseg.training import learning
from eggseg.training.callbacks import AVERAGED
from eggseg.training.config import Config
from eggseg.training.run import train

MODEL = "model.json"
"""In RUN/pseudo: which model made the masks."""


def run(settings: Settings) -> int:
    """Train, export, measure; then write the masks of the photos of `unlabeled_dir`."""
    photos = naming.photos(settings.unlabeled_dir) if settings.unlabeled_dir else {}
    train(settings, SemiSupervised(settings, _strangers(photos, settings.data_dir)))
    return _write_masks(settings, photos) if photos else 0


class SemiSupervised:
    """A `teachers.Teacher` of photos with masks and photos without."""

    def __init__(self, settings: Settings, more: Mapping[str, Path]) -> None:
        self.settings = settings
        self.more = tuple(more.values())
        """Photos that have no masks at all."""
        self.fingerprint = hashlib.sha256("".join(sorted(more)).encode()).hexdigest()
        self.at: list[Callable[[], np.ndarray]] = []
        """The squares of all photos without masks, as those of `Squares`: VOID in the padding and else 0."""
        self.variables: Sequence[keras.Variable] = ()

    def prepare(self, squares: Squares, others: Sequence[int]) -> None:
        if not others and not self.more:
            raise InputError(
                "no photo is without its mask: expected an --unlabeled_dir with others, or fewer --labelled_photos"
            )

        def hidden(index: int) -> np.ndarray:
            width, height = squares.photos[index].size
            square = squares.at(index).copy()
            square[..., 3:] = _padding(height, width, squares.size)
            return square

        self.at = [functools.partial(hidden, index) for index in others]
        for path in track(self.more, "reading photos without masks"):
            image, _ = labelled.read_photo(path, self.settings.max_pixels)
            photo = geometry.letterbox(image, squares.size)
            square = np.concatenate([photo, _padding(*image.shape[:2], squares.size)], -1)
            self.at.append(functools.partial(np.asarray, square))

    def learner(self, config: Config, classes: ClassTable, steps: int) -> keras.Model:
        chosen = self.settings
        begin = round(chosen.unlabeled_from * config.epochs * steps)
        given = {"trust": chosen.trust, "weight": chosen.unlabeled_weight}
        how: dict[str, Any] = {"begin": begin} | {name: value for name, value in given.items() if value is not None}
        if chosen.method == "fixmatch":
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            if config.batch_size < 2 * replicas:
                raise InputError(
                    f"--batch_size is {config.batch_size}, expected at least {2 * replicas}: "
                    "on each device photos cover parts of each other"
                )
            return _built(learning.learner(config, classes, steps, functools.partial(FixMatch, **how)))
        digits = learning.arithmetic(config)
        judge = functools.partial(Judge, config.image_size, len(classes), digits)
        model = _built(learning.learner(config, classes, steps, functools.partial(Adversarial, judge=judge, **how)))
        self.variables = model.judge.variables
        return model

    def batches(self, labelled: tf.data.Dataset, lesson: Mapping[str, Any]) -> tf.data.Dataset:
        two_views = self.settings.method == "fixmatch"
        size = self.settings.image_size
        return tf.data.Dataset.zip(labelled, views.batches(self.at, size, two_views=two_views, **lesson))


def _built(model: keras.Model) -> keras.Model:
    """The model with its loss and metrics built: else `fit` builds them from a batch, and takes it for (x, y)."""
    logits = tf.zeros((1, *model.output_shape[1:]))
    truth = tf.zeros(logits.shape[:-1], tf.uint8)
    model.compute_loss(y=truth, y_pred=logits)
    model.compute_metrics(None, truth, logits)
    return model


def _strangers(photos: Mapping[str, Path], data_dir: Path) -> dict[str, Path]:
    """Those photos, by their digests, that are not in the data set too, where they may be held out."""
    known = naming.photos(data_dir).values() if (data_dir / "images").is_dir() and photos else []
    digests = {digest(path) for path in known}
    found = {digest(path): path for path in photos.values()}
    strangers = {name: path for name, path in found.items() if name not in digests}
    if len(strangers) < len(photos):
        left = len(photos) - len(strangers)
        print(f"{left} photos without masks are in {data_dir} too, or there twice: not learned from again")
    return strangers


@functools.lru_cache(64)
def _padding(height: int, width: int, size: int) -> np.ndarray:
    """What of a photo's square is padding: (size, size, 1) uint8, VOID there and else 0."""
    return geometry.letterbox(np.zeros((height, width, 1), np.uint8), size, labels=True, pad=VOID).numpy()


def _write_masks(settings: Settings, photos: Mapping[str, Path]) -> int:
    """Write what is missing of RUN/pseudo: the photos, their masks, and how sure of each pixel the model is."""
    folder = settings.run_dir / "pseudo"
    of = {"weights": digest(settings.run_dir / AVERAGED)}
    if not (folder / MODEL).exists() or read_json(folder / MODEL) != of:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(folder / MODEL, of)
    left = {name: path for name, path in photos.items() if not (folder / "images" / name).exists()}
    how = PredictSettings((), settings.run_dir, folder, confidence=True)
    failed = 0
    rows = writing.write(saved_model.load(settings.run_dir), left, how)
    for (name, path), row in zip(left.items(), track(rows, "writing masks", len(left)), strict=True):
        if isinstance(row, str):
            print(f"error: {row}", file=sys.stderr)
            failed += 1
            continue
        link(path, folder / "images" / name)  # the last: what has one has all
    print(f"the masks of {len(photos) - failed} photos are in {folder}: eggseg.train --pseudo learns from them")
    return 1 if failed else 0
