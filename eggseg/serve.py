"""`python -m eggseg.serve`: a trained model over HTTP, as SageMaker's endpoint serves it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from eggseg import cli, endpoint
from eggseg.endpoint import BadRequest
from eggseg.errors import InputError, missing_extra

if TYPE_CHECKING:
    from fastapi import FastAPI

    from eggseg.export import Segmenter

Answer = tuple[bytes, list[int]]
"""A mask, as the bytes of a PNG, and how many pixels each class has."""

Request = tuple[list[bytes], asyncio.Future[list[Answer]]]
"""The photos of a request, and where their answers are waited for."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Serve masks on this machine, by the contract of a SageMaker endpoint: GET /ping, and POST /invocations with a
    photo (image/jpeg, image/png, application/x-image) or JSON {"images": [base64, ...]}. The answer is the mask as PNG,
    or JSON with class shares where the request's Accept says application/json."""

    model: Path
    """A run folder of eggseg.train, or its saved_model."""
    host: str = "127.0.0.1"
    """Address to listen at; 0.0.0.0 is every one of this machine's."""
    port: int = 8080
    """Port to listen at."""
    queue: int = 64
    """Requests that wait at most; more are answered with 429."""
    batch: int = 8
    """Requests that wait together go to the model together, as long as they have fewer photos than this."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the network: auto is bfloat16 where the processor has it, else float32."""


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(cli.parse(Settings, argv, "eggseg.serve")))


def run(settings: Settings) -> int:
    """Serve until stopped."""
    if settings.queue < 1:
        raise InputError(f"--queue is {settings.queue}, expected at least 1")
    try:
        import uvicorn
    except ImportError:
        raise missing_extra("serving", "serve") from None
    from eggseg.export import load

    segmenter = load(settings.model, settings.precision)
    print(f"serving {settings.model} at http://{settings.host}:{settings.port}/invocations", flush=True)
    uvicorn.run(
        app(segmenter, settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        limit_concurrency=8 * settings.queue,
    )
    return 0


class Full(Exception):
    """No request more can wait."""


class Batcher:
    """Gathers the photos of requests that wait together, gives them to the model, and each its own answers back."""

    def __init__(self, predict: Callable[[list[bytes]], list[Answer]], queue: int, batch: int) -> None:
        self.predict = predict
        self.batch = batch
        self.waiting: asyncio.Queue[Request] = asyncio.Queue(queue)

    async def ask(self, photos: list[bytes]) -> list[Answer]:
        """The answers for the photos of a request; `Full` where too many wait, `BadRequest` where one is no photo."""
        answers: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        try:
            self.waiting.put_nowait((photos, answers))
        except asyncio.QueueFull:
            raise Full from None
        return await answers

    async def work(self) -> None:
        """Answer requests for ever."""
        while True:
            requests = [await self.waiting.get()]
            while not self.waiting.empty() and sum(len(photos) for photos, _ in requests) < self.batch:
                requests.append(self.waiting.get_nowait())
            await self._answer(requests)

    async def _answer(self, requests: list[Request]) -> None:
        try:
            found = await asyncio.to_thread(self.predict, [photo for photos, _ in requests for photo in photos])
        except Exception as error:
            if len(requests) == 1:
                if not requests[0][1].done():
                    requests[0][1].set_exception(error)
                return
            # One of them cannot be answered: each by itself, so that it spoils no other's answer.
            for request in requests:
                await self._answer([request])
            return
        for photos, answers in requests:
            own, found = found[: len(photos)], found[len(photos) :]
            if not answers.done():  # who asked may be gone
                answers.set_result(own)


def app(segmenter: Segmenter, settings: Settings) -> FastAPI:
    """The application; its worker starts and ends with it."""
    from fastapi import FastAPI, Response
    from fastapi import Request as HttpRequest
    from fastapi.responses import JSONResponse

    batcher = Batcher(predictor(segmenter), settings.queue, settings.batch)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        worker = asyncio.create_task(batcher.work())
        yield
        worker.cancel()

    served = FastAPI(lifespan=lifespan, openapi_url=None)

    @served.get("/ping")
    async def ping() -> dict[str, str]:
        return {"status": "healthy"}

    async def invocations(request: HttpRequest) -> Response:
        try:
            photos = endpoint.photos(await _body(request), request.headers.get("content-type"))
            found = await batcher.ask(photos)
            masks, pixels = zip(*found, strict=True)
            accept = request.headers.get("accept")
            content, kind = endpoint.answer(masks, pixels, accept, segmenter.classes.names)
            return Response(content, media_type=kind)
        except BadRequest as error:
            return JSONResponse({"error": str(error)}, error.status)
        except Full:
            return JSONResponse({"error": f"{settings.queue} requests wait already"}, 429, {"Retry-After": "1"})
        except Exception as error:
            logging.getLogger(__name__).exception("a request could not be answered")
            return JSONResponse({"error": f"the model failed: {type(error).__name__}"}, 500)

    served.add_route("/invocations", invocations, methods=["POST"])
    return served


def predictor(segmenter: Segmenter) -> Callable[[list[bytes]], list[Answer]]:
    """The exported model's own `serving_default`, so that masks are those of an endpoint."""
    import tensorflow as tf

    serve = segmenter.signatures["serving_default"]

    def predict(photos: list[bytes]) -> list[Answer]:
        try:
            out = serve(image_bytes=tf.constant(photos))
        except tf.errors.InvalidArgumentError as error:
            raise endpoint.undecodable(error.message) from None
        return list(zip(out["mask_bytes"].numpy().tolist(), out["class_pixels"].numpy().tolist(), strict=True))

    return predict


async def _body(request: Any) -> bytes:
    """The body of a request, of which no more is read than is allowed."""
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > endpoint.MOST_BYTES:
        raise endpoint.too_large(int(announced))
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > endpoint.MOST_BYTES:
            raise endpoint.too_large(len(body))
    return bytes(body)


if __name__ == "__main__":
    raise SystemExit(main())
