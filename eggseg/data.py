"""Pairs of files to batches of squares, with `tf.data`.

Each pair is decoded once, into a square of the network's size that holds red, green, blue and class id as uint8. What
an epoch then costs is augmentation alone.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import tensorflow as tf
from rich.progress import track

from eggseg import augment
from eggseg.classes import VOID, ClassTable
from eggseg.errors import InputError
from eggseg.geometry import letterbox
from eggseg.images import decode_pair
from eggseg.pairs import Pair, summary
from eggseg.pictures import why_unreadable
from eggseg.split import Photo

MEMORY_SHARE = 0.5
"""The share of the free memory that the squares may take before they go to disk."""


@dataclasses.dataclass(frozen=True)
class Squares:
    """All pairs at the network's size, and what reading them showed."""

    pixels: np.ndarray
    """(n, size, size, 4) uint8: red, green, blue, class id; padding is black and VOID."""
    photos: tuple[Photo, ...]
    values: tuple[dict[int, int], ...]
    """Of each mask, how often each grey value occurs, at its original size."""

    def report(self, classes: ClassTable) -> str:
        """Lines that say what rounding to classes did to the masks; empty when every value is exact."""
        rounded = distance = 0
        stray: dict[int, list[str]] = collections.defaultdict(list)
        for photo, values in zip(self.photos, self.values, strict=True):
            for value, count in values.items():
                gap = min(abs(value - exact) for exact in classes.values)
                if gap > classes.tolerance:
                    stray[value].append(photo.name)
                elif gap:
                    rounded, distance = rounded + count, max(distance, gap)
        lines = []
        if rounded:
            lines.append(f"masks: {rounded} pixels rounded to the nearest class, by at most {distance} grey levels")
        for value, names in sorted(stray.items()):
            shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            lines.append(f"masks: value {value} is no class and is left out of loss and metrics (in {shown})")
        return "\n".join(lines)


def read(pairs: Sequence[Pair], size: int, classes: ClassTable, cache: Path | None = None) -> Squares:
    """Decode and letterbox all pairs, with a progress bar, into memory or into the file `cache`.

    `InputError` names every file that cannot be read and every mask of another size than its photo.
    """
    shape = (len(pairs), size, size, 4)
    pixels: np.ndarray = np.lib.format.open_memmap(cache, "w+", np.uint8, shape) if cache else np.empty(shape, np.uint8)
    names = tf.data.Dataset.from_tensor_slices(([str(p.image) for p in pairs], [str(p.mask) for p in pairs]))
    loaded = iter(names.map(lambda image, mask: _load(image, mask, size, classes), num_parallel_calls=tf.data.AUTOTUNE))
    photos, values, faults = [], [], []
    for i, pair in enumerate(track(pairs, "reading photos")):
        try:
            square, photo_shape, mask_shape, counts = next(loaded)
        except tf.errors.OpError:
            faults += unreadable(pair)
            continue
        if not np.array_equal(photo_shape, mask_shape):
            faults.append(mismatch(pair, photo_shape.numpy(), mask_shape.numpy()))
            continue
        pixels[i] = square
        counts = counts.numpy()
        ids = np.unique(classes.id_of_value[np.flatnonzero(counts)])
        h, w = photo_shape.numpy()
        photos.append(Photo(pair.name, (int(w), int(h)), frozenset(int(c) for c in ids if c != VOID)))
        values.append({int(v): int(counts[v]) for v in np.flatnonzero(counts)})
    if faults:
        raise InputError(summary(faults, "files that cannot be used"))
    return Squares(pixels, tuple(photos), tuple(values))


def fits_in_memory(pairs: int, size: int) -> bool:
    """Whether the squares of that many pairs take at most half of the memory that is free."""
    return pairs * size * size * 4 <= MEMORY_SHARE * psutil.virtual_memory().available


