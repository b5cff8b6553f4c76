"""Findings about a data set, in the same words for `audit`, `convert`, `train` and `evaluate`.

Files without a pair, and files that cannot be used, stop training and evaluation: without these files, the data is not
the data set that the user named. Some findings about mask values stop training but not evaluation. Training refuses
masks if

- a class is in no mask: the network would never learn this class;
- more than half of the pixels of at least one mask match no class.

Evaluation ignores pixels that match no class, and has no metric for a class that is in no mask. The other metrics stay
correct. So evaluation accepts a data set without any pan, or with regions left unknown on purpose. Evaluation refuses
masks that seem to use another class table than the model, by one of these signs:

- a class is in no mask, and more than `MUCH` of the pixels outside the background have a value that shares its class
  with a more common value. For example, masks hold 0, 1 and 2, but the values of the classes are 0, 128 and 255: then
  1 and 2 share the background with 0. The most common value counts as the background here;
- no class except the background is found in the masks, and there are pixels that match no class;
- in more than half of the masks, more than half of the pixels match no class.
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
"""Maximum number of files named in a line; `audit.json` names all."""

MOST_DETAILS = 20
"""Maximum number of detail lines below a finding."""

MOST_STRAYS = 20
"""Maximum number of values without a class that get a finding each; a coloured JPEG has thousands of such values."""

SHOWN_VALUES = 8
"""Maximum number of mask values named in a line."""

MUCH = 0.1
"""Largest accepted share of pixels that `fitting.share_a_class` counts, of all pixels without the most common value.

A larger share means that the masks use another class table.
"""

CLASS_TABLE = "class table"
"""Kind of the finding that lists the mask values and, if possible, proposes a class table for them."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something about a data set that the user should know."""

    kind: str
    """The kind of finding, in a word or two."""
    message: str
    """One sentence, without the names in `files`."""
    files: tuple[str, ...] = ()
    """Names of the photos concerned."""
    details: tuple[str, ...] = ()
    """Lines below the message: for example, one for each file, or a class table."""
    spoils: bool = False
    """Whether a model trained on this data would learn something wrong or nothing, or miss data that the user named."""
    misleads: bool = False
    """Whether metrics on this data would be wrong, or would describe other data than the user named."""

    def __str__(self) -> str:
        if self.details:
            return "\n  ".join([f"{self.kind}: {self.message}", *_some(self.details, MOST_DETAILS)])
        where = f" (in {', '.join(_some([*map(printable, self.files)], SHOWN))})" if self.files else ""
        return f"{self.kind}: {self.message}{where}"


def of_pairs(missing: Sequence[str]) -> list[Finding]:
    """Photos without a mask and masks without a photo; `missing` is the second result of `pairs.match`."""
    return _of_lines("pairs", missing, "files without a pair")


def of_faults(faults: Sequence[str]) -> list[Finding]:
    """Files that cannot be read, and masks of another size than their photos; `faults` has a line for each."""
    return _of_lines("files", faults, "files cannot be used")


def of_labels(labels: Mapping[str, Labels], classes: ClassTable) -> list[Finding]:
    """Findings about the values of masks; `labels` has the names of the photos as keys."""
    findings: list[Finding] = []
    if not labels:
        return findings
    pixels = [sum(mask.class_pixels[i] for mask in labels.values()) for i in range(len(classes))]
    missing = [i for i, count in enumerate(pixels) if not count]
    unknown = {
        name: sum(mask.strays.values()) / sum((*mask.strays.values(), *mask.class_pixels))
        for name, mask in labels.items()
    }
    mostly = tuple(name for name, share in unknown.items() if share > 0.5)
    if missing or mostly:
        values = fitting.held(labels.values())
        other = bool(missing) and _use_another_table(values, pixels, any(unknown.values()), classes)
        most = len(mostly) > len(labels) / 2
        for i in missing:
            message = f"no mask has the class {classes.names[i]} (value {classes.values[i]})"
            findings.append(Finding("masks", message, spoils=True, misleads=other))
        if mostly:
            message = f"most pixels match no class in {len(mostly)} of {len(labels)} masks"
            findings.append(Finding("masks", message, mostly, spoils=True, misleads=most))
        findings.append(_of_values(values, classes, misleads=other or most))
    files: dict[str, list[str]] = collections.defaultdict(list)
    for name, mask in labels.items():
        for value in mask.strays:
            files[value].append(name)
    for value, names in sorted(files.items())[:MOST_STRAYS]:
        message = f"value {value} matches no class; loss and metrics ignore it"
        findings.append(Finding("masks", message, tuple(names)))
    if len(files) > MOST_STRAYS:
        findings.append(Finding("masks", f"{len(files) - MOST_STRAYS} other values match no class either"))
    if rounded := sum(mask.rounded for mask in labels.values()):
        distance = max(mask.distance for mask in labels.values())
        findings.append(
            Finding("masks", f"{rounded} pixels rounded to the nearest class, by at most {distance} grey levels")
        )
    return findings


def settle(findings: Sequence[Finding], grave: Collection[Finding], audit: Audit) -> None:
    """Print `findings`; but if `audit` is "refuse" and there are `grave` findings, raise these as an `InputError`."""
    if grave and audit == "refuse":
        message = "\n".join(map(str, grave))
        # After several lines, the hint gets its own line, so that the user can copy a class table from the line above.
        apart = "\n" if "\n" in message else " "
        raise InputError(f"{message}{apart}(--audit warn continues without the files that cannot be used)")
    for finding in findings:
        print(finding)


def _use_another_table(
    values: Mapping[str, int], pixels: Sequence[int], some_unknown: bool, classes: ClassTable
) -> bool:
    """Whether masks that lack a class seem to use another class table; the module's docstring lists the signs."""
    if not any(pixels[1:]) and some_unknown:
        return True
    return fitting.share_a_class(values, classes) > MUCH * (sum(values.values()) - max(values.values()))


def _of_values(values: Mapping[str, int], classes: ClassTable, *, misleads: bool) -> Finding:
    """The finding that lists the values of the masks and, if a class table fits them, this table."""
    total = sum(values.values())
    shown = _some([f"{value} ({count / total:.2%})" for value, count in values.items()], SHOWN_VALUES)
    message = f"the masks hold the values {', '.join(shown)}"
    rows = fitting.table(values, classes)
    if not rows:
        return Finding(CLASS_TABLE, message, spoils=True, misleads=misleads)
    advice = "this class table fits; correct its names, save it as FILE and pass --classes FILE:"
    return Finding(CLASS_TABLE, message, details=(advice, json.dumps(rows)), spoils=True, misleads=misleads)


def _of_lines(kind: str, lines: Sequence[str], heading: str) -> list[Finding]:
    """One finding for all lines; several lines go below a heading."""
    if len(lines) > 1:
        return [Finding(kind, f"{len(lines)} {heading}", details=tuple(lines), spoils=True, misleads=True)]
    return [Finding(kind, line, spoils=True, misleads=True) for line in lines]


def _some(lines: Sequence[str], most: int) -> list[str]:
    return [*lines[:most], *([f"and {len(lines) - most} more"] if len(lines) > most else [])]
