"""The one exception that is the user's to mend."""

from __future__ import annotations


class InputError(Exception):
    """What was given cannot be used. The message names it, what was found and what was expected."""
