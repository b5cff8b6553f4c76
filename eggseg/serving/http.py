"""The HTTP protocol of the server: uvicorn's, with the deadlines that uvicorn lacks."""

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
    """uvicorn's h11 protocol that also closes connections that wait too long for a request's head, or are too many.

    The same deadline ends an answer that the client does not take, since the next request cannot come before.

    Why not a server that has this deadline: hypercorn and granian also close 520 connections with half a head each in
    time. But when they run out of connections, new clients wait until others time out (a second in hypercorn, with a
    traceback; five in granian). Here the oldest waiting connection is closed at once.
    """
    waiting: dict[Bounded, asyncio.TimerHandle] = {}  # the oldest first

    class Bounded(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._wait()
            if len(self.connections) > limits.connections:
                oldest = next(iter(waiting))
                oldest._wait_no_more()
                oldest.transport.abort()
                # Not left to `connection_lost`: several connections may be made before it is called.
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
