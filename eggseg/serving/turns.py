"""Process the photos of several requests in fair turns: no request has to wait for all photos of another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

Answer = tuple[bytes, list[int]]
"""A mask as the bytes of a PNG, and its number of pixels of each class."""


class Turns:
    """Gives photos to the model, at most `parallel` at a time.

    asyncio's semaphore serves requests in the order in which they queue, and a request queues again for each of its
    photos. So between two photos of one request, each waiting request has its turn. A cancelled request leaves the
    queue.
    """

    def __init__(self, segment: Callable[[bytes], Answer], parallel: int) -> None:
        self.segment = segment
        self.line = asyncio.Semaphore(parallel)
        # A cancelled request releases the semaphore, but its thread finishes the photo. The pool limits these threads.
        self.pool = ThreadPoolExecutor(parallel, "segment")

    async def ask(self, photos: Sequence[bytes]) -> list[Answer]:
        """Segment a request's photos one after another; an exception of `segment` is raised and ends the request."""
        answers = []
        for photo in photos:
            async with self.line:
                answers.append(await asyncio.get_running_loop().run_in_executor(self.pool, self.segment, photo))
        return answers

    def close(self) -> None:
        """Cancel the photos in the queue of the pool; photos that have begun are finished."""
        self.pool.shutdown(wait=False, cancel_futures=True)