def train_batches(
    squares: Squares,
    indices: Sequence[int],
    *,
    batch_size: int,
    seed: int,
    strength: float,
    paste: float = 0.0,
    first_epoch: int = 0,
) -> tf.data.Dataset:
    """Endless batches of augmented ((b, size, size, 3) float32 in 0..255, (b, size, size) uint8 class ids).

    A share `paste` of the photos gets the objects of another one on top (Ghiasi et al. 2021, arXiv 2012.07177). An
    epoch is `len(indices) // batch_size` batches. Its order and every augmentation are functions of (seed, epoch,
    photo), so that a run begun at `first_epoch` sees what an uninterrupted run would have seen.
    """
    size = squares.pixels.shape[1]
    whole = len(indices) // batch_size * batch_size  # those left over differ from epoch to epoch

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        # Shuffle indices, not pixels: no buffer to fill.
        order = tf.random.experimental.stateless_shuffle(
            tf.constant(indices, tf.int64), tf.stack([tf.cast(seed, tf.int64), number])
        )
        return tf.data.Dataset.from_tensor_slices((tf.fill([whole], number), order[:whole]))

    def one(random: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, ids = _square(squares, index)
        draw = augment.draw(random, size, strength)
        return augment.apply_to_image(draw, image), augment.apply_to_ids(draw, ids)

    def augmented(number: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        random = _mix(seed, number, index)
        pair = one(random, index)
        if not paste:
            return pair
        # Seeds of their own: draws of one seed begin with the same bits, whatever their shapes.
        choice, another = (tf.random.experimental.stateless_fold_in(random, i) for i in (1, 2))
        pastes, which = tf.unstack(tf.random.stateless_uniform((2,), choice))
        other = tf.gather(tf.constant(indices, tf.int64), tf.cast(which * len(indices), tf.int32))
        return tf.cond(pastes < paste, lambda: augment.paste(one(another, other), pair), lambda: pair)

    epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max).flat_map(epoch)
    batches = epochs.map(augmented, tf.data.AUTOTUNE, deterministic=True).batch(batch_size, drop_remainder=True)
    return batches.prefetch(tf.data.AUTOTUNE)


def plain_batches(squares: Squares, indices: Sequence[int], *, batch_size: int) -> tf.data.Dataset:
    """One pass over the photos as they are, in order, in batches like those of `train_batches`."""

    def plain(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, ids = _square(squares, index)
        return tf.cast(image, tf.float32), ids

    one_by_one = tf.data.Dataset.from_tensor_slices(tf.constant(indices, tf.int64))
    return one_by_one.map(plain, tf.data.AUTOTUNE).batch(batch_size).prefetch(tf.data.AUTOTUNE)


def mismatch(pair: Pair, photo: Sequence[int], mask: Sequence[int]) -> str:
    """What to say of a mask whose (height, width) is not its photo's."""
    return f"{pair.mask} is {mask[1]}x{mask[0]}, its photo {pair.image} is {photo[1]}x{photo[0]}"


def unreadable(pair: Pair) -> list[str]:
    """What is wrong with a pair that could not be decoded, a line for each file."""
    faults = []
    for path in (pair.image, pair.mask):
        try:
            decode_pair(path.read_bytes(), path.read_bytes())
        except tf.errors.OpError:
            faults.append(f"{path} {why_unreadable(path)}")
        except OSError as error:
            faults.append(f"{path}: {error.strerror}")
    return faults


def _load(
    image_path: tf.Tensor, mask_path: tf.Tensor, size: int, classes: ClassTable
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Two file names to ((size, size, 4) uint8, shape of the photo, shape of the mask, (256,) counts of its values)."""
    image, values, shape = decode_pair(tf.io.read_file(image_path), tf.io.read_file(mask_path), size)
    values = tf.cast(values, tf.int32)
    # The square's pixels are looked up, not the mask's, which are many more. No value is 256: that is the padding.
    ids = tf.gather(np.append(classes.id_of_value, np.uint8(VOID)), letterbox(values, size, labels=True, pad=256))
    counts = tf.raw_ops.DenseBincount(input=tf.reshape(values, [-1]), size=256, weights=tf.constant([], tf.int64))
    return tf.concat([letterbox(image, size), ids], axis=-1), shape, tf.shape(values)[:2], counts


def _square(squares: Squares, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The photo (size, size, 3) and the class ids (size, size) at `index`, uint8."""
    square = tf.numpy_function(squares.pixels.__getitem__, [index], tf.uint8, stateful=False)
    square = tf.ensure_shape(square, squares.pixels.shape[1:])
    return square[..., :3], square[..., 3]


def _mix(seed: int, epoch: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """A stateless seed, (2,) int64, that differs for every (seed, epoch, photo)."""
    return tf.stack([tf.cast(seed, tf.int64) * 0x9E3779B1 + epoch, index])
