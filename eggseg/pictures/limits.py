"""Limits of the pixels of a picture; without imports, so that settings can use them at once."""

MAX_PIXELS = 80_000_000
"""Default limit of the pixels of a picture."""

MOST_PIXELS = 178_956_970
"""The largest possible limit: Pillow opens no larger picture."""
