"""The one exception that is the user's to mend."""

from __future__ import annotations

from pathlib import Path


class InputError(Exception):
    """What was given cannot be used. The message names it, what was found and what was expected."""


def missing_extra(what: str, extra: str) -> InputError:
    """The error for a package that pip installs with an extra only: `what`, such as "serving", takes `extra`."""
    return InputError(f"{what} takes an extra: pip install '.[{extra}]' in the folder of eggseg's source")


def printable(name: str | Path) -> str:
    """The name of a file as it fits into a line, whatever is in it."""
    text = str(name)
    return text if text.isprintable() else repr(text)[1:-1]
