"""The model that comes with eggseg, trained on made-up scenes alone.

`scenes.npz` holds the weights of the model, `scenes.json` its settings and measured scores. `efficientnet_lite0.npz`
holds the ImageNet weights of the encoder `efficientnet_lite0`, from which this model's training began.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eggseg import __version__, files
from eggseg.models import packed

WEIGHTS, RECORD = packed.SCENES, packed.SCENES.with_suffix(".json")


def model() -> Path:
    """Folder in the user's cache with the model in saved_model/1; the first call builds it."""
    digest = hashlib.sha256(WEIGHTS.read_bytes() + RECORD.read_bytes()).hexdigest()[:12]
    folder = files.cache() / f"scenes-{__version__}-{digest}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Rename only the complete folder, so that an interrupted build leaves none. If two processes build at the same
        # time, the slower process uses the folder of the faster one.
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
    """Write the SavedModel to saved_model/1 in `folder`; `InputError` if `weights` do not fit the settings.

    `record` has the keys `settings` and `scenes` of `scenes.json`.
    """
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
