"""The endpoint's contract over HTTP: the local server, and SageMaker's handler before a stub of TensorFlow Serving."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import resource
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
import tensorflow as tf
import uvicorn
from formats import encoded, ramp
from PIL import Image

import eggseg
from eggseg import endpoint, predict, serve
from eggseg.endpoint import BadRequest
from eggseg.export import Segmenter
from eggseg.serve import Batcher, Full, Settings


@pytest.fixture(scope="module")
def segmenter(run_dir: Path) -> Segmenter:
    return eggseg.load(run_dir)


class Server(uvicorn.Server):
    def install_signal_handlers(self) -> None:
        """Not in a thread."""


def started(application: Any) -> tuple[Server, threading.Thread, str]:
    server = Server(uvicorn.Config(application, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    return server, thread, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


@pytest.fixture(scope="module")
def local(run_dir: Path, segmenter: Segmenter) -> Iterator[str]:
    """`eggseg serve`, at a free port."""
    server, thread, url = started(serve.app(segmenter, Settings(run_dir)))
    yield url
    server.should_exit = True
    thread.join()


def tensorflow_serving(segmenter: Segmenter) -> type[BaseHTTPRequestHandler]:
    """TensorFlow Serving's REST API for one model: strings whose names end in _bytes are base64."""
    model = segmenter.signatures["serving_default"]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert sent["signature_name"] == "serving_default"
            photos = [base64.b64decode(photo["b64"]) for photo in sent["inputs"]["image_bytes"]]
            try:
                out = model(image_bytes=tf.constant(photos))
            except tf.errors.OpError as error:
                self.reply(400, {"error": error.message})
                return
            masks = [{"b64": base64.b64encode(mask).decode()} for mask in out["mask_bytes"].numpy()]
            self.reply(200, {"outputs": {"mask_bytes": masks, "class_pixels": out["class_pixels"].numpy().tolist()}})

        def reply(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def container(rest_uri: str) -> type[BaseHTTPRequestHandler]:
    """What SageMaker's container does with `code/inference.py`, but that it answers every error with 500."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = io.BytesIO(self.rfile.read(int(self.headers["Content-Length"])))
            kind, accept = (self.headers.get(name) or "application/json" for name in ("Content-Type", "Accept"))
            context = SimpleNamespace(request_content_type=kind, accept_header=accept, rest_uri=rest_uri)
            try:
                content, kind = endpoint.handler(body, context)
                status = 200
            except BadRequest as error:
                content, kind, status = json.dumps({"error": str(error)}), "application/json", error.status
            self.send_response(status)
            self.send_header("Content-Type", str(kind))
            data = content if isinstance(content, bytes) else content.encode()
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def in_thread(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever).start()
    return server


@pytest.fixture(scope="module")
def sagemaker(segmenter: Segmenter) -> Iterator[str]:
    """The handler as SageMaker's container runs it."""
    behind = in_thread(tensorflow_serving(segmenter))
    front = in_thread(container(f"http://127.0.0.1:{behind.server_port}/v1/models/model:predict"))
    yield f"http://127.0.0.1:{front.server_port}"
    for server in (front, behind):
        server.shutdown()
        server.server_close()


@pytest.fixture(params=["local", "sagemaker"])
def url(request: pytest.FixtureRequest) -> str:
    return f"{request.getfixturevalue(request.param)}/invocations"


def turned(tag: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = tag
    return encoded(Image.fromarray(ramp(80, 50)), "JPEG", exif=exif)


PHOTOS = {
    "a.jpg": (encoded(Image.fromarray(ramp(96, 64)), "JPEG"), "image/jpeg"),
    "b.png": (encoded(Image.fromarray(ramp(51, 77)), "PNG"), "image/png"),
    "c.jpg": (turned(6), "application/x-image"),
    "d.jpg": (turned(3), "image/jpeg"),
}


@pytest.fixture(scope="module")
def masks(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """What `eggseg predict` writes for the photos."""
    folder = tmp_path_factory.mktemp("photos")
    for name, (data, _) in PHOTOS.items():
        (folder / name).write_bytes(data)
    assert predict.main([str(folder), "--model", str(run_dir), "--output_dir", str(folder / "out")]) == 0
    return {name: np.asarray(Image.open(folder / "out/masks" / f"{name}.png")) for name in PHOTOS}


@pytest.mark.parametrize("name", PHOTOS)
def test_masks_are_those_of_predict_to_the_bit(url: str, name: str, masks: dict[str, np.ndarray]) -> None:
    data, kind = PHOTOS[name]
    response = httpx.post(url, content=data, headers={"Content-Type": kind, "Accept": "image/png"}, timeout=60)
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(response.content))), masks[name])


