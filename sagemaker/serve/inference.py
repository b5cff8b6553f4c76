"""Requests and answers of an endpoint: photos in, masks out. Imports only the standard library, nothing of eggseg.

A request is the bytes of a photo (`image/jpeg`, `image/png`, `application/x-image`), or JSON `{"images": [base64,
...]}`. The answer follows `Accept`: `image/png` is the mask of one photo; `application/json` holds for each photo the
mask in base64, the pixels of each class, and their share. Without `Accept` the answer is JSON, since SageMaker's
container then passes `application/json`.

SageMaker's container for TensorFlow Serving loads this file as `code/inference.py` and calls `handler`. The local
server, `eggseg serve`, calls the same functions.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import http.client
import json
import os
import re
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

PHOTOS = (
    *("image/jpeg", "image/png", "image/bmp", "image/gif", "application/x-image", "application/octet-stream"),
    # Only the local server decodes these; the graph, and so the container, refuses them with a reason.
    *("image/webp", "image/tiff", "image/avif", "image/heic", "image/heif"),
)
JSON = "application/json"
MASK = "image/png"

MOST_BYTES = 32 * 1024 * 1024
"""Largest body of a request."""

MOST_PHOTOS = 16
"""Most photos in a request."""

MOST_PARTS = 1000
"""Most commas, colons and opening brackets in the JSON of a request; photos in base64 have none."""

GRAPH = ("Graph execution error:", "Detected at node", "<stack traces unavailable>", "[[{{node")
"""First words of lines in TensorFlow's errors that give the place in the graph, not the reason."""

OF_THE_JOB = (406, 415)
"""Statuses of errors in `Accept` and `Content-Type`, which a batch transform sets for all photos of the job."""

SETTINGS = Path(__file__).parent.parent / "1" / "assets" / "eggseg.json"
"""Class table of the model in the container."""


class BadRequest(ValueError):
    """The request cannot be answered; the message says why, `status` is the HTTP status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Response(NamedTuple):
    """An answer of TensorFlow Serving."""

    status_code: int
    content: bytes


def handler(data: Any, context: Any) -> tuple[bytes | str, str]:
    """The answer to a request, and its content type; `BadRequest` where there is none.

    In a batch transform, one error would fail the whole job: there, the answer for an unusable photo is
    `{"error": reason}`. Errors that concern all photos of the job still raise `BadRequest`.
    """
    try:
        return output_handler(_predict(context.rest_uri, input_handler(data, context)), context)
    except BadRequest as error:
        if error.status in OF_THE_JOB or not os.environ.get("SAGEMAKER_BATCH"):
            raise
        return json.dumps({"error": str(error)}), JSON


def _predict(uri: str, body: str) -> Response:
    """POST a request to TensorFlow Serving; return its answer with any status: not every container passes errors on."""
    address = urllib.parse.urlsplit(uri)
    with contextlib.closing(http.client.HTTPConnection(address.netloc)) as connection:
        connection.request("POST", address.path, body, {"Content-Type": JSON})
        response = connection.getresponse()
        return Response(response.status, response.read())


def input_handler(data: Any, context: Any) -> str:
    """The body of the REST call to TensorFlow Serving for a request."""
    encoded = [{"b64": base64.b64encode(photo).decode()} for photo in photos(data.read(), context.request_content_type)]
    return json.dumps({"signature_name": "serving_default", "inputs": {"image_bytes": encoded}})


def output_handler(response: Response, context: Any) -> tuple[bytes | str, str]:
    """The answer to a request, and its content type, from TensorFlow Serving's answer."""
    if response.status_code == 400:
        raise undecodable(_error(response.content))
    if response.status_code != 200:
        raise RuntimeError(f"the model answered {response.status_code}: {_error(response.content)[:300]}")
    outputs = json.loads(response.content)["outputs"]
    masks = [base64.b64decode(mask["b64"]) for mask in outputs["mask_bytes"]]
    names = [row["name"] for row in json.loads(SETTINGS.read_text())["classes"]] if SETTINGS.is_file() else None
    return answer(masks, outputs["class_pixels"], context.accept_header, names)


def photos(body: bytes, content_type: str | None) -> list[bytes]:
    """The photos in the body of a request; `BadRequest` where the body cannot be used."""
    kind = (content_type or "").split(";")[0].strip().lower()
    if not body:
        raise BadRequest(400, "the body is empty, expected a photo")
    if len(body) > MOST_BYTES:
        raise too_large(len(body))
    if kind in PHOTOS:
        return [body]
    if kind != JSON:
        raise BadRequest(415, f"Content-Type is {kind!r}, expected one of {', '.join((*PHOTOS, JSON))}")
    # Parsing strings is fast. Millions of numbers or lists would block Python for seconds.
    if sum(body.count(mark) for mark in (b",", b":", b"[", b"{")) > MOST_PARTS:
        raise BadRequest(400, f'the body is not {{"images": [base64, ...]}}: it has more than {MOST_PARTS} parts')
    try:
        images = [base64.b64decode(photo, validate=True) for photo in json.loads(body)["images"]]
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        raise BadRequest(400, f'the body is not {{"images": [base64, ...]}}: {error!r}'[:300]) from None
    if not 1 <= len(images) <= MOST_PHOTOS:
        raise BadRequest(400, f"the body has {len(images)} photos, expected 1 to {MOST_PHOTOS}")
    return images


def answer(
    masks: Sequence[bytes], pixels: Sequence[Sequence[int]], accept: str | None, names: Sequence[str] | None
) -> tuple[bytes | str, str]:
    """The answer to a request and its content type, from masks, pixels per class of each mask, and `Accept`."""
    accepted = [part.split(";")[0].strip().lower() for part in (accept or JSON).split(",")]
    if JSON in accepted or len(masks) != 1:
        return json.dumps({"photos": [_description(*photo, names) for photo in zip(masks, pixels, strict=True)]}), JSON
    if any(part in ("*/*", "image/*", MASK) for part in accepted):
        return masks[0], MASK
    raise BadRequest(406, f"Accept is {accept!r}, expected {MASK} or {JSON}")


def too_large(size: int) -> BadRequest:
    return BadRequest(413, f"the body has {size} bytes, expected at most {MOST_BYTES}")


def undecodable(error: str) -> BadRequest:
    """The error for a photo that the model refused, with the reason from TensorFlow's lines about the graph."""
    lines = (line.strip() for line in error.splitlines())
    reason = next((line for line in lines if line and not line.startswith(GRAPH)), "no reason given")
    # The data of an assertion are in brackets each; the actual value comes last.
    words = re.findall(r"\[(.*?)\]", reason) if "assertion failed: [" in reason else []
    if words:
        reason = " ".join(words[:-1]) + ": " + words[-1] if words[1:] else words[0]
    return BadRequest(400, f"the photo cannot be decoded: {reason[:300]}")


def _description(mask: bytes, pixels: Sequence[int], names: Sequence[str] | None) -> dict[str, Any]:
    counts = [int(count) for count in pixels]
    total = max(1, sum(counts))
    description = {
        "mask": base64.b64encode(mask).decode(),
        "class_pixels": counts,
        "class_shares": [round(count / total, 6) for count in counts],
    }
    return description | ({"classes": list(names)} if names else {})


def _error(content: bytes) -> str:
    """The error message in an answer of TensorFlow Serving."""
    try:
        return str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        return content.decode("utf-8", "replace")
