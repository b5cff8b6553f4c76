"""The commands `train`, `evaluate`, `predict` and `audit` as functions, and `load`, which loads a trained model.

After `import eggseg`, they are `eggseg.train` and so on. The function of a command takes the settings as keyword
arguments, with the names of the flags, and prints what the command prints. An error that the user can fix is
`eggseg.errors.InputError`, or `OSError` from the operating system. A setting of an unknown name is a `TypeError`.
"""

from __future__ import annotations

import csv
import functools
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from eggseg import cli
from eggseg.errors import InputError
from eggseg.files import read_json
from eggseg.training.config import CONFIG, HISTORY, METRICS, Config, preset

if TYPE_CHECKING:
    from eggseg.exported.saved_model import Segmenter

PathLike = str | os.PathLike[str]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Settings = TypeVar("Settings")


def _guarded(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate a function so that it runs inside `cli.guarded`, like a command."""

    @functools.wraps(function)
    def inside(*args: Arguments.args, **settings: Arguments.kwargs) -> Result:
        with cli.guarded():
            return function(*args, **settings)

    return inside


class Run:
    """A finished training run; a function that takes the path of a run folder also takes a `Run`.

    Examples:
        >>> run = eggseg.Run("runs/eggs")
        >>> sorted(run.metrics["pooled"]["iou"])
        ['background', 'egg', 'pan']
    """

    def __init__(self, folder: PathLike) -> None:
        self.folder = Path(folder)
        """The run folder: `output_dir` of `train` or, with `folds`, the folder of one run in `output_dir`."""

    def __fspath__(self) -> str:
        return str(self.folder)

    def __repr__(self) -> str:
        return f"eggseg.Run({str(self.folder)!r})"

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """The content of config.json, such as settings, split and class table; `InputError` if it cannot be read."""
        return read_json(self.folder / CONFIG)

    @functools.cached_property
    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json, such as `miou`; `InputError` if it cannot be read.

        The metrics are measured on the validation photos at their original size.
        """
        return read_json(self.folder / METRICS)

    @functools.cached_property
    def history(self) -> list[dict[str, float]]:
        """The rows of history.csv: loss and metrics of each epoch; `OSError` if the file cannot be read."""
        rows = csv.DictReader((self.folder / HISTORY).read_text().splitlines())
        return [{name: float(value) for name, value in row.items()} for row in rows]

    @functools.cached_property
    def model(self) -> Segmenter:
        """The exported model; see `load`."""
        return load(self)


@_guarded
def load(
    path: PathLike,
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    max_pixels: int | None = None,
) -> Segmenter:
    """Load the trained model of a run folder, to call it with frames; `InputError` if the model cannot be loaded.

    A frame is (h, w, 3) uint8 RGB. A call returns class ids, (h, w) uint8, and probabilities, (h, w, classes) float32.
    `precision` "auto" is bfloat16 if there is no GPU and the processor supports bfloat16, else float32. The precision
    of the last loaded model also holds for earlier models of the process that have not run yet. With `max_pixels`
    above the model's limit, the model's method `decode` accepts photos of up to `max_pixels` pixels.

    Examples:
        >>> segment = eggseg.load("runs/eggs")
        >>> class_ids, probabilities = segment(np.zeros((90, 120, 3), np.uint8))
        >>> class_ids.shape, probabilities.shape
        ((90, 120), (90, 120, 3))
    """
    from eggseg.exported import saved_model

    return saved_model.load(Path(path), precision, max_pixels)


@_guarded
def train(data_dir: PathLike | None, output_dir: PathLike, **settings: Any) -> Run:
    """Train a model on DATA_DIR/images and DATA_DIR/masks; `eggseg train --help` lists the settings.

    `data_dir` may be None if the setting `scenes` or `tfds` is given. Training seeds the random number generators of
    Python, NumPy and TensorFlow, and turns on TensorFlow's op determinism, which then stays on in the process.

    Examples:
        >>> run = eggseg.train("photos", "runs/eggs", encoder="plain", image_size=64, epochs=2, split="random")
        >>> run.metrics["miou"] > 0
        True
        >>> [row["epoch"] for row in run.history]
        [1.0, 2.0]
    """
    from eggseg.train import run

    if data_dir is None and not (settings.get("scenes") or settings.get("tfds")):
        raise InputError("data_dir is None: expected a folder with images/ and masks/, or scenes or tfds")
    if settings.get("folds") and settings.get("fold", "all") == "all":
        raise InputError("--folds trains several runs: expected one of them, as --fold, or the command eggseg train")
    places = {"data_dir": data_dir} if data_dir is not None else {}
    profile = preset(settings.get("profile", "default"), settings)
    config = _settings(Config, profile | settings | places | {"output_dir": output_dir})
    run(config)
    return Run(config.run_dir)


@_guarded
def evaluate(model: PathLike, data_dir: PathLike, **settings: Any) -> dict[str, Any]:
    """Measure a model on labelled photos; `eggseg evaluate --help` lists the settings.

    Returns the content of metrics.json, such as `miou`. A metric of a class is None if it is undefined, for example IoU
    if neither masks nor predictions have the class.

    Examples:
        >>> metrics = eggseg.evaluate("runs/eggs", "photos", output_dir="measured")
        >>> metrics["photos"]
        16
    """
    from eggseg.evaluate import Settings, run

    chosen = _settings(Settings, settings | {"model": model, "data_dir": data_dir})
    run(chosen)
    return read_json(chosen.folder / METRICS)


@_guarded
def predict(
    model: PathLike | None, photos: PathLike | Iterable[PathLike], output_dir: PathLike, **settings: Any
) -> list[dict[str, Any]]:
    """Write the masks of photos to OUTPUT_DIR/masks; `eggseg predict --help` lists the settings.

    `photos` are files, folders or patterns. If `model` is None, the model that comes with eggseg predicts. Returns the
    rows of summary.csv in the order in which the photos were finished, one row for each photo with a mask in
    OUTPUT_DIR, also from earlier calls. A photo that cannot be read is named on stderr and has no row.

    Examples:
        >>> rows = eggseg.predict("runs/eggs", "photos/images", "predicted")
        >>> rows[0]["file"], rows[0]["width"], rows[0]["height"]
        ('photo_0.jpg', 96, 64)
    """
    from eggseg.predict import run
    from eggseg.prediction.outputs import Journal
    from eggseg.prediction.settings import Settings

    paths = [photos] if isinstance(photos, str | os.PathLike) else photos
    inputs = tuple(os.fspath(path) for path in paths)
    chosen = _settings(Settings, settings | {"inputs": inputs, "model": model, "output_dir": output_dir})
    run(chosen)
    journal = Journal(chosen.output_dir)
    journal.read()
    return [entry.row for entry in journal.entries.values()]


@_guarded
def audit(data_dir: PathLike, **settings: Any) -> dict[str, Any]:
    """Find faults in DATA_DIR/images and DATA_DIR/masks; `eggseg audit --help` lists the settings.

    Returns the content of audit.json, such as `findings`. A finding with a true `spoils` would spoil training.

    Examples:
        >>> report = eggseg.audit("photos", output_dir="report")
        >>> report["pairs"], [finding for finding in report["findings"] if finding["spoils"]]
        (16, [])
    """
    from eggseg.audit import Settings, run

    chosen = _settings(Settings, settings | {"data_dir": data_dir})
    run(chosen)
    return read_json(chosen.output_dir / "audit.json")


def _settings(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Build a command's settings dataclass; `InputError` if a value does not have the type of its field.

    A path may also be text.
    """
    hints = typing.get_type_hints(kind)
    converted = {}
    for name, value in values.items():
        hint = hints.get(name)
        if hint is not None and isinstance(value, str | os.PathLike) and not _fits(value, hint) and _fits(Path(), hint):
            value = Path(value)
        if hint is not None and not _fits(value, hint):
            raise InputError(f"--{name} is {value!r}, expected {_shown(hint)}")
        converted[name] = value
    return kind(**converted)  # raises TypeError for an unknown name


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value has the type of a settings field."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        return value in typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, part) for part in typing.get_args(hint))
    return isinstance(value, (float, int) if hint is float else origin or hint)


def _shown(hint: Any) -> str:
    """The type of a settings field, for an error message."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(hint)))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_shown(part) for part in typing.get_args(hint))
    return "None" if hint is types.NoneType else getattr(origin or hint, "__name__", str(hint))
