"""The exception for errors that the user can fix, and escaping of untrusted text for the terminal."""

from __future__ import annotations

import unicodedata
from pathlib import Path

UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories that can steer a terminal or break a line: control and format characters (direction marks among
them), surrogates, line and paragraph separators."""


class InputError(Exception):
    """An input cannot be used. The message names the input, what was found and what was expected."""


def missing_extra(what: str, extra: str) -> InputError:
    """The error for a missing package that pip installs only with `extra`; `what` names the feature that needs it."""
    return InputError(f"{what} takes an extra: pip install '.[{extra}]' in the folder of eggseg's source")


def printable(name: str | Path) -> str:
    """A file name on one line: line ends and the characters of `UNSEEN` are escaped, such as the bell as `\\x07`."""
    return harmless(str(name)).replace("\n", "\\n")


def harmless(text: str) -> str:
    """Escape the characters of `UNSEEN`, except line ends, so that `text` cannot steer a terminal."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(_escaped(c) if c != "\n" and unicodedata.category(c) in UNSEEN else c for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()
