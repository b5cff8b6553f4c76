"""The class table: what a mask value means, and back.

Everything that depends on the number, order, values or colours of the classes is derived from one `ClassTable`.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np

from eggseg.errors import InputError, printable
from eggseg.files import read_json

VOID = 255
"""Class id of a pixel nobody knows: it takes part in no loss and in no metric."""

TOLERANCE = 32
"""Largest distance between a mask value and its class, in grey levels; lossy masks were at most 16 off."""

Color = tuple[int, int, int]

# Okabe and Ito's colours: told apart by colour-blind eyes, and the first two rare in kitchens.
PALETTE: tuple[Color, ...] = (
    *((0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115)),
    *((240, 228, 66), (213, 94, 0), (204, 121, 167), (0, 114, 178)),
)


@dataclasses.dataclass(frozen=True)
class Class:
    """One class: its name, its grey value or its colour in a mask file, and the colour that it is shown in."""

    name: str
    value: int | Color
    color: Color


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
        if any(name != printable(name) for name in self.names):
            raise ValueError(f"class names have no control characters: {', '.join(map(printable, self.names))}")
        if len({isinstance(value, int) for value in values}) > 1:
            raise ValueError(f"mask values are all grey values or all colours: {values}")
        if not all(0 <= part <= 255 for value in (*values, *(c.color for c in self.classes)) for part in _parts(value)):
            raise ValueError(f"mask values and colours lie in 0..255: {values}")
        if len(set(values)) < len(values):
            raise ValueError(f"mask values must differ: {values}")

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.classes)

    @property
    def values(self) -> tuple[int | Color, ...]:
        return tuple(c.value for c in self.classes)

    @property
    def is_colored(self) -> bool:
        """Whether masks tell classes by colour, not by grey value."""
        return not isinstance(self.values[0], int)

    @property
    def colors(self) -> np.ndarray:
        """Display colours, (classes, 3) uint8."""
        return np.array([c.color for c in self.classes], np.uint8)

    @functools.cached_property
    def value_of_id(self) -> np.ndarray:
        """Mask value of each class id: (classes, 1) uint8 for grey values, (classes, 3) uint8 for colours."""
        return np.array([_parts(value) for value in self.values], np.uint8)

    @functools.cached_property
    def reach(self) -> int:
        """How far a value may lie from its class: the tolerance, or less where that would be half way to another."""
        values = self.value_of_id.astype(int)
        apart = np.abs(values[:, None] - values).max(-1)
        return min(self.tolerance, (int(apart[apart > 0].min()) - 1) // 2)

    @functools.cached_property
    def _nearest(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each code the nearest class id, and the largest difference of a channel to it, uint8 both."""
        away = np.abs(np.arange(256) - self.value_of_id[..., None].astype(int)).astype(np.uint8)
        ids, least = np.zeros((256,) * away.shape[1], np.uint8), np.full((256,) * away.shape[1], 255, np.uint8)
        for i, channels in enumerate(away):
            distance = functools.reduce(np.maximum, np.ix_(*channels))
            ids[distance < least] = i
            least = np.minimum(least, distance)
        return ids.ravel(), least.ravel()

    @functools.cached_property
    def id_of_code(self) -> np.ndarray:
        """Class id of each code, (256,) or (2**24,) uint8: the nearest class, VOID beyond the reach."""
        ids, distance = self._nearest
        return np.where(distance <= self.reach, ids, np.uint8(VOID))

    @property
    def distance_of_code(self) -> np.ndarray:
        """How far each code lies from the nearest class, (256,) or (2**24,) uint8, grey levels."""
        return self._nearest[1]

    def snap(self, codes: np.ndarray) -> np.ndarray:
        """Codes, any shape, integers, to class ids, uint8, with VOID where no class is near.

        The code of a pixel of a mask is its grey value or, where classes have colours, its 0xRRGGBB.
        """
        return self.id_of_code[codes]

    def paint(self, ids: np.ndarray) -> np.ndarray:
        """Class ids, (h, w) uint8, to a mask, (h, w) or (h, w, 3) uint8. VOID is no class: `IndexError`."""
        painted = self.value_of_id[ids]
        return painted if self.is_colored else painted[..., 0]

    def paint_with_void(self, ids: np.ndarray) -> np.ndarray:
        """As `paint`, and VOID to a value that is no class; `InputError` where the classes leave none."""
        code = int(self.distance_of_code.argmax())
        if self.distance_of_code[code] <= self.reach:
            raise InputError(f"{len(self)} classes leave no mask value for pixels that nobody knows")
        void = [code >> 16, code >> 8 & 255, code & 255] if self.is_colored else [code]
        unknown = ids == VOID
        painted = self.value_of_id[np.where(unknown, 0, ids)]
        painted[unknown] = void
        return painted if self.is_colored else painted[..., 0]

    def to_json(self) -> list[dict[str, Any]]:
        return [
            {"name": c.name, "value": c.value if isinstance(c.value, int) else list(c.value), "color": list(c.color)}
            for c in self.classes
        ]

    @classmethod
    def from_json(cls, rows: Any) -> ClassTable:
        """A table from JSON: a list of {"name": ..., "value": ...}, each with a "color" or without.

        The value is a grey value, or [red, green, blue]. Without a display colour it is the value's, or one of
        `PALETTE`. `InputError` where that does not hold.
        """
        try:
            return cls(tuple(_class(row, i) for i, row in enumerate(rows)))
        except (KeyError, TypeError, ValueError) as error:
            what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise InputError(f"no class table: {what}; expected {EXAMPLE}") from None

    @classmethod
    def read(cls, path: Path) -> ClassTable:
        """A table from a JSON file; `InputError` where it holds none."""
        try:
            return cls.from_json(read_json(path))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None


EXAMPLE = '[{"name": "background", "value": 0}, {"name": "egg", "value": 128}, ...]'


def code_of_color(colors: np.ndarray) -> np.ndarray:
    """Colours, (..., 3) uint8, as codes 0xRRGGBB, (...) uint32."""
    red, green, blue = np.moveaxis(colors.astype(np.uint32), -1, 0)
    return red << 16 | green << 8 | blue


def _parts(value: int | Color) -> Color | tuple[int]:
    return (value,) if isinstance(value, int) else value


def _class(row: Any, index: int) -> Class:
    value = row["value"] if isinstance(row["value"], int) else _color(row["value"])
    shown = row.get("color") or (PALETTE[index % len(PALETTE)] if isinstance(value, int) else value)
    return Class(str(row["name"]), value, _color(shown))


def _color(parts: Any) -> Color:
    if not isinstance(parts, list | tuple) or len(parts) != 3 or not all(type(part) is int for part in parts):
        raise ValueError(f"{parts!r} is neither a grey value nor [red, green, blue]")
    return parts[0], parts[1], parts[2]


EGGS_AND_PANS = ClassTable(
    (Class("background", 0, PALETTE[0]), Class("egg", 128, PALETTE[1]), Class("pan", 255, PALETTE[2]))
)
