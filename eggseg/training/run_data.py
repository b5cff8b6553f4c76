"""The photos and masks of a run: read, audited and split."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

from eggseg.data import findings, pairs, pseudo
from eggseg.data.classes import ClassTable
from eggseg.data.pairs import Pair
from eggseg.data.split import Method, Photo, Split, few, one_fold, split
from eggseg.data.squares import Squares, fits_in_memory
from eggseg.devices.distribution import Workers
from eggseg.errors import InputError
from eggseg.kitchen import scene_folder
from eggseg.training import sharding
from eggseg.training.config import Config

VALIDATION_SCENES = 80


@dataclasses.dataclass(frozen=True)
class RunData:
    """The photos of a run: the same on every worker, except that `squares` holds the pixels of one worker's photos."""

    pairs: Sequence[Pair]
    """All pairs of the data set, including unreadable ones."""
    squares: Squares
    """The readable pairs; `split` holds indices into them."""
    split: Split


def read(config: Config, classes: ClassTable, folder: Path, workers: Workers) -> RunData:
    """Read, audit and split the photos and masks of a run.

    `folder` takes the squares if they are kept on disk, and the photos and masks of --tfds and --scenes. `InputError`
    if the audit refuses the data, no pair is readable, or the photos cannot be split.
    """
    matched, missing = pairs.match(_data_folder(config, folder))
    if config.pseudo:
        matched += pseudo.find(config.pseudo)
    squares = _squares(config, classes, folder, workers, matched)
    _audit(squares, missing, classes, config)
    if not squares.pairs:
        raise InputError(f"{config.data_dir} holds no photo with a mask that can be used")
    return RunData(matched, squares, pseudo.without_copies(squares.pairs, _split(config, squares.photos)))


def resized(config: Config, classes: ClassTable, folder: Path, workers: Workers, data: RunData) -> RunData:
    """Read the photos and masks of `data` again, at the `image_size` of `config`."""
    return dataclasses.replace(data, squares=_squares(config, classes, folder, workers, data.pairs))


def labelled(config: Config, data: RunData) -> tuple[int, ...]:
    """Indices of the training photos whose masks may be used: all, unless --labelled_photos is given.

    With --labelled_photos N, these are N drawn photos with hand-made masks, and all photos of --pseudo. `InputError` if
    there are fewer than N, or the drawn photos lack a class.
    """
    if not config.labelled_photos:
        return data.split.train
    photos = data.squares.photos
    hand_made = [i for i in data.split.train if not _is_pseudo(photos[i])]
    model_made = [i for i in data.split.train if _is_pseudo(photos[i])]
    return few(photos, hand_made, config.labelled_photos, config.seed) + tuple(model_made)


def no_session_reason(config: Config, photos: Sequence[Photo]) -> str:
    """The reason why no whole camera sessions of these photos can be held out; empty if there is none."""
    try:
        split(_without_pseudo(photos), "session", config.val_fraction, config.split_seed)
    except InputError as error:
        return str(error)
    return ""


def _data_folder(config: Config, folder: Path) -> Path:
    """The folder with images/ and masks/; for --tfds and --scenes, it is first written below `folder`.

    For --scenes, it has the validation scenes only.
    """
    if config.tfds:
        # Imported here: it takes seconds, and few users have tensorflow-datasets.
        from eggseg.tfds.folder import write

        shutil.rmtree(folder / "tfds", ignore_errors=True)
        return write(config.tfds, folder / "tfds")
    if config.scenes:
        # seed + 1: validation scenes differ from training scenes.
        overwrite = config.overwrite and not config.resume
        settings = scene_folder.Settings(
            folder / "scenes", VALIDATION_SCENES, config.seed + 1, run_length=1, overwrite=overwrite
        )
        scene_folder.write(settings)
        return settings.out
    return config.data_dir


def _squares(config: Config, classes: ClassTable, folder: Path, workers: Workers, matched: Sequence[Pair]) -> Squares:
    """The squares of the readable pairs; pixels of --pseudo with a confidence below --pseudo_confidence are VOID."""
    cache = None if _caches_in_memory(config, len(matched), workers) else folder
    squares = sharding.read(workers, matched, config.image_size, classes, cache, config.max_pixels)
    if config.pseudo:
        pseudo.forget_doubtful(squares, config.pseudo, config.pseudo_confidence)
    return squares


def _caches_in_memory(config: Config, count: int, workers: Workers) -> bool:
    """Whether this worker keeps its part of the squares of `count` pairs in memory."""
    if config.cache == "auto":
        return fits_in_memory(-(-count // workers.count), config.image_size)
    return config.cache == "memory"


def _audit(squares: Squares, missing: Sequence[str], classes: ClassTable, config: Config) -> None:
    """Print findings about files and mask values; `InputError` if one would spoil training and --audit is refuse."""
    labels = dict(zip((photo.name for photo in squares.photos), squares.labels, strict=True))
    all_findings = findings.of_pairs(missing) + findings.of_faults(squares.faults) + findings.of_labels(labels, classes)
    findings.settle(all_findings, [finding for finding in all_findings if finding.spoils], config.audit)


def _split(config: Config, photos: Sequence[Photo]) -> Split:
    """Split the photos with hand-made masks; all photos of --pseudo, which come last, are trained on.

    With --scenes, all photos are for validation.
    """
    if config.scenes:
        return Split((), tuple(range(len(photos))))
    hand_made = _without_pseudo(photos)
    if isinstance(config.fold, int):
        parts = one_fold(hand_made, config.split, config.folds, config.fold, config.split_seed)
    else:
        method: Method = "session" if config.fold == "session" else config.split
        parts = split(hand_made, method, config.val_fraction, config.split_seed)
    return Split((*parts.train, *range(len(hand_made), len(photos))), parts.val)


def _without_pseudo(photos: Sequence[Photo]) -> list[Photo]:
    return [photo for photo in photos if not _is_pseudo(photo)]


def _is_pseudo(photo: Photo) -> bool:
    """Whether a model made the mask of the photo."""
    return photo.name.startswith(pseudo.PREFIX)