def test_several_photos_and_their_shares_come_as_json(url: str, masks: dict[str, np.ndarray]) -> None:
    body = {"images": [base64.b64encode(data).decode() for data, _ in PHOTOS.values()]}
    response = httpx.post(url, json=body, headers={"Accept": "application/json"}, timeout=60)
    assert response.status_code == 200
    found = response.json()["photos"]
    assert len(found) == 4
    for name, photo in zip(PHOTOS, found, strict=True):
        mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(photo["mask"]))))
        np.testing.assert_array_equal(mask, masks[name])
        assert photo["class_pixels"] == [int((mask == value).sum()) for value in (0, 128, 255)]
        assert sum(photo["class_shares"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("content", "headers", "status", "reason"),
    [
        (b"", {"Content-Type": "image/jpeg"}, 400, "the body is empty"),
        (b"garbage", {"Content-Type": "image/jpeg"}, 400, "the photo cannot be decoded: "),
        (PHOTOS["a.jpg"][0][:-200], {"Content-Type": "image/jpeg"}, 400, "the photo cannot be decoded: "),
        (b"photo", {"Content-Type": "text/plain"}, 415, "Content-Type is 'text/plain', expected one of"),
        (b"{]", {"Content-Type": "application/json"}, 400, "the body is not"),
        (b"x" * (endpoint.MOST_BYTES + 1), {"Content-Type": "image/jpeg"}, 413, "expected at most 33554432"),
        (PHOTOS["a.jpg"][0], {"Content-Type": "image/jpeg", "Accept": "text/html"}, 406, "Accept is 'text/html'"),
    ],
    ids=["empty", "garbage", "cut", "type", "json", "oversized", "accept"],
)
def test_what_cannot_be_used_is_the_callers_fault_with_a_reason(
    url: str, content: bytes, headers: dict[str, str], status: int, reason: str
) -> None:
    response = httpx.post(url, content=content, headers=headers, timeout=60)
    assert response.status_code == status
    assert reason in response.json()["error"]
    assert "\n" not in response.json()["error"]


def test_it_says_that_it_is_there(local: str) -> None:
    assert httpx.get(f"{local}/ping").status_code == 200
    assert httpx.get(f"{local}/invocations").status_code == 405
    assert httpx.get(f"{local}/elsewhere").status_code == 404


def test_a_body_that_does_not_tell_its_length_is_read_no_further_than_allowed(local: str) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield bytes(1 << 20)

    response = httpx.post(f"{local}/invocations", content=endless(), headers={"Content-Type": "image/png"}, timeout=60)
    assert response.status_code == 413


def test_500_requests_at_a_time_are_all_answered_and_none_with_anothers_mask(
    run_dir: Path, segmenter: Segmenter
) -> None:
    sizes = [(24 + i, 24) for i in range(20)]
    photos = [encoded(Image.fromarray(ramp(*size)), "PNG") for size in sizes]
    expected = [segmenter.classes.paint(segmenter(ramp(*size))[0]) for size in sizes]
    server, thread, url = started(serve.app(segmenter, Settings(run_dir, queue=40)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    async def ask_all() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=500)
        async with httpx.AsyncClient(timeout=120, limits=limits) as client:
            headers = {"Content-Type": "image/png"}
            asked = (client.post(f"{url}/invocations", content=photos[i % 20], headers=headers) for i in range(500))
            return await asyncio.gather(*asked)

    responses = asyncio.run(ask_all())
    server.should_exit = True
    thread.join()
    assert {response.status_code for response in responses} <= {200, 429}
    answered = [i for i, response in enumerate(responses) if response.status_code == 200]
    assert len(answered) >= 40
    for i in answered:
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(responses[i].content))), expected[i % 20])
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 500, f"{grown:.0f} MiB more at the peak"


def test_requests_that_wait_together_go_to_the_model_together() -> None:
    calls: list[list[bytes]] = []
    go = threading.Event()

    def predict_slowly(photos: list[bytes]) -> list[serve.Answer]:
        go.wait(10)
        calls.append(photos)
        if b"bad" in photos:
            raise BadRequest(400, "bad")
        if b"worse" in photos:
            raise MemoryError
        return [(photo, [1]) for photo in photos]

    async def ask_all() -> list[Any]:
        batcher = Batcher(predict_slowly, queue=7, batch=4)
        worker = asyncio.create_task(batcher.work())
        first = asyncio.create_task(batcher.ask([b"0"]))
        await asyncio.sleep(0.05)  # now it is with the model, and the others wait
        others = [asyncio.create_task(batcher.ask([name])) for name in (b"1", b"2", b"3", b"4", b"bad", b"worse", b"5")]
        await asyncio.sleep(0.05)
        with pytest.raises(Full):
            await batcher.ask([b"6"])
        go.set()
        answers = await asyncio.gather(first, *others, return_exceptions=True)
        worker.cancel()
        return answers

    answers = asyncio.run(ask_all())
    assert calls[:2] == [[b"0"], [b"1", b"2", b"3", b"4"]]
    assert [answer for answer in answers if isinstance(answer, list)] == [[(str(i).encode(), [1])] for i in range(6)]
    assert isinstance(answers[5], BadRequest), "and it alone"
    assert isinstance(answers[6], MemoryError), "and it alone"


def test_a_missing_extra_says_how_to_get_it(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert serve.main(["--model", str(run_dir)]) == 2
    assert "pip install '.[serve]'" in capsys.readouterr().err
