"""Pairs of files to squares of the network's size.

Each pair is decoded once, into a square that holds red, green, blue and class id as uint8. What an epoch then costs is
augmentation alone.
"""

from __future__ import annotations

import bisect
import dataclasses
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import tensorflow as tf
from rich.progress import track

from eggseg.data import labelled, masks
from eggseg.data.classes import VOID, ClassTable
from eggseg.data.masks import Labels
from eggseg.data.pairs import Pair, mismatch
from eggseg.data.split import Photo
from eggseg.devices.pipelines import untuned
from eggseg.errors import InputError
from eggseg.pictures import decoding
from eggseg.pictures.geometry import letterbox
from eggseg.pictures.pillow import MAX_PIXELS

MEMORY_SHARE = 0.5
"""The share of the free memory that the squares may take before they go to disk."""


@dataclasses.dataclass(frozen=True)
class Squares:
    """Pairs at the network's size, and what reading them showed."""

    pixels: np.ndarray
    """(n, size, size, 4) uint8: red, green, blue, class id; padding is black and VOID."""
    held: tuple[int, ...]
    """Which of the photos these are, in order: all, or the share of one of several workers."""
    pairs: tuple[Pair, ...]
    """Those that could be read."""
    photos: tuple[Photo, ...]
    labels: tuple[Labels, ...]
    """What the values of each mask came to, at its original size."""
    faults: tuple[str, ...] = ()
    """Lines, with the names of their files, that say what is wrong with the others."""

    @property
    def size(self) -> int:
        """Side, pixels."""
        return self.pixels.shape[1]

    def at(self, index: int) -> np.ndarray:
        """The square (size, size, 4) of a photo that is held here."""
        return self.pixels[bisect.bisect_left(self.held, index)]


def read(
    pairs: Sequence[Pair], size: int, classes: ClassTable, cache: Path | None = None, max_pixels: int = MAX_PIXELS
) -> Squares:
    """Decode and letterbox all pairs, with a progress bar, into memory or into a file on the disk that holds `cache`.

    The file has no name, so that nothing of it is left when the process ends, however it ends. Files that cannot be
    read, and masks of other sizes than their photos, are left out and come back as faults.
    """
    pixels = _empty((len(pairs), size, size, 4), cache)
    labels: dict[int, Labels] = {}

    def read_mask(index: np.int64, shape: np.ndarray, tag: np.int32) -> np.ndarray:
        mask = masks.read(pairs[int(index)].mask.read_bytes(), classes, max_pixels)
        labels[int(index)] = mask.labels
        return masks.turned(mask, tuple(shape), int(tag))[0]

    def load(index: tf.Tensor, name: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        photo, whole, tag = decoding.decode_turned(tf.io.read_file(name), size, max_pixels)
        ids = tf.ensure_shape(tf.numpy_function(read_mask, [index, whole, tag], tf.uint8), (None, None))[..., None]
        return _squared(photo, ids, size), tf.stack([whole, tf.shape(ids, tf.int64)[:2]])

    paths = tf.constant([os.fsencode(pair.image) for pair in pairs], tf.string, (len(pairs),))
    names = tf.data.Dataset.from_tensor_slices(paths).enumerate()
    loaded = iter(names.map(load, tf.data.AUTOTUNE).apply(untuned))
    good: list[Pair] = []
    photos, faults = [], []
    for i, pair in enumerate(track(pairs, "reading photos")):
        try:
            try:
                square, sizes = next(loaded)
                whole, of_mask = sizes.numpy().tolist()
                if whole != of_mask:
                    raise InputError(mismatch(pair, whole, of_mask))
            except tf.errors.OpError:
                # Neither a damaged file nor a format that the graph does not know comes so far.
                found = labelled.read(pair, classes, max_pixels)
                square = _squared(tf.constant(found.image), tf.constant(found.ids[..., None]), size)
                labels[i], whole = found.labels, found.ids.shape
        except InputError as error:
            labels.pop(i, None)
            faults += str(error).splitlines()
            continue
        pixels[len(good)] = square
        good.append(pair)
        present = frozenset(int(c) for c in np.flatnonzero(labels[i].class_pixels))
        photos.append(Photo(pair.name, (whole[1], whole[0]), present))
    in_order = tuple(of for _, of in sorted(labels.items()))
    everything = tuple(range(len(good)))
    return Squares(pixels[: len(good)], everything, tuple(good), tuple(photos), in_order, tuple(faults))


def _empty(shape: tuple[int, ...], cache: Path | None) -> np.ndarray:
    """An array of uint8, in memory or in a file without a name on the disk of the folder `cache`."""
    if cache is None:
        return np.empty(shape, np.uint8)
    with tempfile.TemporaryFile(dir=cache) as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)


def fits_in_memory(pairs: int, size: int) -> bool:
    """Whether the squares of that many pairs take at most half of the memory that is free."""
    return pairs * size * size * 4 <= MEMORY_SHARE * psutil.virtual_memory().available


def _squared(photo: tf.Tensor, ids: tf.Tensor, size: int) -> tf.Tensor:
    """(h, w, 3) and (h, w, 1) uint8 to (size, size, 4) uint8."""
    return tf.concat([letterbox(photo, size), letterbox(ids, size, labels=True, pad=VOID)], axis=-1)
