"""Fair turns for the photos of several requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

Answer = tuple[bytes, list[int]]
"""A mask, as the bytes of a PNG, and how many pixels each class has."""


class Turns:
    """Gives photos to the model, at most `parallel` at a time.

    asyncio's semaphore is first come, first served, and a request queues again for each of its photos. So a request
    with many photos lets every other request pass between two of them, and a cancelled request leaves the queue.
    """

    def __init__(self, segment: Callable[[bytes], Answer], parallel: int) -> None:
        self.segment = segment
        self.line = asyncio.Semaphore(parallel)
        # A thread finishes its photo even if the request is cancelled: the pool bounds these photos too.
        self.pool = ThreadPoolExecutor(parallel, "segment")

    async def ask(self, photos: Sequence[bytes]) -> list[Answer]:
        """The answers for a request's photos, in order; an exception of `segment` ends the request."""
        answers = []
        for photo in photos:
            async with self.line:
                answers.append(await asyncio.get_running_loop().run_in_executor(self.pool, self.segment, photo))
        return answers

    def close(self) -> None:
        """Cancel photos that have not begun."""
        self.pool.shutdown(wait=False, cancel_futures=True)
