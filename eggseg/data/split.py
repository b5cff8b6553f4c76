"""Split photos into training and validation.

Neighbouring frames of a video are almost equal. A random split puts such frames on both sides, so the validation score
is too high. The method "blocks" keeps each block of neighbouring frames on one side, the method "session" keeps each
camera session on one side.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Sequence
from typing import Literal

import numpy as np

from eggseg.errors import InputError

Method = Literal["blocks", "session", "random"]

BLOCK = 10
"""Minimum number of frames in a block. A session of fewer than 2 * `BLOCK` frames has shorter blocks.

Such a session has 4 to 7 blocks, or one block for each frame if the session has fewer than 4 frames.
"""


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photo as the split sees it: its name, its (width, height), and the ids of the classes in its mask."""

    name: str
    size: tuple[int, int]
    classes: frozenset[int]


@dataclasses.dataclass(frozen=True)
class Split:
    """Indices of the photos on each side, in order."""

    train: tuple[int, ...]
    val: tuple[int, ...]

    @property
    def holds_out(self) -> bool:
        """Whether the photos for validation are not trained on."""
        return not set(self.train) & set(self.val)


def sessions(photos: Sequence[Photo]) -> list[str]:
    """Name the camera session of each photo.

    Photos belong to one session if they have the same folder, the same size (landscape or portrait), and names that
    differ only in numbers, letter case and file ending. If a number in one of these names has leading zeros, names with
    a single number must also have the same number of digits: `00012` and `100012` belong to two sessions. `_Color_95`
    and `_Color_1010`, without leading zeros, belong to one session.
    """
    series, widths, padded = [], [], set()
    for photo in photos:
        folder, _, stem = photo.name.rpartition(".")[0].rpartition("/")
        numbers = re.findall(r"\d+", stem)
        long, short = max(photo.size), min(photo.size)
        series.append(f"{folder}/{re.sub(r'[0-9]+', '#', stem).lower()} {long}x{short}".lstrip("/"))
        widths.append(len(numbers[0]) if len(numbers) == 1 else 0)
        if any(number.startswith("0") and len(number) > 1 for number in numbers):
            padded.add(series[-1])
    return [
        f"{name}, {width} digits" if name in padded and width else name
        for name, width in zip(series, widths, strict=True)
    ]


def frames(photos: Sequence[Photo]) -> dict[str, list[int]]:
    """Map each session to the indices of its photos, sorted by the numbers in the photos' names."""
    members = collections.defaultdict(list)
    for i, session in enumerate(sessions(photos)):
        members[session].append(i)
    return {name: sorted(indices, key=lambda i: _numbers(photos[i])) for name, indices in members.items()}


def folds(photos: Sequence[Photo], method: Method, count: int, seed: int) -> list[int]:
    """Distribute the photos over `count` folds with about equal numbers of photos of each class and session.

    Photos that `method` keeps together are in the same fold. Returns the fold of each photo, 0 to `count` - 1.
    """
    groups = _groups(photos, method)
    rng = np.random.default_rng(seed)
    # Large groups first: small ones then even out the folds. The sort is stable, so ties stay shuffled.
    order = sorted(rng.permutation(len(groups)).tolist(), key=lambda i: -len(groups[i]))
    features = [[photo.classes, session] for photo, session in zip(photos, sessions(photos), strict=True)]
    totals: collections.Counter[object] = collections.Counter()
    for classes, session in features:
        totals.update([*classes, session, "photos"])
    contents = [collections.Counter[object]() for _ in range(count)]
    fold_of = [0] * len(photos)
    for i in order:
        group = collections.Counter(key for p in groups[i] for key in (*features[p][0], features[p][1], "photos"))

        # The group goes to the fold with the smallest load. The load sums up the fold's shares, with the group in the
        # fold, of all photos, of each class and of each session, weighted by their numbers of photos in the group.
        def load(fold: int, group: collections.Counter[object] = group) -> float:
            return sum(n * (contents[fold][key] + n) / totals[key] for key, n in group.items())

        best = min(range(count), key=load)
        contents[best].update(group)
        for p in groups[i]:
            fold_of[p] = best
    return fold_of


