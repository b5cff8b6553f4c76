"""Photos that look alike: groups of near copies, and what their masks say of each other."""

from __future__ import annotations

import collections
from collections.abc import Sequence

import numpy as np
from PIL import Image

from eggseg.auditing.inspection import Look
from eggseg.data.classes import VOID, ClassTable
from eggseg.data.findings import Finding
from eggseg.errors import missing_extra, printable

MOST_BITS = 6
"""Bits of 64 in which the perceptual hashes of near copies differ at most."""

VISIBLE = 0.01
"""Share of a photo from which on it matters that a near copy has none of a class."""

UNCHANGED = 12
"""Mean difference of two photos, grey levels, up to which they show the same."""


def of_looks(looks: Sequence[Look], classes: ClassTable, validation: Sequence[int]) -> list[Finding]:
    """Near copies by the perceptual hash of Zauner (2010), on both sides of the split, and with unlike masks.

    Without the package imagehash nothing is compared, which is a finding too.
    """
    try:
        near = _near([one.image for one in looks])
    except ImportError:
        return [Finding("near copies", f"not looked for: {missing_extra('finding them', 'audit')}")]
    held = np.isin(np.arange(len(looks)), list(validation))
    alike = near.any(1)
    found = []
    if alike.any():
        groups = _groups(near)
        message = f"{alike.sum()} photos look like another, in {len(groups)} groups of up to {max(map(len, groups))}"
        named = tuple(", ".join(printable(looks[i].name) for i in group[:20]) for group in groups)
        found.append(Finding("near copies", message, tuple(looks[i].name for group in groups for i in group), named))
        both = np.flatnonzero(held & (near & ~held).any(1)).tolist()
        if len(both):
            message = f"{len(both)} of the {held.sum()} photos to validate on look like one that is trained on"
            found.append(Finding("near copies", message, tuple(looks[i].name for i in both)))
    return found + _unlike(looks, near, classes)


def _near(photos: Sequence[np.ndarray]) -> np.ndarray:
    """Which photos are near copies of which, (n, n) bool, none of itself."""
    import imagehash

    bits = np.array([imagehash.phash(Image.fromarray(photo)).hash.ravel() for photo in photos], np.uint8)
    differing = np.array([(bits != one).sum(1, dtype=np.uint8) for one in bits])
    return (differing <= MOST_BITS) & ~np.eye(len(photos), dtype=bool)


def _groups(near: np.ndarray) -> list[list[int]]:
    """The photos that are joined by near copies, largest group first."""
    from scipy.sparse.csgraph import connected_components

    _, labels = connected_components(near)
    groups = collections.defaultdict(list)
    for i, label in enumerate(labels.tolist()):
        groups[label].append(i)
    return sorted((group for group in groups.values() if len(group) > 1), key=len, reverse=True)


def _unlike(looks: Sequence[Look], near: np.ndarray, classes: ClassTable) -> list[Finding]:
    """Photos without a class whose near copies have it at large, at a place where both photos look the same."""
    found = []
    shares = np.array([[np.mean(one.ids == c) for c in range(len(classes))] for one in looks])
    for c in range(1, len(classes)):
        lines = {}
        for i in np.flatnonzero(shares[:, c] == 0).tolist():
            for j in np.flatnonzero(near[i] & (shares[:, c] > VISIBLE)).tolist():
                if _looks_the_same(looks[i], looks[j], c):
                    lines[looks[i].name] = looks[j].name
        if lines:
            message = f"{len(lines)} have no {classes.names[c]} where a near copy has and looks the same"
            details = tuple(f"{printable(lacks)} has none, {printable(has)} has" for lacks, has in lines.items())
            found.append(
                Finding("unlike masks", message, tuple(name for pair in lines.items() for name in pair), details)
            )
    return found


def _looks_the_same(lacks: Look, has: Look, c: int) -> bool:
    """Whether two photos are alike where the second one's mask has class `c`, and the first one's is not VOID."""
    if lacks.ids.shape != has.ids.shape:
        return False
    place = (has.ids == c) & (lacks.ids != VOID)
    difference = np.abs(lacks.image[place].astype(int) - has.image[place])
    return bool(place.any()) and difference.mean() <= UNCHANGED
