"""Training on photos with and without masks, and writing masks for photos without."""

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
from eggseg.training import building
from eggseg.training.callbacks import AVERAGED
from eggseg.training.config import Config
from eggseg.training.run import train

MODEL = "model.json"
"""File in RUN/pseudo: the digest of the weights that made the masks."""


def run(settings: Settings) -> int:
    """Train, export and measure; then write masks for the photos of `unlabeled_dir`; return the exit code."""
    photos = naming.photos(settings.unlabeled_dir) if settings.unlabeled_dir else {}
    learn(settings, photos)
    return write_masks(settings, photos) if photos else 0


def learn(settings: Settings, photos: Mapping[str, Path]) -> None:
    """Train, export and measure, with `photos` as photos without masks; `InputError` as in `training.run.train`."""
    train(settings, SemiSupervised(settings, _without_copies(photos, settings.data_dir)))


class SemiSupervised:
    """A `tasks.Task` for photos with masks and photos without."""

    def __init__(self, settings: Settings, unlabelled: Mapping[str, Path]) -> None:
        self.settings = settings
        self.unlabelled = tuple(unlabelled.values())
        """Photos outside of DATA_DIR, which have no masks."""
        self.fingerprint = hashlib.sha256("".join(sorted(unlabelled)).encode()).hexdigest()
        self.squares: list[Callable[[], np.ndarray]] = []
        """For each photo without a mask, a function that returns its square, (size, size, 4) uint8.

        The channels are red, green, blue, and VOID in the padding, else 0.
        """
        self.size = settings.image_size
        self.variables: Sequence[keras.Variable] = ()

    def prepare(self, squares: Squares, others: Sequence[int]) -> None:
        if not others and not self.unlabelled:
            raise InputError(
                "every photo has a mask: expected photos without masks in --unlabeled_dir, or fewer --labelled_photos"
            )

        def hidden(index: int) -> np.ndarray:
            width, height = squares.photos[index].size
            square = squares.at(index).copy()
            square[..., 3:] = _padding(height, width, squares.size)
            return square

        self.size = squares.size
        self.squares = [functools.partial(hidden, index) for index in others]
        for path in track(self.unlabelled, "reading photos without masks"):
            image, _ = labelled.read_photo(path, self.settings.max_pixels)
            photo = geometry.letterbox(image, squares.size)
            square = np.concatenate([photo, _padding(*image.shape[:2], squares.size)], -1)
            self.squares.append(functools.partial(np.asarray, square))

    def model(self, config: Config, classes: ClassTable, steps: int) -> keras.Model:
        settings = self.settings
        begin = round(settings.unlabeled_from * config.epochs * steps)
        optional = {"trust": settings.trust, "weight": settings.unlabeled_weight}
        options: dict[str, Any] = {"begin": begin} | {
            key: value for key, value in optional.items() if value is not None
        }
        if settings.method == "fixmatch":
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            if config.batch_size < 2 * replicas:
                raise InputError(
                    f"--batch_size is {config.batch_size}, expected at least {2 * replicas}: "
                    "CutMix needs two photos on each device"
                )
            return _built(building.compiled(config, classes, steps, functools.partial(FixMatch, **options)))
        digits = building.precision(config)
        judge = functools.partial(Judge, config.image_size, len(classes), digits)
        model = _built(
            building.compiled(config, classes, steps, functools.partial(Adversarial, judge=judge, **options))
        )
        self.variables = model.judge.variables
        return model

    def batches(self, labelled: tf.data.Dataset, options: Mapping[str, Any]) -> tf.data.Dataset:
        two_views = self.settings.method == "fixmatch"
        return tf.data.Dataset.zip(labelled, views.batches(self.squares, self.size, two_views=two_views, **options))


def _built(model: keras.Model) -> keras.Model:
    """Build the loss and the metrics of the model, and return the model.

    Otherwise `fit` would build them from a batch of photos with and without masks, as if this batch were (x, y).
    """
    logits = tf.zeros((1, *model.output_shape[1:]))
    truth = tf.zeros(logits.shape[:-1], tf.uint8)
    model.compute_loss(y=truth, y_pred=logits)
    model.compute_metrics(None, truth, logits)
    return model


def _without_copies(photos: Mapping[str, Path], data_dir: Path) -> dict[str, Path]:
    """The photos by digest, without copies, and without the photos of `data_dir`.

    A photo of `data_dir` may be held out for validation, so a copy of this photo must not be trained on.
    """
    in_data = naming.photos(data_dir).values() if (data_dir / "images").is_dir() and photos else []
    excluded = {digest(path) for path in in_data}
    by_digest = {digest(path): path for path in photos.values()}
    kept = {key: path for key, path in by_digest.items() if key not in excluded}
    if len(kept) < len(photos):
        print(f"skipped {len(photos) - len(kept)} photos without masks: copies of others or of photos in {data_dir}")
    return kept


@functools.lru_cache(64)
def _padding(height: int, width: int, size: int) -> np.ndarray:
    """Where a photo's square is padding: (size, size, 1) uint8, VOID there, else 0."""
    return geometry.letterbox(np.zeros((height, width, 1), np.uint8), size, labels=True, pad=VOID).numpy()


def write_masks(settings: Settings, photos: Mapping[str, Path]) -> int:
    """Write the missing files of RUN/pseudo: photos, masks, and the confidence of each pixel; return the exit code.

    Files that other weights made are removed first.
    """
    folder = settings.run_dir / "pseudo"
    model = {"weights": digest(settings.run_dir / AVERAGED)}
    if not (folder / MODEL).exists() or read_json(folder / MODEL) != model:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(folder / MODEL, model)
    missing = {name: path for name, path in photos.items() if not (folder / "images" / name).exists()}
    predict_settings = PredictSettings((), settings.run_dir, folder, confidence=True)
    failed = 0
    rows = writing.write(saved_model.load(settings.run_dir), missing, predict_settings)
    for (name, path), row in zip(missing.items(), track(rows, "writing masks", len(missing)), strict=True):
        if isinstance(row, str):
            print(f"error: {row}", file=sys.stderr)
            failed += 1
            continue
        link(path, folder / "images" / name)  # last, so that each photo in images/ has its other files
    print(f"the masks of {len(photos) - failed} photos are in {folder}: eggseg.train --pseudo trains on them")
    return 1 if failed else 0
