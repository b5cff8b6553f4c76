"""Near copies: groups of photos that look alike, and contradictions between their masks."""

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
"""Two photos are near copies if their perceptual hashes differ in at most this number of their 64 bits."""

VISIBLE = 0.01
"""Share of a photo that a class must exceed, for a near copy without this class to be a contradiction."""

UNCHANGED = 12
"""Largest mean absolute difference, in grey levels, between the pixels of a place where two photos look the same."""


def of_looks(looks: Sequence[Look], classes: ClassTable, validation: Sequence[int]) -> list[Finding]:
    """Findings about near copies, which the perceptual hash of Zauner (2010) detects.

    They name all near copies, the validation photos with a near copy among the training photos, and the near copies
    whose masks contradict each other. `validation` holds the indices in `looks` of the validation photos. Without the
    package imagehash, the only finding says that near copies were not looked for.
    """
    try:
        near = _near([look.image for look in looks])
    except ImportError:
        return [Finding("near copies", f"not looked for: {missing_extra('finding them', 'audit')}")]
    held = np.isin(np.arange(len(looks)), list(validation))
    alike = near.any(1)
    findings = []
    if alike.any():
        groups = _groups(near)
        message = f"{alike.sum()} photos look like another, in {len(groups)} groups of up to {max(map(len, groups))}"
        named = tuple(", ".join(printable(looks[i].name) for i in group[:20]) for group in groups)
        findings.append(Finding("near copies", message, tuple(looks[i].name for group in groups for i in group), named))
        both = np.flatnonzero(held & (near & ~held).any(1)).tolist()
        if len(both):
            message = f"{len(both)} of the {held.sum()} validation photos look like a training photo"
            findings.append(Finding("near copies", message, tuple(looks[i].name for i in both)))
    return findings + _unlike(looks, near, classes)


def _near(photos: Sequence[np.ndarray]) -> np.ndarray:
    """Which photos are near copies of each other, (n, n) bool, false on the diagonal."""
    import imagehash

    bits = np.array([imagehash.phash(Image.fromarray(photo)).hash.ravel() for photo in photos], np.uint8)
    differing = np.array([(bits != row).sum(1, dtype=np.uint8) for row in bits])
    return (differing <= MOST_BITS) & ~np.eye(len(photos), dtype=bool)


def _groups(near: np.ndarray) -> list[list[int]]:
    """Groups of photos that are connected by chains of near copies, as lists of indices, the largest group first."""
    from scipy.sparse.csgraph import connected_components

    _, labels = connected_components(near)
    groups = collections.defaultdict(list)
    for i, label in enumerate(labels.tolist()):
        groups[label].append(i)
    return sorted((group for group in groups.values() if len(group) > 1), key=len, reverse=True)


def _unlike(looks: Sequence[Look], near: np.ndarray, classes: ClassTable) -> list[Finding]:
    """One finding for each class with contradictions between the masks of near copies.

    A contradiction: a photo has no pixel of the class, and a near copy has the class at a place where both photos look
    the same.
    """
    findings = []
    shares = np.array([[np.mean(look.ids == c) for c in range(len(classes))] for look in looks])
    for c in range(1, len(classes)):
        lines = {}
        for i in np.flatnonzero(shares[:, c] == 0).tolist():
            for j in np.flatnonzero(near[i] & (shares[:, c] > VISIBLE)).tolist():
                if _looks_the_same(looks[i], looks[j], c):
                    lines[looks[i].name] = looks[j].name
        if lines:
            message = f"{len(lines)} photos have no {classes.names[c]} where a near copy has one and looks the same"
            details = tuple(f"{printable(lacks)} has none, {printable(has)} has" for lacks, has in lines.items())
            findings.append(
                Finding("unlike masks", message, tuple(name for pair in lines.items() for name in pair), details)
            )
    return findings


def _looks_the_same(lacks: Look, has: Look, c: int) -> bool:
    """Whether two photos look the same where the mask of `has` is class `c` and the mask of `lacks` is not VOID."""
    if lacks.ids.shape != has.ids.shape:
        return False
    place = (has.ids == c) & (lacks.ids != VOID)
    difference = np.abs(lacks.image[place].astype(int) - has.image[place])
    return bool(place.any()) and difference.mean() <= UNCHANGED
