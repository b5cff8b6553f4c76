"""The one exception that is the user's to mend."""

from __future__ import annotations

from pathlib import Path


class InputError(Exception):
    """What was given cannot be used. The message names it, what was found and what was expected."""


def printable(name: str | Path) -> str:
    """The name of a file as it fits into a line, whatever is in it."""
    text = str(name)
    return text if text.isprintable() else repr(text)[1:-1]
