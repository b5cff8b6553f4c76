"""Convert pairs of files to squares of the network's input size.

Each pair is decoded once, into a square of red, green, blue and class id, uint8. An epoch then only has to augment the
squares.
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
from eggseg.pictures.limits import MAX_PIXELS

MEMORY_SHARE = 0.5
"""Largest share of the free memory for squares in memory; larger data sets go to disk."""


@dataclasses.dataclass(frozen=True)
class Squares:
    """Pairs at the network's input size, and the results of reading them."""

    pixels: np.ndarray
    """(n, size, size, 4) uint8: red, green, blue, class id; padding is black and VOID."""
    held: tuple[int, ...]
    """Indices of the photos whose squares are in `pixels`, ascending: all photos, or one worker's shard."""
    pairs: tuple[Pair, ...]
    """The pairs that could be read."""
    photos: tuple[Photo, ...]
    labels: tuple[Labels, ...]
    """How the values of each mask map to classes, at its original size."""
    faults: tuple[str, ...] = ()
    """A line for each file that could not be used: its name, and what is wrong."""

    @property
    def size(self) -> int:
        """Side of the squares, in pixels."""
        return self.pixels.shape[1]

    def at(self, index: int) -> np.ndarray:
        """The square (size, size, 4) of photo `index`, which must be in `held`."""
        return self.pixels[bisect.bisect_left(self.held, index)]


def read(
    pairs: Sequence[Pair], size: int, classes: ClassTable, cache: Path | None = None, max_pixels: int = MAX_PIXELS
) -> Squares:
    """Decode and letterbox all pairs, with a progress bar, into memory or into a file in the folder `cache`.

    The file has no name, so the system deletes it when the process ends, even after a crash. A pair with an unreadable
    file, or with a mask of another size than its photo, is left out and reported in `faults`.
    """
    pixels = _empty((len(pairs), size, size, 4), cache)
    labels: dict[int, Labels] = {}

    def read_mask(index: np.int64, shape: np.ndarray, tag: np.int32) -> np.ndarray:
        mask = masks.read(pairs[int(index)].mask.read_bytes(), classes, max_pixels)
        labels[int(index)] = mask.labels
        return masks.turned(mask, tuple(shape), int(tag))[0]

    def load(index: tf.Tensor, name: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        photo, photo_size, tag = decoding.decode_turned(tf.io.read_file(name), size, max_pixels)
        # Stateless: a stateful function would read one mask at a time while op determinism is on.
        ids = tf.numpy_function(read_mask, [index, photo_size, tag], tf.uint8, stateful=False)
        ids = tf.ensure_shape(ids, (None, None))[..., None]
        return _squared(photo, ids, size), tf.stack([photo_size, tf.shape(ids, tf.int64)[:2]])

    paths = tf.constant([os.fsencode(pair.image) for pair in pairs], tf.string, (len(pairs),))
    names = tf.data.Dataset.from_tensor_slices(paths).enumerate()
    loaded = iter(names.map(load, tf.data.AUTOTUNE).apply(untuned))
    good: list[Pair] = []
    photos, faults = [], []
    for i, pair in enumerate(track(pairs, "reading photos")):
        try:
            try:
                square, sizes = next(loaded)
                photo_size, mask_size = sizes.numpy().tolist()
                if photo_size != mask_size:
                    raise InputError(mismatch(pair, photo_size, mask_size))
            except tf.errors.OpError:
                # A file is damaged, or the graph does not know its format: Pillow may read it, else `InputError`.
                arrays = labelled.read(pair, classes, max_pixels)
                square = _squared(tf.constant(arrays.image), tf.constant(arrays.ids[..., None]), size)
                labels[i], photo_size = arrays.labels, arrays.ids.shape
        except InputError as error:
            labels.pop(i, None)
            faults += str(error).splitlines()
            continue
        pixels[len(good)] = square
        good.append(pair)
        present = frozenset(int(c) for c in np.flatnonzero(labels[i].class_pixels))
        photos.append(Photo(pair.name, (photo_size[1], photo_size[0]), present))
    in_order = tuple(mask for _, mask in sorted(labels.items()))
    held = tuple(range(len(good)))
    return Squares(pixels[: len(good)], held, tuple(good), tuple(photos), in_order, tuple(faults))


def _empty(shape: tuple[int, ...], cache: Path | None) -> np.ndarray:
    """An array of uint8, in memory or in a nameless file on the disk of the folder `cache`."""
    if cache is None:
        return np.empty(shape, np.uint8)
    with tempfile.TemporaryFile(dir=cache) as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)


def fits_in_memory(pairs: int, size: int) -> bool:
    """Whether `pairs` squares of `size` x `size` pixels take at most the share `MEMORY_SHARE` of the free memory."""
    return pairs * size * size * 4 <= MEMORY_SHARE * psutil.virtual_memory().available


def _squared(photo: tf.Tensor, ids: tf.Tensor, size: int) -> tf.Tensor:
    """Photo (h, w, 3) and class ids (h, w, 1), both uint8, to a square (size, size, 4) uint8."""
    return tf.concat([letterbox(photo, size), letterbox(ids, size, labels=True, pad=VOID)], axis=-1)
