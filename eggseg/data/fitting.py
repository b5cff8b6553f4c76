"""The values that a set of masks holds, and the class table that fits them."""

from __future__ import annotations

import collections
from collections.abc import Collection, Mapping
from typing import Any

from eggseg.data.classes import TOLERANCE, VOID, ClassTable, Color
from eggseg.data.masks import Labels

FEW = 16
"""Values of a mask up to which each was meant; smooth edges make more."""

LEAST = 0.02
"""Share of what is not the most common value from which on a value among noise was meant."""

MOST_NOISE = 256
"""Values of masks with noise that are looked at, the most common first."""

Value = int | Color


def held(labels: Collection[Labels]) -> dict[str, int]:
    """The values that masks hold, by their names in `Labels`, and how many pixels have each, the most common first.

    In a lossy mask, or one of many values, those around a common value are counted with it, and rare ones left out.
    """
    meant, noisy = collections.Counter[str](), collections.Counter[str]()
    for of in labels:
        (noisy if of.lossy or len(of.values) > FEW else meant).update(of.values)
    total = (meant + noisy).most_common()
    rest = sum(count for _, count in total[1:])
    for name, count in noisy.most_common(MOST_NOISE):
        distance, near = min(((_apart(_value(name), _value(other)), other) for other in meant), default=(256, ""))
        if distance <= TOLERANCE:
            meant[near] += count
        elif not meant or count >= LEAST * rest:
            meant[name] = count
    return dict(meant.most_common())


def share_a_class(values: Mapping[str, int], classes: ClassTable) -> int:
    """How many pixels are taken for a class for which another of the values is more common."""
    shared = 0
    for value in classes.values:
        counts = [count for name, count in values.items() if _apart(_value(name), value) <= classes.reach]
        shared += sum(counts) - max(counts, default=0)
    return shared


def table(values: Mapping[str, int], classes: ClassTable) -> list[dict[str, Any]]:
    """The rows of a class table in which each of the values is a class, the background first; none where there is none.

    A value keeps the name of the class that it is nearest to. Where that names no more than the background, the other
    names go to as many other values in ascending order. What is left is called class_1 and so on.
    """
    found = {name: value for name in values if (value := _value(name)) is not None}
    if not 2 <= len(set(found.values())) < VOID:
        return []
    first = classes.names[0]
    names = {found[name]: classes.names[c] for name, c in _own(found, classes).items()}
    others = sorted({*found.values()} - {*names}, key=_parts)
    left = [name for name in classes.names if name not in names.values()]
    if len(others) == len(left) and not {*names.values()} - {first}:
        names |= dict(zip(others, left, strict=True))
    named = (value for value, name in names.items() if name == first)
    background = next(named, next((value for value in found.values() if value not in names), None))
    if background is None:
        return []
    order = [background, *sorted({*found.values()} - {background}, key=_parts)]
    in_grey = all(len({*_parts(value)}) == 1 for value in order)
    return [
        {"name": names.get(value, f"class_{i}" if i else first)}
        | {"value": _parts(value)[0] if in_grey else list(_parts(value))}
        for i, value in enumerate(order)
    ]


def _own(values: Collection[str], classes: ClassTable) -> dict[str, int]:
    """The values that are nearest to a class, and within its reach, with the class's id."""
    own = {}
    for c, value in enumerate(classes.values):
        distance, nearest = min((_apart(_value(name), value), name) for name in values)
        if distance <= classes.reach:
            own[nearest] = c
    return own


def _value(name: str) -> Value | None:
    """The value that `Labels` calls so; none for one of 16 bits that no class table can hold."""
    if name.startswith("#"):
        red, green, blue = bytes.fromhex(name[1:])
        return red, green, blue
    number = int(name.split()[0])
    return number if number < 256 else None


def _parts(value: Value) -> Color:
    return (value, value, value) if isinstance(value, int) else value


def _apart(one: Value | None, other: Value | None) -> int:
    """The largest difference of a channel."""
    if one is None or other is None:
        return 256
    return max(abs(a - b) for a, b in zip(_parts(one), _parts(other), strict=True))
