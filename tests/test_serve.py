"""The endpoint's contract over HTTP: the local server, and SageMaker's handler before a stub of TensorFlow Serving."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import io
import json
import resource
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest
import tensorflow as tf
import uvicorn
from helpers.formats import chunk, encoded, ramp
from PIL import Image

import eggseg
from eggseg import predict, serve
from eggseg.exported import endpoint
from eggseg.exported.endpoint import BadRequest
from eggseg.exported.saved_model import Segmenter
from eggseg.serving import http
from eggseg.serving.app import Service, app
from eggseg.serving.limits import Budget, Full, Limits
from eggseg.serving.masks import Masks
from eggseg.serving.turns import Answer, Turns


@pytest.fixture(scope="module")
def segmenter(run_dir: Path) -> Segmenter:
    return eggseg.load(run_dir)


class Server(uvicorn.Server):
    def install_signal_handlers(self) -> None:
        """Not in a thread."""


class Served(NamedTuple):
    url: str
    service: Service
    connections: set[Any]


@contextlib.contextmanager
def serving(segmenter: Segmenter, **limits: Any) -> Iterator[Served]:
    """`eggseg serve` within limits, in a thread, at a free port."""
    service = Service(segmenter, Limits(**({"stop_seconds": 1} | limits)))
    server = Server(http.config(app(service), service.limits))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield Served(url, service, server.server_state.connections)
    finally:
        server.should_exit = True
        thread.join()


def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens in another thread."""
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it has not happened in a minute")


@pytest.fixture(scope="module")
def local(segmenter: Segmenter) -> Iterator[str]:
    with serving(segmenter) as served:
        yield served.url


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
        (b"garbage", {"Content-Type": "image/jpeg"}, 400, "the photo "),
        (PHOTOS["a.jpg"][0][:-200], {"Content-Type": "image/jpeg"}, 400, "the photo cannot be "),
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
    assert "Graph execution error" not in response.json()["error"]


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


def test_500_requests_at_a_time_are_all_answered_and_none_with_anothers_mask(segmenter: Segmenter) -> None:
    sizes = [(24 + i, 24) for i in range(20)]
    photos = [encoded(Image.fromarray(ramp(*size)), "PNG") for size in sizes]
    expected = [segmenter.classes.paint(segmenter(ramp(*size))[0]) for size in sizes]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    async def ask_all(url: str) -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=500)
        async with httpx.AsyncClient(timeout=120, limits=limits) as client:
            headers = {"Content-Type": "image/png"}
            asked = (client.post(f"{url}/invocations", content=photos[i % 20], headers=headers) for i in range(500))
            return await asyncio.gather(*asked)

    with serving(segmenter, queue=40) as (url, *_):
        responses = asyncio.run(ask_all(url))
    assert {response.status_code for response in responses} <= {200, 429}
    answered = [i for i, response in enumerate(responses) if response.status_code == 200]
    assert len(answered) >= 40
    for i in answered:
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(responses[i].content))), expected[i % 20])
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 500, f"{grown:.0f} MiB more at the peak"


# --- formats and reasons ---


@pytest.mark.parametrize("kind", ["WEBP", "TIFF", "BMP"])
def test_formats_that_only_pillow_reads_are_served(local: str, segmenter: Segmenter, kind: str) -> None:
    picture = Image.fromarray(ramp(51, 77)).convert("P" if kind == "BMP" else "RGB")
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(picture, kind, **options)
    response = httpx.post(f"{local}/invocations", content=data, headers={"Content-Type": "image/webp"}, timeout=60)
    assert response.status_code == 200
    mask = np.asarray(Image.open(io.BytesIO(response.content)))
    np.testing.assert_array_equal(
        mask, segmenter.classes.paint(segmenter.class_ids(np.asarray(picture.convert("RGB"))))
    )
    headers = {"Content-Type": "image/webp", "Accept": "application/json"}
    (photo,) = httpx.post(f"{local}/invocations", content=data, headers=headers, timeout=60).json()["photos"]
    assert photo["class_pixels"] == [int((mask == value).sum()) for value in (0, 128, 255)]


