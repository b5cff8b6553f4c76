"""The HTTP protocol of the server: uvicorn's, with a deadline for waiting connections and a limit on open ones."""

from __future__ import annotations

import asyncio

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from eggseg.serving.limits import Limits


def config(application: FastAPI, limits: Limits, host: str = "127.0.0.1", port: int = 0) -> uvicorn.Config:
    """uvicorn's configuration for the application."""
    return uvicorn.Config(
        application,
        host=host,
        port=port,
        http=protocol(limits),
        ws="none",
        log_level="error",
        timeout_graceful_shutdown=limits.stop_seconds,
    )


def protocol(limits: Limits) -> type[H11Protocol]:
    """uvicorn's h11 protocol, with a deadline for connections that wait for a request and a limit on open connections.

    A connection waits from its start, and again from the end of each answer, until the server has the whole head of the
    next request. A connection that waits for `receive_seconds` is closed. If more than `connections` are open, the one
    that has waited longest is closed at once. For the server, an answer ends when its last bytes are in the send
    buffer. So the deadline also closes a connection whose client does not receive the answer.

    hypercorn and granian have such a deadline too. In a test, 520 clients sent half of a request's head each. Both
    servers closed these connections in time. But a new client had to wait until then: 1 second in hypercorn, which
    printed a traceback, and 5 seconds in granian.
    """
    waiting: dict[Bounded, asyncio.TimerHandle] = {}  # the connection that has waited longest comes first

    class Bounded(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._wait()
            if len(self.connections) > limits.connections:
                oldest = next(iter(waiting))
                oldest._wait_no_more()
                oldest.transport.abort()
                # `connection_lost` would do this too late: more connections may be made before it is called.
                self.connections.discard(oldest)

        def connection_lost(self, exc: Exception | None) -> None:
            self._wait_no_more()
            super().connection_lost(exc)

        def handle_events(self) -> None:
            super().handle_events()
            if self.cycle is not None and not self.cycle.response_complete:
                self._wait_no_more()

        def on_response_complete(self) -> None:
            self._wait()
            super().on_response_complete()

        def _wait(self) -> None:
            self._wait_no_more()
            waiting[self] = self.loop.call_later(limits.receive_seconds, self.transport.abort)

        def _wait_no_more(self) -> None:
            if self in waiting:
                waiting.pop(self).cancel()

    return Bounded
