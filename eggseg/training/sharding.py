"""What each of several workers reads, learns from and is tested on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eggseg.data import squares
from eggseg.data.classes import ClassTable
from eggseg.data.pairs import Pair
from eggseg.data.split import Split
from eggseg.data.squares import Squares
from eggseg.devices.distribution import Workers
from eggseg.errors import InputError


def read(
    workers: Workers, pairs: Sequence[Pair], size: int, classes: ClassTable, cache: Path | None, max_pixels: int
) -> Squares:
    """`squares.read`, of which each worker does its part: it holds the squares of that, and knows all photos."""
    workers.agree({"the names of the photos": [pair.name for pair in pairs]})
    mine = squares.read([pairs[i] for i in part(workers, len(pairs))], size, classes, cache, max_pixels)
    parts = workers.exchange((mine.photos, mine.labels, mine.faults))
    found = {photo.name: (photo, labels) for photos, of, _ in parts for photo, labels in zip(photos, of, strict=True)}
    good = tuple(pair for pair in pairs if pair.name in found)
    held = {photo.name for photo in mine.photos}
    return Squares(
        mine.pixels,
        tuple(i for i, pair in enumerate(good) if pair.name in held),
        good,
        tuple(found[pair.name][0] for pair in good),
        tuple(found[pair.name][1] for pair in good),
        tuple(line for *_, faults in parts for line in faults),
    )


def part(workers: Workers, count: int) -> list[int]:
    """The indices of those of so many files that are a worker's; dealt at random, as names may go by cameras."""
    order = np.random.default_rng(0).permutation(count) if workers.count > 1 else np.arange(count)
    return sorted(order[workers.index :: workers.count].tolist())


@dataclasses.dataclass(frozen=True)
class Share:
    """A worker's part of an epoch, in step with the others'."""

    train: tuple[int, ...]
    """Photos that it learns from, by their index among all."""
    val: tuple[int, ...]
    """Photos that it is tested on."""
    batch_size: int
    """Photos in a step of each replica."""
    replicas: int
    """Of this worker."""
    steps: int
    val_steps: int
    val_weight: float
    """What a photo counts in the validation loss: blank ones fill up the last batches, and lower the mean."""


def deal(workers: Workers, found: Squares, parts: Split, batch_size: int, scenes: int) -> Share:
    """Each worker learns from, and is tested on, what it holds; or on its part of so many made-up scenes."""
    replicas = workers.replicas // workers.count
    if batch_size % workers.replicas:
        raise InputError(f"--batch_size is {batch_size}, expected a multiple of the {workers.replicas} replicas")
    held = set(found.held)
    train, val = (tuple(i for i in part if i in held) for part in (parts.train, parts.val))
    fewest = scenes // workers.count or min(workers.exchange(len(train)))
    each = min(batch_size // workers.replicas, fewest // replicas)
    if not each:
        raise InputError(f"a worker has {fewest} photos to train on, expected one for each of its {replicas} replicas")
    val_steps = -(-max(workers.exchange(len(val))) // (each * replicas))
    slots = val_steps * each * workers.replicas
    return Share(train, val, each, replicas, fewest // (each * replicas), val_steps, slots / len(parts.val))
