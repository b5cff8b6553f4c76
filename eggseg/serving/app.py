"""The web application: the routes `/ping` and `/invocations`; requests that exceed `Limits` get an error."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from eggseg.exported import endpoint
from eggseg.exported.endpoint import MOST_BYTES, BadRequest
from eggseg.exported.saved_model import Segmenter
from eggseg.serving.limits import Budget, Full, Limits
from eggseg.serving.masks import Masks
from eggseg.serving.turns import Turns

T = TypeVar("T")


class Service:
    """Answers requests. The event loop only receives and sends; slow work runs in threads."""

    def __init__(self, segmenter: Segmenter, limits: Limits) -> None:
        self.limits = limits
        self.names = segmenter.classes.names
        self.masks = Masks(segmenter, limits.max_pixels)
        self.turns = Turns(self.masks.segment, limits.parallel)
        self.requests = Budget(limits.queue, "requests")
        self.bytes = Budget(limits.queue_mib << 20, "bytes of requests")
        self.pixels = Budget(limits.queue_pixels, "pixels")
        # Only two threads, to save memory: parsing a JSON body briefly takes several times the memory of the body.
        # Encoding a JSON answer does the same.
        self.readers = ThreadPoolExecutor(2, "read")

    async def invocations(self, request: Request) -> Response:
        """Answer a request, with its masks or an error."""
        try:
            size = _announced(request)
            # Take from these two budgets first: a request that exceeds one of them gets 429 before its body is read.
            with self.requests.taken(1), self.bytes.taken(size):
                body = self._body(request)
                return await _unless_gone(request, self._answer(await body, request))
        except BadRequest as error:
            return JSONResponse({"error": str(error)}, error.status)
        except Full as error:
            return JSONResponse({"error": str(error)}, 429, {"Retry-After": "1"})
        except ClientDisconnect:
            return Response(status_code=400)  # the client has gone
        except asyncio.CancelledError:  # uvicorn cancels requests unfinished `stop_seconds` after SIGTERM
            return JSONResponse({"error": "the server stops"}, 503, {"Retry-After": "1"})
        except Exception as error:
            logging.getLogger(__name__).exception("a request could not be answered")
            return JSONResponse({"error": f"the model failed: {type(error).__name__}"}, 500)

    def close(self) -> None:
        """Cancel queued work; work that has begun continues."""
        self.turns.close()
        self.readers.shutdown(wait=False, cancel_futures=True)

    async def _body(self, request: Request) -> bytes:
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.limits.receive_seconds):
                async for part in request.stream():
                    parts.append(part)
                    size += len(part)
                    if size > MOST_BYTES:
                        raise endpoint.too_large(size)
        except TimeoutError:
            raise BadRequest(408, f"the body did not come within {self.limits.receive_seconds:g} seconds") from None
        return b"".join(parts)

    async def _answer(self, body: bytes, request: Request) -> Response:
        loop = asyncio.get_running_loop()
        photos, pixels = await loop.run_in_executor(
            self.readers, self._photos, body, request.headers.get("content-type")
        )
        del body  # free the memory: a JSON body is larger than the photos in it
        with self.pixels.taken(pixels):
            masks, counts = zip(*await self.turns.ask(photos), strict=True)
        accept = request.headers.get("accept")
        answer = await loop.run_in_executor(self.readers, endpoint.answer, masks, counts, accept, self.names)
        return Response(answer[0], media_type=answer[1])

    def _photos(self, body: bytes, content_type: str | None) -> tuple[list[bytes], int]:
        """The encoded photos of a request, and their total number of pixels; `BadRequest` if they cannot be used."""
        photos = endpoint.photos(body, content_type)
        pixels = sum(self.masks.pixels(photo) for photo in photos)
        if pixels > self.limits.request_pixels:
            most = self.limits.request_pixels
            raise BadRequest(413, f"the photos have {pixels} pixels, expected at most {most} (--request_pixels)")
        return photos, pixels


def app(service: Service) -> FastAPI:
    """Build the application; its shutdown closes `service`."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    served = FastAPI(lifespan=lifespan, openapi_url=None)

    @served.get("/ping")
    async def ping() -> dict[str, str]:
        return {"status": "healthy"}

    served.add_route("/invocations", service.invocations, methods=["POST"])
    return served


def _announced(request: Request) -> int:
    """Size of the body in bytes, by `Content-Length`; `MOST_BYTES` with `Transfer-Encoding`, which gives no size."""
    if "transfer-encoding" in request.headers:
        return MOST_BYTES
    size = int(request.headers.get("content-length", "0"))
    if size > MOST_BYTES:
        raise endpoint.too_large(size)
    return size


async def _unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await `work`; if the client disconnects first, cancel it and raise `ClientDisconnect`."""

    async def disconnected() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    answer, gone = asyncio.ensure_future(work), asyncio.ensure_future(disconnected())
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        return answer.result()
    finally:
        answer.cancel()
        gone.cancel()
