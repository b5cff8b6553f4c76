"""Stand-ins for SageMaker around `code/inference.py`: endpoint, batch transform, and TensorFlow Serving behind both."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from eggseg.exported import endpoint

SERVERLESS = 4 * 1024 * 1024
"""Most bytes of a request to a serverless endpoint, and of its response."""


class Serving(BaseHTTPRequestHandler):
    """TensorFlow Serving's REST API: answers photo X with "mask of X"; "broken" gives 400, "heavy" gives 503."""

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        photos = [base64.b64decode(photo["b64"]) for photo in sent["inputs"]["image_bytes"]]
        if b"broken" in photos:
            self.reply(400, {"error": "assertion failed: it ends too early"})
        elif b"heavy" in photos:
            self.reply(503, {"error": "out of memory"})
        else:
            masks = [{"b64": base64.b64encode(b"mask of " + photo).decode()} for photo in photos]
            self.reply(200, {"outputs": {"mask_bytes": masks, "class_pixels": [[90, 8, 2] for _ in photos]}})

    def reply(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Answer(NamedTuple):
    status: int
    body: bytes
    content_type: str


class Container:
    """AWS's container: its default headers, and status 500 with the message of whatever the handler raises."""

    def __init__(self, rest_uri: str) -> None:
        self.rest_uri = rest_uri

    def invoke(self, body: bytes, content_type: str | None = None, accept: str | None = None) -> Answer:
        context = SimpleNamespace(
            rest_uri=self.rest_uri,
            request_content_type=content_type or "application/json",
            accept_header=accept or "application/json",
        )
        try:
            content, kind = endpoint.handler(io.BytesIO(body), context)
        except Exception as error:
            return Answer(500, json.dumps({"error": str(error)}).encode(), "application/json")
        return Answer(200, content if isinstance(content, bytes) else content.encode(), kind)

    def invoke_serverless(self, body: bytes, content_type: str, accept: str | None = None) -> Answer:
        """`invoke` behind a serverless endpoint, where AWS rejects requests and responses that are too large."""
        if len(body) > SERVERLESS:
            return Answer(413, b'{"message": "Request size exceeded"}', "application/json")
        answer = self.invoke(body, content_type, accept)
        if len(answer.body) > SERVERLESS:
            return Answer(424, b'{"message": "Response size exceeded"}', "application/json")
        return answer

    def transform(self, photos: Path, masks: Path, concurrent: int, accept: str = "image/png") -> str:
        """Run a batch transform, NAME to NAME.out; return "Failed" if any photo failed, else "Completed"."""
        with pytest.MonkeyPatch.context() as environment, ThreadPoolExecutor(concurrent) as pool:
            environment.setenv("SAGEMAKER_BATCH", "true")
            paths = sorted(photos.iterdir())
            answers = list(pool.map(lambda path: self.invoke(path.read_bytes(), "application/x-image", accept), paths))
        for path, answer in zip(paths, answers, strict=True):
            if answer.status == 200:
                (masks / f"{path.name}.out").write_bytes(answer.body)
        return "Completed" if all(answer.status == 200 for answer in answers) else "Failed"


@contextlib.contextmanager
def container() -> Iterator[Container]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Serving)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Container(f"http://127.0.0.1:{server.server_port}/v1/models/model:predict")
    server.shutdown()
    thread.join()
    server.server_close()
