"""The model that comes with eggseg, trained on made-up scenes alone.

`scenes.npz` holds its weights, `scenes.json` its settings and measured scores. The other weights here are those of the
encoder `efficientnet_lite0`.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eggseg import __version__, files
from eggseg.models import packed

WEIGHTS, RECORD = (Path(__file__).parent / f"scenes.{kind}" for kind in ("npz", "json"))


def model() -> Path:
    """Folder of the model's SavedModel, built on the first call and kept in the user's cache."""
    digest = hashlib.sha256(WEIGHTS.read_bytes() + RECORD.read_bytes()).hexdigest()[:12]
    folder = files.cache() / f"scenes-{__version__}-{digest}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Renamed when complete, so an interrupted build leaves no such folder. Of two at a time, one uses the other's.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as temporary:
            built = Path(temporary, "built")
            build(read(), built)
            try:
                built.rename(folder)
            except OSError:
                if not folder.exists():
                    raise
    return folder


def build(record: Mapping[str, Any], folder: Path, weights: Path = WEIGHTS) -> None:
    """Write the SavedModel of `weights` below `folder`; `record` holds settings as `scenes.json` does."""
    # Imported late: TensorFlow takes seconds to load.
    from eggseg.data.classes import EGGS_AND_PANS
    from eggseg.exported import saved_model
    from eggseg.training import building
    from eggseg.training.config import Config

    network = building.network(Config(**record["settings"]), EGGS_AND_PANS)
    packed.fill(network, weights)
    settings = {"image_size": record["settings"]["image_size"], "eggseg": __version__, "scenes": record["scenes"]}
    saved_model.save(network, EGGS_AND_PANS, settings, folder / "saved_model" / "1")


def read() -> dict[str, Any]:
    """The content of `scenes.json`."""
    return files.read_json(RECORD)


def told() -> str:
    """One line that names the model and its measured mIoU."""
    measured = read()["measured"]
    return (
        f"the model that comes with eggseg, trained on made-up scenes alone: mIoU {measured['miou']:.2f} on "
        f"{measured['photos']} real photos; a model trained on photos like yours is far better (eggseg train)"
    )
