"""A limit on the total size of tasks that run at the same time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class Room:
    """Makes threads wait before a task, so that the sizes of all running tasks add up to at most `most`.

    A task larger than `most` runs alone. While one thread waits for room, no other thread can take any.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._free = most
        self._turn = threading.Lock()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Wait until there is room for `size`, and take this room until the end of the `with` block."""
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
