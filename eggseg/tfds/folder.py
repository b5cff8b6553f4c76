"""Any data set of tensorflow-datasets that has photos and masks, as a folder to train on."""

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
"""Features that may hold the name of a photo."""


def write(name: str, folder: Path, data_dir: Path | None = None) -> Path:
    """Write the photos and masks of a data set, all its splits or those of `NAME:SPLIT`, to FOLDER/images and masks.

    Files have the names that the data set tells, or are numbered; each is a PNG, whatever its name ends in.
    `InputError` where the data set is not to be had, or has not one photo and one mask in each example.
    """
    importlib.import_module("eggseg.tfds.eggs_and_pans")  # so that it is found by its name
    name, _, part = name.partition(":")
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        with cli.drawing():
            builder.download_and_prepare()
        examples = builder.as_dataset(split=part or "all", shuffle_files=False)
    except (tfds.core.DatasetNotFoundError, AssertionError, ValueError, OSError, KeyError) as error:
        raise InputError(
            f"--tfds {name} is not to be had: {next(iter(str(error).strip().splitlines()), repr(error))}"
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
    """The one feature that is a photo and the one that is a mask."""
    channels = {key: of.shape[-1] for key, of in features.items() if isinstance(of, tfds.features.Image)}
    photos, masks = ([key for key, count in channels.items() if count == wanted] for wanted in (3, 1))
    if len(photos) != 1 or len(masks) != 1:
        found = ", ".join(f"{key} {of}" for key, of in features.items())
        raise InputError(f"--tfds {name} has the features {found}: expected one photo and one mask of one channel")
    return photos[0], masks[0]
