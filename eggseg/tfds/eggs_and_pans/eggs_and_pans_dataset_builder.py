"""A folder of photos and masks as a data set of tensorflow-datasets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from eggseg.data import labelled, masks, pairs
from eggseg.data.classes import EGGS_AND_PANS, ClassTable
from eggseg.data.pairs import Pair
from eggseg.data.split import Photo, sessions, split
from eggseg.errors import InputError
from eggseg.pictures.pillow import PictureError, fault

HELD_OUT, SEED = 0.2, 0
"""Approximate share of the photos in the split `validation`, and the seed that chooses its camera sessions."""


@dataclasses.dataclass
class FolderConfig(tfds.core.BuilderConfig):
    """The folder, and the classes of its masks."""

    folder: str | None = None
    """Folder with images/ and masks/, paired by name; the default is TFDS's `manual_dir`."""
    classes: ClassTable = EGGS_AND_PANS
    """The class table; its mask values must be grey values."""


class Builder(tfds.core.GeneratorBasedBuilder):
    """Upright photos and their masks; a camera session is either in `train` or in `validation`."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [FolderConfig(name="folder", description="a folder of your own")]  # noqa: RUF012
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put photos into manual_dir/images and masks of the same names into manual_dir/masks."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Kitchen photos with a mask of the eggs and frying pans in each.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(doc="upright RGB"),
                    "segmentation_mask": tfds.features.Image(
                        shape=(None, None, 1), doc="mask values, 0, 128 and 255 unless the config has other classes"
                    ),
                    "name": tfds.features.Text(doc="path of the photo below its folder"),
                    "session": tfds.features.Text(doc="camera session, derived from name and size"),
                }
            ),
            supervised_keys=("image", "segmentation_mask"),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> Mapping[str, Iterator[Any]]:
        if self.builder_config.classes.is_colored:
            raise InputError("this data set holds masks of one channel: expected classes told apart by grey values")
        all_pairs = pairs.find(Path(self.builder_config.folder or dl_manager.manual_dir))
        photos = [self._photo(pair) for pair in all_pairs]
        names = sessions(photos)
        parts = split(photos, "session", HELD_OUT, SEED)

        def chosen(indices: Sequence[int]) -> Iterator[Any]:
            return self._generate_examples([(all_pairs[i], names[i]) for i in indices])

        return {"train": chosen(parts.train), "validation": chosen(parts.val)}

    def _generate_examples(self, chosen: Sequence[tuple[Pair, str]]) -> Iterator[tuple[str, dict[str, Any]]]:
        classes = self.builder_config.classes
        for pair, session in chosen:
            sample = labelled.read(pair, classes)
            mask = classes.paint_with_void(sample.ids)[..., None]
            yield pair.name, {"image": sample.image, "segmentation_mask": mask, "name": pair.name, "session": session}

    def _photo(self, pair: Pair) -> Photo:
        try:
            mask = masks.read(pair.mask.read_bytes(), self.builder_config.classes)
        except PictureError as error:
            raise InputError(fault(pair.mask, error)) from None
        return Photo(pair.name, pairs.size(pair.image), frozenset(np.flatnonzero(mask.labels.class_pixels).tolist()))
