"""What the clients of the server may take of this machine."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

from eggseg.errors import InputError
from eggseg.exported import endpoint


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What the clients of the server, all together, may take of this machine; each field is a flag."""

    queue: int = 64
    """Requests that are received, wait or are worked on at a time; more are answered with 429 before their body is
    read."""
    queue_mib: int = 512
    """MiB of the bodies of all these requests together; a request that would exceed it is answered with 429 before its
    body is read. At least 32, the most of one request."""
    queue_pixels: int = 800_000_000
    """Pixels of the photos of all these requests together, as their files state them; a request that would exceed it is
    answered with 429."""
    request_pixels: int = 200_000_000
    """Pixels of all photos of one request together; more are answered with 413."""
    max_pixels: int = 25_000_000
    """Pixels of one photo; a larger one is answered with 413 before it is decoded. A model that was trained with a
    smaller --max_pixels keeps its own."""
    parallel: int = 2
    """Photos that are worked on at a time. A request with several gives way to the others after each."""
    connections: int = 512
    """Open connections; when there are more, the one that has been without a request for the longest is closed."""
    receive_seconds: float = 30
    """Seconds that a client has to send a request's head, again to send its body, and again to take the answer."""
    stop_seconds: int = 5
    """Seconds that requests have to finish after SIGTERM or Ctrl+C; the others are answered with 503."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(Limits):
            value = getattr(self, field.name)
            if not value > 0:
                raise InputError(f"--{field.name} is {value}, expected more than 0")
        most = endpoint.MOST_BYTES >> 20
        if self.queue_mib < most:
            raise InputError(f"--queue_mib is {self.queue_mib}, expected at least {most}, the most of one request")
        if self.queue_pixels < self.request_pixels:
            least = f"--request_pixels, which is {self.request_pixels}"
            raise InputError(f"--queue_pixels is {self.queue_pixels}, expected at least {least}")


class Full(Exception):
    """A request finds no room; the message says of what there is too much."""


class Budget:
    """An amount that requests share: each takes its part or is refused, none waits."""

    def __init__(self, most: int, unit: str) -> None:
        self.most = most
        self.unit = unit
        self.held = 0

    @contextlib.contextmanager
    def taken(self, amount: int) -> Iterator[None]:
        """Hold a part for as long as the context lasts; `Full` where that is more than is left."""
        if self.held + amount > self.most:
            raise Full(f"the server is busy: it takes {self.most} {self.unit} at a time")
        self.held += amount
        try:
            yield
        finally:
            self.held -= amount
