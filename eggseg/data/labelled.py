"""A photo and its mask, at the photo's original size."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf

from eggseg.data import masks
from eggseg.data.classes import ClassTable
from eggseg.data.masks import Labels
from eggseg.data.pairs import Pair, mismatch
from eggseg.errors import InputError
from eggseg.pictures import decoding, pillow
from eggseg.pictures.limits import MAX_PIXELS
from eggseg.pictures.pillow import PictureError, fault


@dataclasses.dataclass(frozen=True)
class Labelled:
    """A photo and its mask, aligned pixel by pixel."""

    image: np.ndarray
    """(h, w, 3) uint8, upright."""
    ids: np.ndarray
    """(h, w) uint8 class ids."""
    labels: Labels
    tag: int
    """EXIF orientation of the photo, 1 to 8."""
    mask_tag: int
    turned: bool
    """Whether the mask was turned by the photo's EXIF orientation instead of the mask's own."""


def read(pair: Pair, classes: ClassTable, max_pixels: int = MAX_PIXELS) -> Labelled:
    """Read a photo and its mask; `InputError` has a line for each unusable file, or says that the sizes differ."""
    faults = []
    try:
        image, tag = read_photo(pair.image, max_pixels)
    except InputError as error:
        faults.append(str(error))
    try:
        mask = masks.read(pair.mask.read_bytes(), classes, max_pixels)
    except (PictureError, OSError) as error:
        faults.append(fault(pair.mask, error))
    if faults:
        raise InputError("\n".join(faults))
    ids, turned = masks.turned(mask, image.shape[:2], tag)
    if ids.shape != image.shape[:2]:
        raise InputError(mismatch(pair, image.shape, ids.shape))
    return Labelled(image, ids, mask.labels, tag, mask.tag, turned)


def read_photo(path: Path, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, int]:
    """Read a photo as upright (h, w, 3) uint8, with its EXIF orientation; `InputError` if it cannot be read.

    The TensorFlow graph decodes the formats that it knows, Pillow decodes the others.
    """
    try:
        data = path.read_bytes()
        try:
            photo, tag = _decode(data, max_pixels)
        except tf.errors.OpError:
            return pillow.decode(data, max_pixels)
        return photo.numpy(), int(tag)
    except (PictureError, OSError) as error:
        raise InputError(fault(path, error)) from None


# In a graph, because eager execution takes three times as long.
@tf.function(input_signature=[tf.TensorSpec((), tf.string), tf.TensorSpec((), tf.int64)])
def _decode(data: tf.Tensor, max_pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    photo, _, tag = decoding.decode_turned(data, max_pixels=max_pixels)
    return photo, tag