def large(width: int, height: int) -> bytes:
    """A PNG that says that it is so large; it holds no pixel."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("photo", "status", "reason"),
    [
        (b"a shopping list: eggs", 400, "the photo is no picture: it begins with b'a shopping list:', expected JPEG"),
        (encoded(Image.fromarray(ramp(400, 300)), "JPEG")[:-9000], 400, "the photo cannot be read: image file is trun"),
        (large(9000, 9000), 413, "the photo is 9000x9000, expected at most 25000000 pixels (--max_pixels)"),
        (large(40000, 40000), 413, "the photo is 40000x40000, expected at most 25000000 pixels (--max_pixels)"),
        (encoded(Image.new("L", (5001, 5000)), "WEBP"), 413, "is 5001x5000, expected at most 25000000 pixels"),
    ],
    ids=["text", "cut", "81 megapixels", "1600 megapixels", "WebP"],
)
def test_a_refusal_says_why_in_the_words_of_the_commands(local: str, photo: bytes, status: int, reason: str) -> None:
    response = httpx.post(f"{local}/invocations", content=photo, headers={"Content-Type": "image/jpeg"}, timeout=60)
    assert response.status_code == status
    assert reason in response.json()["error"]


def test_no_photo_is_larger_than_the_model_allows(segmenter: Segmenter) -> None:
    model = dataclasses.replace(segmenter, settings=segmenter.settings | {"max_pixels": 5000})
    masks = Masks(model, max_pixels=25_000_000)
    assert masks.pixels(encoded(Image.new("RGB", (100, 50)), "PNG")) == 5000
    for kind in ("PNG", "WEBP"):
        with pytest.raises(BadRequest, match="is 100x51, expected at most 5000 pixels") as error:
            masks.pixels(encoded(Image.new("RGB", (100, 51)), kind))
        assert error.value.status == 413


# --- limits ---


def head(length: int, kind: str = "image/png") -> bytes:
    return f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode()


Connect = Callable[[str, bytes], socket.socket]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connections to a server, each with the first bytes that are sent."""
    with contextlib.ExitStack() as stack:

        def connected(url: str, sent: bytes) -> socket.socket:
            address = (httpx.URL(url).host, httpx.URL(url).port or 0)
            connection = stack.enter_context(socket.create_connection(address, timeout=30))
            connection.sendall(sent)
            return connection

        yield connected


def reply(connection: socket.socket) -> tuple[HTTPResponse, bytes]:
    """The next answer, and its body."""
    response = HTTPResponse(connection)
    response.begin()
    return response, response.read()


