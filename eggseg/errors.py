"""The one exception that is the user's to mend, and text of others as it may be shown."""

from __future__ import annotations

import unicodedata
from pathlib import Path

UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of what steers a terminal or a line: control characters, marks of direction, surrogates, ends
of lines."""


class InputError(Exception):
    """What was given cannot be used. The message names it, what was found and what was expected."""


def missing_extra(what: str, extra: str) -> InputError:
    """The error for a package that pip installs with an extra only: `what`, such as "serving", takes `extra`."""
    return InputError(f"{what} takes an extra: pip install '.[{extra}]' in the folder of eggseg's source")


def printable(name: str | Path) -> str:
    """The name of a file as it fits into a line, whatever is in it: `\\x1b` for an escape character, and so on."""
    return harmless(str(name)).replace("\n", "\\n")


def harmless(text: str) -> str:
    """Text that cannot steer a terminal: characters of `UNSEEN`, ends of lines apart, written as escapes."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(_escaped(c) if c != "\n" and unicodedata.category(c) in UNSEEN else c for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()
