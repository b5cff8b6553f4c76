"""The average of the weights of several runs that began with the same weights, as one model.

Such networks lie in one basin of the loss, and their average is about as good as their ensemble, at the cost of one
network (model soups, Wortsman et al. 2022, arXiv 2203.05482).
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eggseg import __version__
from eggseg.data.classes import ClassTable
from eggseg.errors import InputError
from eggseg.exported import saved_model
from eggseg.files import parsing, read_json, replacing, write_json
from eggseg.training import building, calibration, run_folder
from eggseg.training.callbacks import AVERAGED
from eggseg.training.config import CONFIG, METRICS, NETWORK, Config, starts_whole


@dataclasses.dataclass(frozen=True)
class Part:
    """A run whose weights are averaged."""

    folder: Path
    record: dict[str, Any]
    """The content of config.json."""
    kind: tuple[Any, ...]
    """What averaged runs must have in common: classes, initial weights and network."""
    temperature: float
    """What the logits of the exported model were divided by to calibrate them."""

    @classmethod
    def of(cls, folder: Path) -> Part:
        """`InputError` if the folder holds no finished run."""
        record = read_json(folder / CONFIG)
        if not (folder / METRICS).exists():
            raise InputError(f"{folder} holds no finished run: it has no {METRICS}")
        if not isinstance(record, dict) or "settings" not in record:
            raise InputError(f"{folder} is no run folder of eggseg train: its {CONFIG} has no settings")
        _, exported = saved_model.described(saved_model.find(folder))
        with parsing(folder / CONFIG):
            settings = record["settings"]
            kind = (record["classes"], *(settings[name] for name in ("init", *NETWORK) if name != "image_size"))
        return cls(folder, record, kind, float(exported.get("temperature", 1.0)))


def write(runs: Sequence[Path], folder: Path, overwrite: bool = False) -> None:
    """Average the averaged weights of `runs`, calibrate and export the network, and write the run folder `folder`.

    The square is that of most runs. The temperature is the geometric mean of theirs, since each was computed on photos
    that its run held out. `InputError` if a run cannot be used, or the runs differ in network or initial weights.
    """
    parts = [Part.of(run) for given in runs for run in _folds(given)]
    if len(parts) < 2:
        raise InputError(f"{len(parts)} run is given, expected at least 2")
    if folder.resolve() in [part.folder.resolve() for part in parts]:
        raise InputError(f"--output_dir {folder} is one of the runs: expected another folder")
    _check(parts)
    first = parts[0].record
    with parsing(parts[0].folder / CONFIG):
        config = Config(**{name: first["settings"][name] for name in NETWORK})
        classes = ClassTable.from_json(first["classes"])
        size, _ = Counter(part.record["settings"]["image_size"] for part in parts).most_common(1)[0]
        max_pixels = min(part.record["settings"]["max_pixels"] for part in parts)
    if (folder / CONFIG).exists() and not overwrite:
        raise InputError(f"{folder} holds a run already: expected another --output_dir, or --overwrite")
    config = dataclasses.replace(config, image_size=size, output_dir=folder)
    network = building.network(config, classes)
    every = []
    for part in parts:
        with parsing(part.folder / AVERAGED):
            network.load_weights(part.folder / AVERAGED)
        every.append(network.get_weights())
    network.set_weights([np.mean(weights, 0) for weights in zip(*every, strict=True)])
    run_folder.clear(folder)  # only now: an error above must not delete an earlier run
    with replacing(folder / AVERAGED) as temporary:
        network.save_weights(temporary)
    write_json(folder / CONFIG, _record(parts, config))
    temperature = float(np.exp(np.mean([np.log(part.temperature) for part in parts])))
    calibration.scale(network, 1 / temperature)
    settings = {"image_size": size, "eggseg": __version__, "temperature": round(temperature, 4)}
    exported = folder / "saved_model" / "1"
    saved_model.save(network, classes, settings, exported, tta=first["settings"]["tta"], max_pixels=max_pixels)
    print(f"the average of {len(parts)} runs is in {exported}; it has seen the photos of all of them")


def _folds(folder: Path) -> list[Path]:
    """The folds in the folder of a cross-validation, or the folder itself; `InputError` if a fold is missing."""
    folds = sorted(path.parent for path in folder.glob(f"fold[0-9]*/{CONFIG}"))
    if not folds or (folder / CONFIG).exists():
        return [folder]
    with parsing(folds[0] / CONFIG):
        count = read_json(folds[0] / CONFIG)["settings"]["folds"]
    if len(folds) != count:
        raise InputError(f"{folder} has {len(folds)} folds, expected {count}: train the others with --resume")
    return folds


def _check(parts: Sequence[Part]) -> None:
    """`InputError` unless all runs began with the same weights of a whole network and have the same classes."""
    for part in parts:
        if part.kind != parts[0].kind:
            raise InputError(f"{part.folder} and {parts[0].folder} differ in classes, network or --init")
    if not starts_whole(parts[0].record["settings"]):
        raise InputError(f"{parts[0].folder} began with random weights: such networks have no useful average")


def _record(parts: Sequence[Part], config: Config) -> dict[str, Any]:
    """The content of config.json: that of the first run, for all photos of all runs and without any held out."""
    first = parts[0].record
    names = sorted({name for part in parts for kind in ("train", "val") for name in part.record["split"][kind]})
    alone = {"folds": 0, "fold": "all", "output_dir": str(config.output_dir), "image_size": config.image_size}
    sessions = {name: session for part in parts for name, session in part.record["sessions"].items()}
    return first | {
        "settings": first["settings"] | alone,
        "split": {"train": names, "val": []},
        "sessions": sessions,
        "averaged": [str(part.folder) for part in parts],
    }
