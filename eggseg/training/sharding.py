"""Shards: the photos that each worker reads, trains on and validates on."""

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
    """`squares.read` by several workers: each holds the pixels of its own shard, and the metadata of all photos.

    `size` is the side of a square in pixels. `InputError` if the names of the photos differ between workers.
    """
    workers.agree({"the names of the photos": [pair.name for pair in pairs]})
    shard = squares.read([pairs[i] for i in part(workers, len(pairs))], size, classes, cache, max_pixels)
    shards = workers.exchange((shard.photos, shard.labels, shard.faults))
    photos = {photo.name: photo for shard_photos, *_ in shards for photo in shard_photos}
    labels = {
        photo.name: of_photo
        for shard_photos, shard_labels, _ in shards
        for photo, of_photo in zip(shard_photos, shard_labels, strict=True)
    }
    readable = tuple(pair for pair in pairs if pair.name in photos)
    held = {photo.name for photo in shard.photos}
    return Squares(
        shard.pixels,
        tuple(i for i, pair in enumerate(readable) if pair.name in held),
        readable,
        tuple(photos[pair.name] for pair in readable),
        tuple(labels[pair.name] for pair in readable),
        tuple(line for *_, faults in shards for line in faults),
    )


def part(workers: Workers, count: int) -> list[int]:
    """Indices of this worker's shard of `count` photos; drawn at random, so that each shard mixes the cameras."""
    order = np.random.default_rng(0).permutation(count) if workers.count > 1 else np.arange(count)
    return sorted(order[workers.index :: workers.count].tolist())


@dataclasses.dataclass(frozen=True)
class Share:
    """A worker's part of an epoch; the numbers of steps and batch sizes are the same on all workers."""

    train: tuple[int, ...]
    """Indices of this worker's training photos, into the photos of all workers."""
    val: tuple[int, ...]
    """Indices of this worker's validation photos, into the photos of all workers."""
    batch_size: int
    """Photos and made-up scenes per step on each replica."""
    scenes: int
    """How many of these are made-up scenes; 0 with --scenes."""
    replicas: int
    """Number of replicas on this worker."""
    steps: int
    """Training steps per epoch."""
    val_steps: int
    """Validation steps per epoch."""
    val_weight: float
    """Sample weight of a photo in the validation loss: (real + blank photos) / real photos, over all workers.

    Blank photos, of weight 0, fill up the last batches.
    """


def deal(
    workers: Workers, all_squares: Squares, parts: Split, batch_size: int, scenes: int, scene_share: float = 0.0
) -> Share:
    """This worker's share of an epoch: the photos that it holds, or its part of `scenes` made-up scenes.

    `batch_size` is the number of photos per step on all replicas together; it is reduced if the smallest shard does not
    fill a batch. About `scene_share` of each batch is made-up scenes, at least one scene and one photo if the batch has
    room for both: an epoch, which sees nearly all photos, then has more steps. An epoch has as many steps as the
    smallest shard has full batches. `InputError` if `batch_size` is no multiple of the number of replicas, or a replica
    would get no photo.
    """
    replicas = workers.replicas // workers.count
    if batch_size % workers.replicas:
        raise InputError(f"--batch_size is {batch_size}, expected a multiple of the {workers.replicas} replicas")
    held = set(all_squares.held)
    train, val = (tuple(i for i in part if i in held) for part in (parts.train, parts.val))
    fewest = scenes // workers.count or min(workers.exchange(len(train)))
    each = min(batch_size // workers.replicas, fewest // replicas)
    if not each:
        raise InputError(f"a worker has {fewest} photos to train on, expected one for each of its {replicas} replicas")
    among = min(max(1, round(scene_share * each)), each - 1) if scene_share else 0
    val_steps = -(-max(workers.exchange(len(val))) // (each * replicas))
    slots = val_steps * each * workers.replicas
    steps = fewest // ((each - among) * replicas)
    return Share(train, val, each, among, replicas, steps, val_steps, slots / len(parts.val))
