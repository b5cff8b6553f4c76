"""A bound on what is under way at once, by its size."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class Room:
    """Lets work of several threads begin while the sizes of all that is under way stay within `most`.

    What is larger than that goes alone. Who waits is not overtaken.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._free = most
        self._turn = threading.Lock()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Wait until there is room for work of that size, and hold it for the block."""
        size = min(size, self.most)
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()
