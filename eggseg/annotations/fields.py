"""Check values of untrusted annotation files before they are used.

Each check raises `ValueError` for an invalid value. `naming` puts the file's name in front of the message.
"""

from __future__ import annotations

import contextlib
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from eggseg.errors import InputError, printable

Kind = TypeVar("Kind")

KINDS: dict[type, str] = {str: "a text", list: "a list", dict: "an object"}
"""Names of JSON's types in messages."""

FAR = 1e12
"""Largest accepted absolute value of a number. A coordinate of this size is exact to about 0.0001 pixels."""


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn a `ValueError` into an `InputError` that names the file."""
    try:
        yield
    except ValueError as error:
        raise InputError(f"{printable(path)}: {error}") from None


def shown(value: Any) -> str:
    """A value, shortened to fit into a message."""
    return printable(reprlib.repr(value))


def field(row: Any, name: str, kind: type[Kind]) -> Kind:
    """The value of the key `name` in a JSON object, `row`; the value must have the type `kind`."""
    return of_kind(entry(row, name), name, kind)


def entry(row: Any, name: str) -> Any:
    """The value of the key `name` in a JSON object, `row`."""
    if not isinstance(row, dict):
        raise ValueError(f"found {shown(row)}, expected an object with {name}")
    if name not in row:
        raise ValueError(f"{shown(row)} has no {name}")
    return row[name]


def of_kind(value: Any, name: str, kind: type[Kind]) -> Kind:
    if not isinstance(value, kind):
        raise ValueError(f"{name} is {shown(value)}, expected {KINDS[kind]}")
    return value


def number(value: Any, name: str) -> float:
    """Convert a number, or a text such as an XML attribute, to a float of at most `FAR` in absolute value."""
    try:
        # Python takes True and False for numbers; JSON does not.
        result = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        result = float("nan")
    if not abs(result) <= FAR:
        raise ValueError(f"{name} is {shown(value)}, expected a number, {FAR:g} at most")
    return result


def whole(value: Any, name: str) -> int:
    """A whole number, which some programs write as 7.0."""
    result = number(value, name)
    if not result.is_integer():
        raise ValueError(f"{name} is {shown(value)}, expected a whole number")
    return int(result)


def identity(value: Any, name: str) -> str:
    """The id of a row as text: 7 and "7" are the same."""
    if isinstance(value, str):
        return value.strip()
    return str(value if type(value) is int else whole(value, name))


def size(height: Any, width: Any, max_pixels: int) -> tuple[int, int]:
    """(height, width) of a photo of 1 to `max_pixels` pixels."""
    rows, columns = whole(height, "height"), whole(width, "width")
    if min(rows, columns) < 1 or rows * columns > max_pixels:
        raise ValueError(f"a photo of {columns}x{rows}, expected 1 to {max_pixels} pixels (--max_pixels)")
    return rows, columns


def outline(values: list[Any], name: str) -> np.ndarray:
    """Convert coordinates x, y, x, y, ... to points x + iy, (n,) complex."""
    if len(values) % 2:
        raise ValueError(f"{name} has {len(values)} coordinates, expected an even number: x, y, x, y, ...")
    coordinates = np.array([number(value, name) for value in values])
    return coordinates[::2] + 1j * coordinates[1::2]


def points(values: list[Any], name: str) -> np.ndarray:
    """Convert points [[x, y], ...] to points x + iy, (n,) complex."""
    for value in values:
        if not isinstance(value, list) or len(value) != 2:
            raise ValueError(f"{name} has {shown(value)}, expected [x, y]")
    return outline([part for value in values for part in value], name)
