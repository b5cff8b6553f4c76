"""Photos of several requests, some at a time, in fair turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

Answer = tuple[bytes, list[int]]
"""A mask, as the bytes of a PNG, and how many pixels each class has."""


class Turns:
    """Gives photos to the model, at most `parallel` at a time.

    asyncio's semaphore lets in who came first, and a request stands in line for each of its photos anew. So one that
    has many lets every other request pass between two of them, and one that is cancelled leaves the line.
    """

    def __init__(self, segment: Callable[[bytes], Answer], parallel: int) -> None:
        self.segment = segment
        self.line = asyncio.Semaphore(parallel)
        # A thread goes on with its photo when its request is cancelled: the pool bounds those too.
        self.pool = ThreadPoolExecutor(parallel, "segment")

    async def ask(self, photos: Sequence[bytes]) -> list[Answer]:
        """The answers for the photos of a request; what `segment` raises for one of them ends the request."""
        answers = []
        for photo in photos:
            async with self.line:
                answers.append(await asyncio.get_running_loop().run_in_executor(self.pool, self.segment, photo))
        return answers

    def close(self) -> None:
        """Begin no photo any more."""
        self.pool.shutdown(wait=False, cancel_futures=True)
