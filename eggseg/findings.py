"""What is wrong with a data set, told in the same words by `audit` and by `train`."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence

from eggseg.classes import ClassTable
from eggseg.errors import printable
from eggseg.masks import Labels

SHOWN = 5
"""Files that a line names; the audit's own files name all."""

MOST_DETAILS = 20
"""Lines of details below a finding."""

MOST_STRAYS = 20
"""Stray values that are told one by one; a coloured JPEG has thousands."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something about a data set that a person should know."""

    kind: str
    """What it is, in a word or two."""
    message: str
    """The finding, in a sentence without its files."""
    files: tuple[str, ...] = ()
    """The names of the photos that it is about, or of files without a pair."""
    details: tuple[str, ...] = ()
    """What there is to say of each file, where that differs."""
    spoils: bool = False
    """Whether a model trained on this would learn something wrong, or nothing."""

    def __str__(self) -> str:
        if self.details:
            return "\n  ".join([f"{self.kind}: {self.message}", *_some(self.details, MOST_DETAILS)])
        where = f" (in {', '.join(_some([*map(printable, self.files)], SHOWN))})" if self.files else ""
        return f"{self.kind}: {self.message}{where}"


def of_pairs(missing: Sequence[str]) -> list[Finding]:
    """Photos without a mask and masks without a photo, as `pairs.match` tells them."""
    return _of_lines("pairs", missing, "files without their other half")


def of_faults(faults: Sequence[str]) -> list[Finding]:
    """Files that cannot be read, and masks that do not fit their photos."""
    return _of_lines("files", faults, "that cannot be used")


def of_labels(labels: Mapping[str, Labels], classes: ClassTable) -> list[Finding]:
    """What the values of masks, by the names of their photos, came to."""
    found: list[Finding] = []
    if not labels:
        return found
    for i, name in enumerate(classes.names):
        if not any(of.class_pixels[i] for of in labels.values()):
            found.append(Finding("masks", f"none has any {name} (value {classes.values[i]})", spoils=True))
    unknown = {
        name: sum(of.strays.values()) / sum((*of.strays.values(), *of.class_pixels)) for name, of in labels.items()
    }
    mostly = tuple(name for name, share in unknown.items() if share > 0.5)
    if mostly:
        found.append(
            Finding(
                "masks", f"{len(mostly)} have values that are no class on most of their pixels", mostly, spoils=True
            )
        )
    files: dict[str, list[str]] = collections.defaultdict(list)
    for name, of in labels.items():
        for value in of.strays:
            files[value].append(name)
    for value, names in sorted(files.items())[:MOST_STRAYS]:
        found.append(Finding("masks", f"value {value} is no class and is left out of loss and metrics", tuple(names)))
    if len(files) > MOST_STRAYS:
        found.append(Finding("masks", f"so are {len(files) - MOST_STRAYS} other values"))
    if rounded := sum(of.rounded for of in labels.values()):
        distance = max(of.distance for of in labels.values())
        found.append(
            Finding("masks", f"{rounded} pixels rounded to the nearest class, by at most {distance} grey levels")
        )
    return found


def _of_lines(kind: str, lines: Sequence[str], what: str) -> list[Finding]:
    """A finding that says each line, on its own or below a heading."""
    if len(lines) > 1:
        return [Finding(kind, f"{len(lines)} {what}", details=tuple(lines), spoils=True)]
    return [Finding(kind, line, spoils=True) for line in lines]


def _some(lines: Sequence[str], most: int) -> list[str]:
    return [*lines[:most], *([f"and {len(lines) - most} more"] if len(lines) > most else [])]
