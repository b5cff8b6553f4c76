"""The commands as functions, for notebooks and other programs: `import eggseg; eggseg.train(...)`.

Each takes the settings of its command as keyword arguments, under the names of the flags, prints what the command
prints, and raises `eggseg.errors.InputError` where the command would end with exit code 2.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from eggseg.files import read_json
from eggseg.training.config import CONFIG, METRICS, PROFILES, Config

if TYPE_CHECKING:
    from eggseg.exported.saved_model import Segmenter

PathLike = str | os.PathLike[str]

Settings = TypeVar("Settings")


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished training run.

    Examples:
        >>> run = eggseg.Run("runs/eggs")
        >>> sorted(run.metrics["pooled"]["iou"])
        ['background', 'egg', 'pan']
    """

    folder: Path
    """The run folder, `output_dir` of `train`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """config.json: the settings, the split and the class table."""
        return read_json(self.folder / CONFIG)

    @functools.cached_property
    def metrics(self) -> dict[str, Any]:
        """metrics.json: the figures of the validation photos at their original size, `miou` first."""
        return read_json(self.folder / METRICS)

    @functools.cached_property
    def history(self) -> list[dict[str, float]]:
        """history.csv: loss and metrics of each epoch, the first epoch first."""
        rows = csv.DictReader((self.folder / "history.csv").read_text().splitlines())
        return [{name: float(value) for name, value in row.items()} for row in rows]

    @functools.cached_property
    def model(self) -> Segmenter:
        """The exported model, as `load` gives it."""
        return load(self.folder)


def load(path: PathLike, **settings: Any) -> Segmenter:
    """The trained model of a run folder, to be called with photos.

    `settings` are `precision` ("auto", "float32" or "bfloat16") and `max_pixels`, as in `eggseg predict`.

    Examples:
        >>> segment = eggseg.load("runs/eggs")
        >>> class_ids, probabilities = segment(np.zeros((90, 120, 3), np.uint8))
        >>> class_ids.shape, probabilities.shape
        ((90, 120), (90, 120, 3))
    """
    from eggseg.exported import saved_model

    return saved_model.load(Path(path), **settings)


def train(data_dir: PathLike, output_dir: PathLike, **settings: Any) -> Run:
    """Train a model on DATA_DIR/images and DATA_DIR/masks; `eggseg train --help` lists the settings.

    Examples:
        >>> run = eggseg.train("photos", "runs/eggs", encoder="plain", image_size=64, epochs=2, split="random")
        >>> run.metrics["miou"] > 0
        True
        >>> [row["epoch"] for row in run.history]
        [1.0, 2.0]
    """
    from eggseg.train import run

    profile = PROFILES[settings.get("profile", "default")]
    config = _settings(Config, profile | settings, data_dir=data_dir, output_dir=output_dir)
    run(config)
    return Run(config.run_dir)


def evaluate(model: PathLike | Run, data_dir: PathLike, **settings: Any) -> dict[str, Any]:
    """Measure a model on labelled photos: the figures of metrics.json, `miou` first.

    `eggseg evaluate --help` lists the settings.

    Examples:
        >>> figures = eggseg.evaluate("runs/eggs", "photos", output_dir="figures")
        >>> figures["photos"]
        16
    """
    from eggseg.evaluate import Settings, run

    chosen = _settings(Settings, settings, model=_folder(model), data_dir=data_dir)
    run(chosen)
    return read_json(chosen.folder / METRICS)


def predict(
    model: PathLike | Run | None, photos: PathLike | Iterable[PathLike], output_dir: PathLike, **settings: Any
) -> list[dict[str, str]]:
    """Write the masks of photos to OUTPUT_DIR/masks; the rows of summary.csv, one for each mask.

    `photos` are files, folders or patterns. `model` may be None: the model that comes with eggseg. A photo that cannot
    be read is named on stderr and has no row. `eggseg predict --help` lists the settings.

    Examples:
        >>> rows = eggseg.predict("runs/eggs", "photos/images", "predicted")
        >>> rows[0]["file"], rows[0]["width"], rows[0]["height"]
        ('photo_0.jpg', '96', '64')
    """
    from eggseg.predict import run
    from eggseg.prediction.outputs import SUMMARY
    from eggseg.prediction.settings import Settings

    inputs = [photos] if isinstance(photos, str | os.PathLike) else photos
    names = tuple(os.fspath(photo) for photo in inputs)
    chosen = _settings(Settings, settings, inputs=names, model=_folder(model), output_dir=output_dir)
    run(chosen)
    summary = chosen.output_dir / SUMMARY
    return list(csv.DictReader(summary.read_text().splitlines())) if summary.exists() else []


def audit(data_dir: PathLike, **settings: Any) -> dict[str, Any]:
    """Find what is wrong with a folder of photos and masks: the report of audit.json, with its `findings`.

    `eggseg audit --help` lists the settings.

    Examples:
        >>> report = eggseg.audit("photos", output_dir="report")
        >>> report["pairs"], [finding for finding in report["findings"] if finding["spoils"]]
        (16, [])
    """
    from eggseg.audit import Settings, run

    chosen = _settings(Settings, settings, data_dir=data_dir)
    run(chosen)
    return read_json(chosen.output_dir / "audit.json")


def _folder(model: PathLike | Run | None) -> PathLike | None:
    return model.folder if isinstance(model, Run) else model


def _settings(kind: type[Settings], given: dict[str, Any], **positional: Any) -> Settings:
    """The settings dataclass of a command; text stands for a path where it wants one."""
    paths = {field.name for field in dataclasses.fields(kind) if "Path" in str(field.type)}  # type: ignore[arg-type]
    values = given | positional
    return kind(
        **{name: Path(value) if name in paths and value is not None else value for name, value in values.items()}
    )
