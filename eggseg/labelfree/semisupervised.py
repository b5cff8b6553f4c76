"""Training on photos with masks and photos without, and the masks that it makes for these."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from rich.progress import track

from eggseg import geometry, labelled, learning, predict, training
from eggseg.classes import VOID, ClassTable
from eggseg.config import Config
from eggseg.labelfree import naming, views
from eggseg.labelfree.adversarial import Adversarial, Judge
from eggseg.labelfree.fixmatch import FixMatch
from eggseg.squares import Squares

if TYPE_CHECKING:
    from eggseg.labelfree.gan import Settings


def run(settings: Settings) -> int:
    """Train, export, measure; then write the masks of the photos of `unlabeled_dir`."""
    photos = naming.photos(settings.unlabeled_dir) if settings.unlabeled_dir else {}
    teacher = SemiSupervised(settings, _squares(list(photos.values()), settings.image_size, settings.max_pixels))
    training.run(settings, teacher)
    return _write_masks(settings.run_dir, photos) if photos else 0


class SemiSupervised:
    """A `training.Teacher` of photos with masks and photos without."""

    def __init__(self, settings: Settings, more: np.ndarray) -> None:
        self.settings = settings
        self.more = more
        """(n, size, size, 4) uint8, as `Squares.pixels`, of photos that have no masks at all."""
        self.variables: Sequence[keras.Variable] = ()

    def learner(self, config: Config, classes: ClassTable, steps: int) -> keras.Model:
        chosen = self.settings
        begin = round(chosen.unlabeled_from * config.epochs * steps)
        given = {"trust": chosen.trust, "weight": chosen.unlabeled_weight}
        how: dict[str, Any] = {"begin": begin} | {name: value for name, value in given.items() if value is not None}
        if chosen.method == "fixmatch":
            return _built(learning.learner(config, classes, steps, functools.partial(FixMatch, **how)))
        judge = Judge(config.image_size, len(classes), learning.arithmetic(config))
        self.variables = judge.variables
        return _built(learning.learner(config, classes, steps, functools.partial(Adversarial, judge=judge, **how)))

    def batches(
        self, labelled: tf.data.Dataset, squares: Squares, others: Sequence[int], lesson: Mapping[str, Any]
    ) -> tf.data.Dataset:
        def at(place: int) -> np.ndarray:
            return squares.at(others[place]) if place < len(others) else self.more[place - len(others)]

        two_views = self.settings.method == "fixmatch"
        return tf.data.Dataset.zip(
            labelled, views.batches(at, len(others) + len(self.more), squares.size, two_views=two_views, **lesson)
        )


def _built(model: keras.Model) -> keras.Model:
    """The model with its loss and metrics built: else `fit` builds them from a batch, and takes it for (x, y)."""
    logits = tf.zeros((1, *model.output_shape[1:]))
    truth = tf.zeros(logits.shape[:-1], tf.uint8)
    model.compute_loss(y=truth, y_pred=logits)
    model.compute_metrics(None, truth, logits)
    return model


def _squares(photos: Sequence[Path], size: int, max_pixels: int) -> np.ndarray:
    """Photos as squares, (n, size, size, 4) uint8, whose last channel is VOID in the padding and else 0."""
    pixels = np.empty((len(photos), size, size, 4), np.uint8)
    for square, path in zip(pixels, track(photos, "reading photos without masks"), strict=True):
        image, _ = labelled.read_photo(path, max_pixels)
        nothing = np.zeros((*image.shape[:2], 1), np.uint8)
        square[..., :3] = geometry.letterbox(image, size)
        square[..., 3:] = geometry.letterbox(nothing, size, labels=True, pad=VOID)
    return pixels


def _write_masks(run_dir: Path, photos: Mapping[str, Path]) -> int:
    """Write RUN/pseudo: the photos, their masks, and how sure of each pixel the model is."""
    folder = run_dir / "pseudo"
    shutil.rmtree(folder, ignore_errors=True)
    for name, path in photos.items():
        target = folder / "images" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path.resolve(), target)
        except OSError:  # another disk
            shutil.copyfile(path, target)
    images = str(folder / "images")
    return predict.run(predict.Settings((images,), run_dir, folder, recursive=True, confidence=True))
