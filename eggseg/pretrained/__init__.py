"""The model that comes with eggseg, whose network never saw anything but made-up scenes.

`scenes.npz` holds its weights and `scenes.json` the settings and how good it is. The other weights here are those of
`efficientnet_lite0`.
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
    """The folder of its SavedModel, which is made the first time and kept in the user's cache."""
    digest = hashlib.sha256(WEIGHTS.read_bytes() + RECORD.read_bytes()).hexdigest()[:12]
    folder = files.cache() / f"scenes-{__version__}-{digest}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Of two that make it at once the second finds it made; what is cut short leaves nothing of that name.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as temporary:
            made = Path(temporary, "made")
            build(read(), made)
            try:
                made.rename(folder)
            except OSError:
                if not folder.exists():
                    raise
    return folder


def build(record: Mapping[str, Any], folder: Path, weights: Path = WEIGHTS) -> None:
    """Write the SavedModel of some weights below `folder`, with the settings of a record like that of `scenes.json`."""
    # Only now: it takes TensorFlow, which takes seconds.
    from eggseg.data.classes import EGGS_AND_PANS
    from eggseg.exported import saved_model
    from eggseg.training import learning
    from eggseg.training.config import Config

    network = learning.network(Config(**record["settings"]), EGGS_AND_PANS)
    packed.fill(network, weights)
    settings = {"image_size": record["settings"]["image_size"], "eggseg": __version__, "scenes": record["scenes"]}
    saved_model.save(network, EGGS_AND_PANS, settings, folder / "saved_model" / "1")


def read() -> dict[str, Any]:
    """What `scenes.json` says."""
    return files.read_json(RECORD)


def told() -> str:
    """Which model it is and how good it was measured to be, in a line."""
    measured = read()["measured"]
    return (
        f"the model that comes with eggseg, which has seen made-up scenes alone: mIoU {measured['miou']:.2f} on "
        f"{measured['photos']} real photos; one trained on photos like yours is far better (eggseg train)"
    )
