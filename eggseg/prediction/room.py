"""A bound on the total size of concurrent work."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class Room:
    """Lets threads start work while the sizes of all running work add up to at most `most`.

    Work that is larger runs alone. The thread that waits for room is not overtaken.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._free = most
        self._turn = threading.Lock()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Wait until there is room for `size`, and hold it for the block."""
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
