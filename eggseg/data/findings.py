"""What is wrong with a data set, told in the same words by `audit`, `train` and `evaluate`.

What spoils training need not spoil measuring. Files that cannot be used spoil both, since what is then trained on or
measured is not the data set that was given. Of masks, training refuses

- a class that none has: the network would never learn it;
- values that are no class on most pixels of any mask.

Measuring leaves unknown pixels out, and a class that is not there has no figure: neither makes another figure wrong. A
set of photos without any pan is measured, and so is one with regions that nobody wanted to name. It refuses masks that
speak another class table than the model:

- a class is missing, and much of what is not background has values that are only near a class, which another value is
  (1 and 2 beside 0, in masks of 0, 1 and 2 that are taken for 0, 128 and 255);
- nothing but background is known, and there are unknown values;
- most masks have values that are no class on most of their pixels.
"""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from eggseg.data import fitting
from eggseg.data.classes import ClassTable
from eggseg.data.masks import Labels
from eggseg.errors import InputError, printable

Audit = Literal["refuse", "warn"]

SHOWN = 5
"""Files that a line names; the audit's own files name all."""

MOST_DETAILS = 20
"""Lines of details below a finding."""

MOST_STRAYS = 20
"""Stray values that are told one by one; a coloured JPEG has thousands."""

SHOWN_VALUES = 8
"""Values of masks that a line names."""

MUCH = 0.1
"""Share of what is not background from which on values that are only near a class speak another class table."""

CLASS_TABLE = "class table"
"""The kind of the finding that says which class table fits."""


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
    misleads: bool = False
    """Whether figures measured on this would be wrong, or not of what was given."""

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
    pixels = [sum(of.class_pixels[i] for of in labels.values()) for i in range(len(classes))]
    missing = [i for i, count in enumerate(pixels) if not count]
    unknown = {
        name: sum(of.strays.values()) / sum((*of.strays.values(), *of.class_pixels)) for name, of in labels.items()
    }
    mostly = tuple(name for name, share in unknown.items() if share > 0.5)
    if missing or mostly:
        values = fitting.held(labels.values())
        other = bool(missing) and _speak_another_table(values, pixels, any(unknown.values()), classes)
        most = len(mostly) > len(labels) / 2
        for i in missing:
            message = f"none has any {classes.names[i]} (value {classes.values[i]})"
            found.append(Finding("masks", message, spoils=True, misleads=other))
        if mostly:
            message = f"{len(mostly)} have values that are no class on most of their pixels"
            found.append(Finding("masks", message, mostly, spoils=True, misleads=most))
        found.append(_of_values(values, classes, misleads=other or most))
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


def settle(told: Sequence[Finding], grave: Collection[Finding], audit: Audit) -> None:
    """Say what was found; `InputError` where some of it is grave and nobody said to go on."""
    if grave and audit == "refuse":
        message = "\n".join(map(str, grave))
        # On a line of its own below others, which may hold what is to be copied.
        apart = "\n" if "\n" in message else " "
        raise InputError(f"{message}{apart}(--audit warn goes on, without files that cannot be used)")
    for finding in told:
        print(finding)


def _speak_another_table(
    values: Mapping[str, int], pixels: Sequence[int], some_unknown: bool, classes: ClassTable
) -> bool:
    """Whether masks that lack a class lack it because their values mean something else."""
    if not any(pixels[1:]) and some_unknown:
        return True
    return fitting.share_a_class(values, classes) > MUCH * (sum(values.values()) - max(values.values()))


def _of_values(values: Mapping[str, int], classes: ClassTable, *, misleads: bool) -> Finding:
    """Which values masks hold, and the class table that makes classes of them."""
    total = sum(values.values())
    shown = _some([f"{value} ({count / total:.2%})" for value, count in values.items()], SHOWN_VALUES)
    message = f"the masks hold the values {', '.join(shown)}"
    rows = fitting.table(values, classes)
    if not rows:
        return Finding(CLASS_TABLE, message, spoils=True, misleads=misleads)
    how = "one that fits, to be saved as FILE and passed as --classes FILE, once its names are right:"
    return Finding(CLASS_TABLE, message, details=(how, json.dumps(rows)), spoils=True, misleads=misleads)


def _of_lines(kind: str, lines: Sequence[str], what: str) -> list[Finding]:
    """A finding that says each line, on its own or below a heading."""
    if len(lines) > 1:
        return [Finding(kind, f"{len(lines)} {what}", details=tuple(lines), spoils=True, misleads=True)]
    return [Finding(kind, line, spoils=True, misleads=True) for line in lines]


def _some(lines: Sequence[str], most: int) -> list[str]:
    return [*lines[:most], *([f"and {len(lines) - most} more"] if len(lines) > most else [])]
