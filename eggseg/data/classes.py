"""The class table: mask values to class ids and back.

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
"""Class id of an unknown pixel: losses and metrics ignore it."""

TOLERANCE = 32
"""Largest accepted difference between a mask pixel and the value of its class, in grey levels; see `ClassTable.reach`.

In the lossy masks of the real photos it is at most 16.
"""

Color = tuple[int, int, int]

# Okabe and Ito's colours, which colour-blind people can tell apart. Black is for the background.
PALETTE: tuple[Color, ...] = (
    *((0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115)),
    *((240, 228, 66), (213, 94, 0), (204, 121, 167), (0, 114, 178)),
)


@dataclasses.dataclass(frozen=True)
class Class:
    """One class: its name, its value in mask files (grey or colour), and its display colour."""

    name: str
    value: int | Color
    color: Color


@dataclasses.dataclass(frozen=True)
class ClassTable:
    """The classes in order of their ids; the first is the background.

    The code of a mask pixel is its grey value or, if `is_colored`, its colour as the integer 0xRRGGBB. `ValueError` if
    the classes are fewer than 2, more than 254 or not distinct, or have invalid names, values or colours.
    """

    classes: tuple[Class, ...]
    tolerance: int = TOLERANCE

    def __post_init__(self) -> None:
        values = self.values
        if not 2 <= len(values) < VOID:
            raise ValueError(f"a class table has 2 to {VOID - 1} classes, this one has {len(values)}")
        if len(set(self.names)) < len(values):
            raise ValueError(f"class names must differ: {', '.join(self.names)}")
        if any(name != printable(name) for name in self.names):
            raise ValueError(
                f"class names must not contain control characters: {', '.join(map(printable, self.names))}"
            )
        if len({isinstance(value, int) for value in values}) > 1:
            raise ValueError(f"mask values must be all grey values or all colours: {values}")
        if not all(0 <= part <= 255 for value in (*values, *(c.color for c in self.classes)) for part in _parts(value)):
            raise ValueError(f"numbers in mask values and colours must be 0 to 255: {self.classes}")
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
        """Whether masks encode classes as colours, not as grey values."""
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
        """Largest accepted distance of a pixel's value from the value of its class, in grey levels.

        It is `tolerance`, but always below half the distance between the two closest classes. The distance of two
        colours is the largest difference of their channels.
        """
        values = self.value_of_id.astype(int)
        distances = np.abs(values[:, None] - values).max(-1)
        return min(self.tolerance, (int(distances[distances > 0].min()) - 1) // 2)

    @functools.cached_property
    def _nearest(self) -> tuple[np.ndarray, np.ndarray]:
        """The nearest class id of each code, and the largest channel difference to it, both uint8."""
        # (classes, channels, 256)
        differences = np.abs(np.arange(256) - self.value_of_id[..., None].astype(int)).astype(np.uint8)
        shape = (256,) * differences.shape[1]
        ids, smallest = np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)
        for i, channels in enumerate(differences):
            distance = functools.reduce(np.maximum, np.ix_(*channels))
            ids[distance < smallest] = i
            smallest = np.minimum(smallest, distance)
        return ids.ravel(), smallest.ravel()

    @functools.cached_property
    def id_of_code(self) -> np.ndarray:
        """Class id of each code, (256,) or (2**24,) uint8: the nearest class, or VOID beyond `reach`."""
        ids, distance = self._nearest
        return np.where(distance <= self.reach, ids, np.uint8(VOID))

    @property
    def distance_of_code(self) -> np.ndarray:
        """Largest channel difference of each code to the nearest class, (256,) or (2**24,) uint8, grey levels."""
        return self._nearest[1]

    @functools.cached_property
    def void_value(self) -> Color | tuple[int]:
        """The mask value of unknown pixels, a grey value or a colour; `snap` converts it to VOID.

        `InputError` if each value is within `reach` of a class.
        """
        code = int(self.distance_of_code.argmax())
        if self.distance_of_code[code] <= self.reach:
            raise InputError(
                f"no mask value is left for unknown pixels: each is within {self.reach} of one of the {len(self)} "
                "classes; expected fewer classes, or colours as values"
            )
        return (code >> 16, code >> 8 & 255, code & 255) if self.is_colored else (code,)

    def snap(self, codes: np.ndarray) -> np.ndarray:
        """Convert codes, integers of any shape, to class ids, uint8; VOID where no class is within `reach`.

        Codes are 0 to 255, or 0 to 2**24 - 1 if `is_colored`; a larger one raises `IndexError`.
        """
        return self.id_of_code[codes]

    def paint(self, ids: np.ndarray) -> np.ndarray:
        """Convert class ids, (h, w) uint8, to a mask, (h, w) or (h, w, 3) uint8. VOID raises `IndexError`."""
        painted = self.value_of_id[ids]
        return painted if self.is_colored else painted[..., 0]

    def paint_with_void(self, ids: np.ndarray) -> np.ndarray:
        """Like `paint`, but VOID pixels get `void_value`; `InputError` if there is none."""
        unknown = ids == VOID
        painted = self.value_of_id[np.where(unknown, 0, ids)]
        painted[unknown] = self.void_value
        return painted if self.is_colored else painted[..., 0]

    def to_json(self) -> list[dict[str, Any]]:
        return [
            {"name": c.name, "value": c.value if isinstance(c.value, int) else list(c.value), "color": list(c.color)}
            for c in self.classes
        ]

    @classmethod
    def from_json(cls, rows: Any) -> ClassTable:
        """A table from JSON: a list of {"name": ..., "value": ..., "color": ...}; "color" is optional.

        "value" is a grey value, or [red, green, blue]. The default of "color" is the value if that is a colour, else
        a colour of `PALETTE`. `InputError` if the JSON is no class table.
        """
        try:
            if not isinstance(rows, list):
                raise ValueError(f"{rows!r} is no list")
            return cls(tuple(_class(row, i) for i, row in enumerate(rows)))
        except ValueError as error:
            raise InputError(f"not a class table: {error}; expected {EXAMPLE}") from None

    @classmethod
    def read(cls, path: Path) -> ClassTable:
        """A table from a JSON file; `InputError` if the file cannot be read or holds no class table."""
        rows = read_json(path)
        try:
            return cls.from_json(rows)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None


EXAMPLE = '[{"name": "background", "value": 0}, {"name": "egg", "value": 128}, ...]'


def code_of_color(colors: np.ndarray) -> np.ndarray:
    """Convert colours, (..., 3) uint8, to codes 0xRRGGBB, (...) uint32."""
    red, green, blue = np.moveaxis(colors.astype(np.uint32), -1, 0)
    return red << 16 | green << 8 | blue


def _parts(value: int | Color) -> Color | tuple[int]:
    return (value,) if isinstance(value, int) else value


def _class(row: Any, index: int) -> Class:
    if not isinstance(row, dict):
        raise ValueError(f"row {index} is {row!r}, expected an object with name and value")
    missing = {"name", "value"} - set(row)
    if missing:
        raise ValueError(f"row {index} has no {' and no '.join(sorted(missing))}")
    value = row["value"]
    if type(value) is not int:
        value = _color(value, f"{value!r} is neither a grey value nor [red, green, blue]")
    default = PALETTE[index % len(PALETTE)] if isinstance(value, int) else value
    color = row.get("color")
    display = default if color is None else _color(color, f"color is {color!r}, expected [red, green, blue]")
    return Class(str(row["name"]), value, display)


def _color(parts: Any, fault: str) -> Color:
    """Three integers as a colour; `ValueError(fault)` if they are none."""
    if not isinstance(parts, list) or len(parts) != 3 or not all(type(part) is int for part in parts):
        raise ValueError(fault)
    return parts[0], parts[1], parts[2]


EGGS_AND_PANS = ClassTable(
    (Class("background", 0, PALETTE[0]), Class("egg", 128, PALETTE[1]), Class("pan", 255, PALETTE[2]))
)
