"""Resource limits of the server."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

from eggseg.errors import InputError
from eggseg.exported import endpoint


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Resource limits for all clients of the server together; each field is a flag."""

    queue: int = 64
    """Requests that are received, queued or processed at a time; further ones get 429 before their body is read."""
    queue_mib: int = 512
    """MiB of the bodies of all these requests together; a request that would exceed it gets 429 before its body is
    read. At least 32, the limit of one request."""
    queue_pixels: int = 800_000_000
    """Pixels of the photos of all these requests together, by their headers; a request that exceeds it gets 429."""
    request_pixels: int = 200_000_000
    """Pixels of all photos of one request together; a larger request gets 413."""
    max_pixels: int = 25_000_000
    """Pixels of one photo; a larger photo gets 413 before it is decoded. A model trained with a smaller --max_pixels
    keeps its own limit."""
    parallel: int = 2
    """Photos that are processed at a time. A request with several photos lets other requests pass after each."""
    connections: int = 512
    """Open connections; when there are more, the one that has waited longest for a request is closed."""
    receive_seconds: float = 30
    """Seconds that a client has to send a request's head, again to send its body, and again to receive the answer."""
    stop_seconds: int = 5
    """Seconds that requests have to finish after SIGTERM or Ctrl+C; the others get 503."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(Limits):
            value = getattr(self, field.name)
            if not value > 0:
                raise InputError(f"--{field.name} is {value}, expected more than 0")
        most = endpoint.MOST_BYTES >> 20
        if self.queue_mib < most:
            raise InputError(f"--queue_mib is {self.queue_mib}, expected at least {most}, the limit of one request")
        if self.queue_pixels < self.request_pixels:
            least = f"--request_pixels, which is {self.request_pixels}"
            raise InputError(f"--queue_pixels is {self.queue_pixels}, expected at least {least}")


class Full(Exception):
    """A request exceeds a budget; the message says which."""


class Budget:
    """An amount that all requests share: a request takes its part at once or is refused; no request waits."""

    def __init__(self, most: int, unit: str) -> None:
        self.most = most
        self.unit = unit
        self.held = 0

    @contextlib.contextmanager
    def taken(self, amount: int) -> Iterator[None]:
        """Hold `amount` during the `with` block; `Full` if less than `amount` is left."""
        if self.held + amount > self.most:
            raise Full(f"the server is busy: it takes {self.most} {self.unit} at a time")
        self.held += amount
        try:
            yield
        finally:
            self.held -= amount
