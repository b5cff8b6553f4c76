"""The values that a set of masks holds, and the class table that fits them."""

from __future__ import annotations

import collections
from collections.abc import Collection, Mapping
from typing import Any

from eggseg.data.classes import TOLERANCE, VOID, ClassTable, Color
from eggseg.data.masks import Labels

FEW = 16
"""Maximum number of values of a mask without antialiased edges: each value is intended, that is, stands for a class.

The values of a mask with more values, or of a lossy mask, are noisy: a value may be a distorted intended value.
"""

LEAST = 0.02
"""Smallest share at which a noisy value counts as intended, of all pixels without the most common value."""

MOST_NOISE = 256
"""Maximum number of noisy values that are examined, the most common first."""

Value = int | Color


def held(labels: Collection[Labels]) -> dict[str, int]:
    """Count the pixels of each intended value in the masks, by the value's name in `Labels`, the most common first.

    A noisy value within `TOLERANCE` of intended values is counted as the nearest of them. Another noisy value counts as
    intended if its share is at least `LEAST`, or if no value is intended yet; else it is left out.
    """
    intended, noisy = collections.Counter[str](), collections.Counter[str]()
    for mask in labels:
        (noisy if mask.lossy or len(mask.values) > FEW else intended).update(mask.values)
    total = (intended + noisy).most_common()
    rest = sum(count for _, count in total[1:])
    for name, count in noisy.most_common(MOST_NOISE):
        distance, near = min(((_apart(_value(name), _value(other)), other) for other in intended), default=(256, ""))
        if distance <= TOLERANCE:
            intended[near] += count
        elif not intended or count >= LEAST * rest:
            intended[name] = count
    return dict(intended.most_common())


def share_a_class(values: Mapping[str, int], classes: ClassTable) -> int:
    """Count the pixels whose value is within reach of the same class as a more common value."""
    shared = 0
    for value in classes.values:
        counts = [count for name, count in values.items() if _apart(_value(name), value) <= classes.reach]
        shared += sum(counts) - max(counts, default=0)
    return shared


def table(values: Mapping[str, int], classes: ClassTable) -> list[dict[str, Any]]:
    """The rows of a class table in JSON with a class for each value, the background first; empty if no table fits.

    The keys of `values` are ordered, the most common value first. The value nearest to a class, if within reach, gets
    the name of this class. If no class except the background gives its name, and as many names as values are left,
    these values get these names in ascending order. Any other value is called class_1, class_2 and so on, by its row.
    The background is the value with the background's name, else the most common value without a name.
    """
    value_of_name = {name: value for name in values if (value := _value(name)) is not None}
    if not 2 <= len(set(value_of_name.values())) < VOID:
        return []
    first = classes.names[0]
    names = {value_of_name[name]: classes.names[c] for name, c in _own(value_of_name, classes).items()}
    others = sorted({*value_of_name.values()} - {*names}, key=_parts)
    left = [name for name in classes.names if name not in names.values()]
    if len(others) == len(left) and not {*names.values()} - {first}:
        names |= dict(zip(others, left, strict=True))
    named = (value for value, name in names.items() if name == first)
    background = next(named, next((value for value in value_of_name.values() if value not in names), None))
    if background is None:
        return []
    order = [background, *sorted({*value_of_name.values()} - {background}, key=_parts)]
    in_grey = all(len({*_parts(value)}) == 1 for value in order)
    return [
        {"name": names.get(value, f"class_{i}" if i else first)}
        | {"value": _parts(value)[0] if in_grey else list(_parts(value))}
        for i, value in enumerate(order)
    ]


def _own(values: Collection[str], classes: ClassTable) -> dict[str, int]:
    """Map the name of the value nearest to each class, if within reach, to the id of this class."""
    own = {}
    for c, value in enumerate(classes.values):
        distance, nearest = min((_apart(_value(name), value), name) for name in values)
        if distance <= classes.reach:
            own[nearest] = c
    return own


def _value(name: str) -> Value | None:
    """The value with this name in `Labels`; None for a 16-bit value that no class table can hold."""
    if name.startswith("#"):
        red, green, blue = bytes.fromhex(name[1:])
        return red, green, blue
    number = int(name.split()[0])
    return number if number < 256 else None


def _parts(value: Value) -> Color:
    return (value, value, value) if isinstance(value, int) else value


def _apart(first: Value | None, second: Value | None) -> int:
    """The largest channel difference in grey levels; 256 if a value is None."""
    if first is None or second is None:
        return 256
    return max(abs(a - b) for a, b in zip(_parts(first), _parts(second), strict=True))
