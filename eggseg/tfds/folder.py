"""Write the photos and masks of a data set of tensorflow-datasets (TFDS) to a folder that `eggseg train` can read."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from rich.progress import track

from eggseg import cli
from eggseg.errors import InputError
from eggseg.files import inside, write_bytes
from eggseg.pictures import pillow

NAMES = ("name", "file_name", "image/filename", "filename", "id")
"""Features that may hold the name of a photo; the first one that the data set has is used."""


def write(name: str, folder: Path, data_dir: Path | None = None) -> Path:
    """Write the photos and masks of a data set, or of one split, `NAME:SPLIT`, to FOLDER/images and FOLDER/masks.

    `data_dir` is the folder in which TFDS keeps data sets; None is TFDS's default. Returns `folder`.

    Files are named as in the data set, or numbered if it has no names; each file is a PNG, whatever its suffix.
    `InputError` if the data set is not available, its examples do not have exactly one photo and one mask, or a name
    occurs twice or leads out of the folder.
    """
    importlib.import_module("eggseg.tfds.eggs_and_pans")  # registers `eggs_and_pans` with TFDS
    name, _, part = name.partition(":")
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        with cli.drawing():
            builder.download_and_prepare()
        examples = builder.as_dataset(split=part or "all", shuffle_files=False)
    except (tfds.core.DatasetNotFoundError, AssertionError, ValueError, OSError, KeyError) as error:
        raise InputError(
            f"--tfds {name} is not available: {next(iter(str(error).strip().splitlines()), repr(error))}"
        ) from None
    image, mask = _keys(builder.info.features, name)
    named = next((key for key in NAMES if key in builder.info.features), None)
    for i, example in enumerate(track(tfds.as_numpy(examples), "reading the data set", len(examples))):
        stem = _text(example[named]) if named else f"{i:07d}.png"
        path = Path(stem if Path(stem).suffix.lower() in pillow.SUFFIXES else f"{stem}.png")
        if (folder / "images" / path).exists():
            raise InputError(f"--tfds {name} has {stem} twice: take one of its splits, as {name}:SPLIT")
        write_bytes(inside(folder / "images", str(path)), pillow.png(example[image]))
        write_bytes(folder / "masks" / f"{path}.png", pillow.png(np.squeeze(example[mask], -1)))
    return folder


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _keys(features: Any, name: str) -> tuple[str, str]:
    """The names of the photo feature and the mask feature; `InputError` unless there is exactly one of each."""
    channels = {key: feature.shape[-1] for key, feature in features.items() if isinstance(feature, tfds.features.Image)}
    photos, masks = ([key for key, count in channels.items() if count == wanted] for wanted in (3, 1))
    if len(photos) != 1 or len(masks) != 1:
        listed = ", ".join(f"{key} {feature}" for key, feature in features.items())
        raise InputError(f"--tfds {name} has the features {listed}: expected one photo and one mask of one channel")
    return photos[0], masks[0]
