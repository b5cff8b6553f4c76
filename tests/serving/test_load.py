"""The server's own process under load and attack: memory stays bounded, `/ping` answers, and it stops."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from helpers.formats import chunk, encoded
from PIL import Image

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc"),
]


class Server:
    """`eggseg serve` as its own process."""

    def __init__(self, run_dir: Path, *flags: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "eggseg.serve", "--model", str(run_dir), "--port", str(self.port), *flags]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for _ in range(600):
            with contextlib.suppress(httpx.HTTPError):
                assert httpx.get(f"{self.url}/ping").status_code == 200
                break
            assert self.process.poll() is None
            time.sleep(0.2)
        assert self.ask(encoded(Image.new("RGB", (64, 48)), "PNG")).status_code == 200

    def ask(self, photo: bytes) -> httpx.Response:
        return httpx.post(f"{self.url}/invocations", content=photo, headers={"Content-Type": "image/png"}, timeout=120)

    def ping(self) -> int:
        return httpx.get(f"{self.url}/ping", timeout=30).status_code

    def connect(self, sent: bytes) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connection.sendall(sent)
        return connection

    def peak(self, reset: bool = False) -> int:
        """Most memory held since it was reset, MiB."""
        if reset:
            Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found
        return int(found[1]) // 1024


@pytest.fixture(scope="module")
def server(run_dir: Path) -> Iterator[Server]:
    server = Server(run_dir, "--receive_seconds", "10", "--stop_seconds", "2")
    yield server
    server.process.kill()
    _, errors = server.process.communicate()
    assert "Traceback" not in errors


def head(length: int) -> bytes:
    return (
        f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {length}\r\n\r\n".encode()
    )


def test_520_half_heads_are_closed_and_ping_answers_meanwhile(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        half = [stack.enter_context(server.connect(b"POST /invocations HTTP/1.1\r\nX-A: ")) for _ in range(520)]
        assert {server.ping() for _ in range(20)} == {200}
        assert [connection.recv(1) for connection in half] == [b""] * 520
    assert server.ping() == 200


def test_200_bodies_of_31_mib_take_no_more_than_they_may_together(server: Server) -> None:
    size, before = 31 << 20, server.peak(reset=True)
    statuses: Counter[bytes] = Counter()

    def ask() -> None:
        with server.connect(head(size + 1)) as connection:
            with contextlib.suppress(OSError):  # who is refused may be cut off
                connection.sendall(bytes(size))
            statuses[connection.recv(12)[9:]] += 1

    threads = [threading.Thread(target=ask) for _ in range(200)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert server.ping() == 200
        time.sleep(0.2)
    # 512 MiB hold sixteen of them, whose last byte never comes.
    assert statuses == {b"429": 200 - statuses[b"408"], b"408": statuses[b"408"]}
    assert 16 <= statuses[b"408"] <= 32
    assert server.peak() - before < 1000


def test_a_photo_of_80_megapixels_is_refused_before_it_takes_memory(server: Server) -> None:
    width, height = 10_000, 8000
    pixels = zlib.compressobj()
    rows = b"".join([*(pixels.compress(bytes(1 + 3 * width)) for _ in range(height)), pixels.flush()])
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    photo = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    before = server.peak(reset=True)
    assert server.ask(photo).status_code == 413
    sixteen = {"images": [base64.b64encode(photo).decode()] * 16}
    assert httpx.post(f"{server.url}/invocations", json=sixteen, timeout=120).status_code == 413
    assert server.peak() - before < 100


def test_json_of_millions_of_lists_takes_no_memory(server: Server) -> None:
    before = server.peak(reset=True)
    body = b'{"images": [' + b"[]," * (8 << 20) + b"1]}"
    headers = {"Content-Type": "application/json"}
    assert httpx.post(f"{server.url}/invocations", content=body, headers=headers, timeout=120).status_code == 400
    assert server.peak() - before < 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_with_half_a_body_held_and_a_photo_at_work(run_dir: Path, number: signal.Signals) -> None:
    server = Server(run_dir, "--receive_seconds", "1000", "--stop_seconds", "2")
    photo = encoded(Image.new("RGB", (4320, 2432)), "PNG")
    with server.connect(head(1000) + bytes(500)) as half, server.connect(head(len(photo)) + photo):
        os.kill(server.process.pid, number)
        _, errors = server.process.communicate(timeout=60)  # seconds, and this machine may be slow
        assert half.recv(12) == b"HTTP/1.1 503"
    assert "Traceback" not in errors