def received(connection: socket.socket) -> bytes:
    """All that the server sends until it closes the connection, which a reset does too."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def test_a_head_that_does_not_come_in_time_ends_its_connection_alone(segmenter: Segmenter, connect: Connect) -> None:
    with serving(segmenter, receive_seconds=0.5) as (url, *_):
        half = [connect(url, b"POST /invocations HTTP/1.1\r\nX-A: ") for _ in range(20)]
        nothing = connect(url, b"")
        assert httpx.get(f"{url}/ping").status_code == 200
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while True:  # a byte at a time, as if there were more to come
                half[0].sendall(b"a")
                time.sleep(0.05)
        assert {received(connection) for connection in (*half, nothing)} == {b""}


def test_a_body_that_does_not_come_in_time_is_answered(segmenter: Segmenter, connect: Connect) -> None:
    with serving(segmenter, receive_seconds=0.5) as (url, *_):
        answer = received(connect(url, head(100) + b"half"))
    assert b" 408 " in answer
    assert b"the body did not come within 0.5 seconds" in answer


def test_an_answer_that_nobody_takes_is_dropped(
    segmenter: Segmenter, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()
    monkeypatch.setattr(Masks, "segment", lambda *_: done.set() or (bytes(64 << 20), [1]))
    photo = PHOTOS["a.jpg"][0]
    with serving(segmenter, receive_seconds=0.5) as (url, _, connections):
        connection = connect(url, head(len(photo)) + photo)
        assert done.wait(30)
        until(lambda: not connections)
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert len(answer) < 64 << 20


def test_of_too_many_connections_the_oldest_that_ask_nothing_give_way(segmenter: Segmenter, connect: Connect) -> None:
    with serving(segmenter, connections=3) as (url, service, _):
        asking = connect(url, head(100))
        until(lambda: service.requests.held == 1)
        idle = [connect(url, b"GET ") for _ in range(6)]
        assert httpx.get(f"{url}/ping").status_code == 200
        assert [received(connection) for connection in idle[:4]] == [b""] * 4
        asking.sendall(bytes(100))
        assert reply(asking)[0].status == 400


@pytest.mark.parametrize(
    ("limits", "held", "refused", "reason"),
    [
        ({"queue": 1}, 100, 100, b"it takes 1 requests at a time"),
        ({"queue_mib": 32}, 31 << 20, 2 << 20, b"it takes 33554432 bytes of requests at a time"),
    ],
    ids=["places", "bytes"],
)
def test_who_finds_no_room_is_told_before_the_body_is_read(
    segmenter: Segmenter, connect: Connect, limits: dict[str, int], held: int, refused: int, reason: bytes
) -> None:
    with serving(segmenter, **limits) as (url, service, _):
        first = connect(url, head(held) + b"the beginning")
        until(lambda: service.bytes.held == held)
        second = connect(url, head(refused))
        answer, content = reply(second)
        assert answer.status == 429
        assert answer.headers["Retry-After"] == "1"
        assert reason in content
        first.close()
        until(lambda: service.bytes.held == 0)
        assert reply(connect(url, head(refused) + bytes(refused)))[0].status == 400


def test_a_body_without_a_length_counts_as_the_longest(segmenter: Segmenter, connect: Connect) -> None:
    chunked = b"POST /invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving(segmenter, queue_mib=32) as (url, service, _):
        connect(url, chunked)
        until(lambda: service.bytes.held == 32 << 20)
        assert reply(connect(url, head(1)))[0].status == 429


def test_the_pixels_of_a_request_are_bounded(segmenter: Segmenter) -> None:
    photo = base64.b64encode(encoded(Image.new("RGB", (100, 50)), "PNG")).decode()
    with serving(segmenter, request_pixels=10_000, queue_pixels=10_000) as (url, *_):
        assert httpx.post(f"{url}/invocations", json={"images": [photo] * 2}, timeout=60).status_code == 200
        response = httpx.post(f"{url}/invocations", json={"images": [photo] * 3}, timeout=60)
    assert response.status_code == 413
    assert response.json()["error"] == "the photos have 15000 pixels, expected at most 10000 (--request_pixels)"


def test_the_pixels_of_all_requests_are_bounded(
    segmenter: Segmenter, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr(Masks, "segment", lambda *_: (b"mask", [1]) if go.wait(30) else None)
    photo = encoded(Image.new("RGB", (100, 50)), "PNG")
    with serving(segmenter, request_pixels=5000, queue_pixels=9000) as (url, service, _):
        first = connect(url, head(len(photo)) + photo)
        until(lambda: service.pixels.held == 5000)
        response = httpx.post(f"{url}/invocations", content=photo, headers={"Content-Type": "image/png"})
        assert response.status_code == 429
        assert "it takes 9000 pixels at a time" in response.json()["error"]
        go.set()
        assert reply(first)[0].status == 200


def test_parts_of_a_budget_come_back() -> None:
    budget = Budget(10, "eggs")
    with budget.taken(6):
        with pytest.raises(Full, match="it takes 10 eggs at a time"), budget.taken(5):
            pass
        with budget.taken(4):
            assert budget.held == 10
    with pytest.raises(KeyError), budget.taken(10):
        raise KeyError
    assert budget.held == 0


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("--queue", "0"), "--queue is 0, expected more than 0"),
        (("--receive_seconds", "nan"), "--receive_seconds is nan, expected more than 0"),
        (("--queue_mib", "31"), "--queue_mib is 31, expected at least 32, the limit of one request"),
        (("--queue_pixels", "7"), "--queue_pixels is 7, expected at least --request_pixels, which is 200000000"),
    ],
)
def test_limits_that_cannot_be_are_refused(
    run_dir: Path, flags: tuple[str, str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve.main(["--model", str(run_dir), *flags]) == 2
    assert capsys.readouterr().err == f"error: {reason}\n"


# --- turns ---


def test_a_request_of_many_photos_lets_others_pass() -> None:
    calls: list[bytes] = []
    begun, go = threading.Event(), threading.Event()

    def segment(photo: bytes) -> Answer:
        begun.set()
        go.wait(30)
        calls.append(photo)
        if photo == b"bad":
            raise BadRequest(400, "bad")
        if photo == b"worse":
            raise MemoryError
        return photo, [1]

    async def ask_all() -> list[Any]:
        turns = Turns(segment, parallel=1)
        requests = ([b"a0", b"a1", b"a2", b"a3"], [b"b0"], [b"bad", b"never"], [b"c0", b"c1"], [b"worse"])
        asked = [asyncio.create_task(turns.ask(photos)) for photos in requests]
        await asyncio.to_thread(begun.wait, 30)
        go.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        turns.close()
        return answers

    a, b, bad, c, worse = asyncio.run(ask_all())
    assert calls == [b"a0", b"b0", b"bad", b"c0", b"worse", b"a1", b"c1", b"a2", b"a3"]
    assert a == [(b"a0", [1]), (b"a1", [1]), (b"a2", [1]), (b"a3", [1])]
    assert (b, c) == ([(b"b0", [1])], [(b"c0", [1]), (b"c1", [1])])
    assert isinstance(bad, BadRequest), "and it alone"
    assert isinstance(worse, MemoryError), "and it alone"


def test_whose_client_has_left_is_not_worked_on(
    segmenter: Segmenter, connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[bytes] = []
    begun, go = threading.Event(), threading.Event()

    def segment(_: Masks, photo: bytes) -> Answer:
        calls.append(photo)
        begun.set()
        go.wait(30)
        return photo, [1]

    monkeypatch.setattr(Masks, "segment", segment)
    photos = [encoded(Image.new("RGB", (9 + i, 9)), "PNG") for i in range(3)]
    with serving(segmenter, parallel=1, queue=3) as (url, service, _):
        first = connect(url, head(len(photos[0])) + photos[0])
        assert begun.wait(30)
        leaving = [connect(url, head(len(photos[1])) + sent) for sent in (photos[1], photos[1][:9])]
        until(lambda: service.requests.held == 3)
        for connection in leaving:
            connection.close()
        until(lambda: service.requests.held == 1)
        third = connect(url, head(len(photos[2])) + photos[2])
        until(lambda: service.requests.held == 2)
        go.set()
        assert reply(first)[0].status == 200
        assert reply(third)[0].status == 200
    assert calls == [photos[0], photos[2]]
    assert not caplog.records


def test_it_answers_while_a_body_is_read(local: str, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Event(), threading.Event()

    def photos(*_: Any) -> list[bytes]:
        begun.set()
        assert go.wait(30)
        raise BadRequest(400, "as expected")

    monkeypatch.setattr(endpoint, "photos", photos)
    with connect(local, head(1) + b"x") as asking:
        assert begun.wait(30)
        assert httpx.get(f"{local}/ping", timeout=30).status_code == 200
        go.set()
        assert b"as expected" in reply(asking)[1]


def test_it_stops_in_time_with_half_a_body_held(segmenter: Segmenter, connect: Connect) -> None:
    with serving(segmenter, stop_seconds=1, receive_seconds=1000) as (url, service, connections):
        half_body, half_head = connect(url, head(100) + b"half"), connect(url, b"GET /")
        until(lambda: service.requests.held == 1 and len(connections) == 2)
    answer = received(half_body)
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"the server stops" in answer
    assert received(half_head) == b""


def test_a_missing_extra_says_how_to_get_it(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert serve.main(["--model", str(run_dir)]) == 2
    assert "pip install '.[serve]'" in capsys.readouterr().err