def split(photos: Sequence[Photo], method: Method, fraction: float, seed: int) -> Split:
    """Hold out about `fraction` of the photos for validation, with every class on both sides.

    The held-out photos are one of max(2, round(1 / `fraction`)) folds. `InputError` if every fold, or its rest, lacks a
    class: there are too few photos, blocks or sessions. If `fraction` is 0, all photos are for training, and every
    fifth of them for validation too.
    """
    if not photos:
        raise InputError("no photo with a hand-made mask is left to validate on: expected some in --data_dir")
    if not fraction:
        return Split(tuple(range(len(photos))), tuple(range(0, len(photos), 5)))
    count = max(2, round(1 / fraction))
    fold_of = folds(photos, method, count, seed)
    for held_out in range(count):
        parts = _hold_out(fold_of, held_out)
        if _has_all_classes(photos, parts):
            return parts
    raise InputError(
        f"{len(photos)} photos cannot be split by {method} with every class on both sides: "
        f"expected more labelled photos, or --split random, which keeps no photos together"
    )


def one_fold(photos: Sequence[Photo], method: Method, count: int, held_out: int, seed: int) -> Split:
    """Hold out one fold of `count`; `InputError` if this fold is empty, or the rest lacks a class that the fold has."""
    parts = _hold_out(folds(photos, method, count, seed), held_out)
    learned, measured = (_classes(photos, side) for side in (parts.train, parts.val))
    if not measured or measured - learned:
        lacking = "no pixel of its masks is of a class" if parts.val else "it is empty"
        found = "the rest lacks a class that it has" if measured else lacking
        raise InputError(
            f"{len(photos)} photos were split into {count} folds by {method}, and fold {held_out} cannot be held out: "
            f"{found}; expected more labelled photos, or fewer --folds"
        )
    return parts


def few(photos: Sequence[Photo], indices: Sequence[int], count: int, seed: int) -> tuple[int, ...]:
    """Draw `count` of the photos at `indices`, spread over sessions and frames.

    The photos, sorted by session and frame number, are cut into `count` stretches, whose lengths differ by at most one.
    One photo of each stretch is drawn. `InputError` if there are fewer than `count` photos, or the drawn photos lack a
    class.
    """
    if count > len(indices):
        raise InputError(f"--labelled_photos is {count}, but the training split has only {len(indices)} photos")
    session = sessions(photos)
    order = sorted(indices, key=lambda i: (session[i], _numbers(photos[i])))
    rng = np.random.default_rng(seed)
    chosen = tuple(sorted(int(rng.choice(stretch)) for stretch in np.array_split(order, count)))
    if not _has_all_classes(photos, Split(tuple(indices), chosen)):
        raise InputError(
            f"--labelled_photos {count}: the drawn photos lack a class; expected more photos, or another --seed"
        )
    return chosen


def _hold_out(fold_of: Sequence[int], held_out: int) -> Split:
    val = np.array(fold_of) == held_out
    return Split(tuple(np.flatnonzero(~val).tolist()), tuple(np.flatnonzero(val).tolist()))


def _has_all_classes(photos: Sequence[Photo], parts: Split) -> bool:
    """Whether every class is on both sides."""
    return _classes(photos, parts.train) == _classes(photos, parts.val)


def _classes(photos: Sequence[Photo], side: Sequence[int]) -> set[int]:
    """The ids of the classes in the masks of some photos."""
    return set[int]().union(*(photos[i].classes for i in side))


def _numbers(photo: Photo) -> list[int]:
    """The numbers in a photo's name: the order of the frames in a session."""
    return [int(n) for n in re.findall(r"\d+", photo.name)]


def _groups(photos: Sequence[Photo], method: Method) -> list[list[int]]:
    """The photos that must stay together, as lists of indices."""
    if method == "random":
        return [[i] for i in range(len(photos))]
    groups = []
    for indices in frames(photos).values():
        if method == "session":
            groups.append(indices)
        else:
            length = BLOCK if len(indices) >= 2 * BLOCK else max(1, len(indices) // 4)
            parts = max(1, len(indices) // length)
            groups += [part.tolist() for part in np.array_split(indices, parts)]
    return groups
