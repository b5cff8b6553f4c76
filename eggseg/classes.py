"""The class table: what a mask value means, and back.

Everything that depends on the number, order, values or colours of the classes is derived from one `ClassTable`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

VOID = 255
"""Class id of a pixel nobody knows: it takes part in no loss and in no metric."""

TOLERANCE = 32
"""Largest distance between a mask value and its class, in grey levels; lossy masks were at most 16 off."""


@dataclasses.dataclass(frozen=True)
class Class:
    """One class: its name, its grey value in a mask file, and the colour it is shown in."""

    name: str
    value: int
    color: tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class ClassTable:
    """The classes in the order of their ids; the first is the background."""

    classes: tuple[Class, ...]
    tolerance: int = TOLERANCE

    def __post_init__(self) -> None:
        values = self.values
        if not 2 <= len(values) < VOID:
            raise ValueError(f"a class table has 2 to {VOID - 1} classes, this one has {len(values)}")
        if len(set(self.names)) < len(values):
            raise ValueError(f"class names must differ: {', '.join(self.names)}")
        if not all(0 <= value <= 255 for value in values):
            raise ValueError(f"mask values lie in 0..255: {values}")
        gaps = np.diff(sorted(values))
        if gaps.min() == 0:
            raise ValueError(f"mask values must differ: {values}")

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.classes)

    @property
    def values(self) -> tuple[int, ...]:
        return tuple(c.value for c in self.classes)

    @property
    def colors(self) -> np.ndarray:
        """Display colours, (classes, 3) uint8."""
        return np.array([c.color for c in self.classes], np.uint8)

    @functools.cached_property
    def id_of_value(self) -> np.ndarray:
        """Class id of each grey value, (256,) uint8: the nearest class, VOID beyond the tolerance."""
        distance = np.abs(np.arange(256)[:, None] - np.array(self.values))  # (256, classes)
        return np.where(distance.min(1) <= self.tolerance, distance.argmin(1), VOID).astype(np.uint8)

    @functools.cached_property
    def value_of_id(self) -> np.ndarray:
        """Grey value of each class id, (classes,) uint8."""
        return np.array(self.values, np.uint8)

    def snap(self, values: np.ndarray) -> np.ndarray:
        """Grey values, any shape, uint8, to class ids, uint8, with VOID where no class is near."""
        return self.id_of_value[values]

    def paint(self, ids: np.ndarray) -> np.ndarray:
        """Class ids, any shape, to the grey values of a mask file, uint8. VOID is no class: `IndexError`."""
        return self.value_of_id[ids]

    def to_json(self) -> list[dict[str, Any]]:
        return [dataclasses.asdict(c) | {"color": list(c.color)} for c in self.classes]

    @classmethod
    def from_json(cls, rows: Sequence[dict[str, Any]]) -> ClassTable:
        return cls(tuple(Class(row["name"], row["value"], tuple(row["color"])) for row in rows))


# Okabe and Ito's orange and sky blue: told apart by colour-blind eyes, and rare in kitchens.
EGGS_AND_PANS = ClassTable(
    (
        Class("background", 0, (0, 0, 0)),
        Class("egg", 128, (230, 159, 0)),
        Class("pan", 255, (86, 180, 233)),
    )
)
