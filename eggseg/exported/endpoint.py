"""What an endpoint takes and gives: photos in, masks out. The standard library alone, and nothing of eggseg.

A request is a photo's bytes (`image/jpeg`, `image/png`, `application/x-image`), or JSON `{"images": [base64, ...]}`.
What `Accept` asks for comes back: `image/png`, the mask of one photo, or `application/json`, of each photo the mask in
base64, how many pixels each class has, and their share. Where there is no `Accept` it is JSON, since SageMaker's
container says `application/json` in its place.

SageMaker's container for TensorFlow Serving finds this file as `code/inference.py` and calls `handler`; the local
server, `eggseg serve`, calls what it calls.
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
    # These are decoded by the local server alone; the graph, and so the container, refuses them with a reason.
    *("image/webp", "image/tiff", "image/avif", "image/heic", "image/heif"),
)
JSON = "application/json"
MASK = "image/png"

MOST_BYTES = 32 * 1024 * 1024
"""Of a request."""

MOST_PHOTOS = 16
"""Of a request."""

MOST_PARTS = 1000
"""Commas, colons and opening brackets in the JSON of a request; photos in base64 have none."""

GRAPH = ("Graph execution error:", "Detected at node", "<stack traces unavailable>", "[[{{node")
"""How lines of TensorFlow's errors begin that say where, not why."""
OF_THE_JOB = (406, 415)
"""Statuses of what a batch transform says of all its photos: `Accept` and `Content-Type`."""

SETTINGS = Path(__file__).parent.parent / "1" / "assets" / "eggseg.json"
"""Beside the model, in the container: the class table."""


class BadRequest(ValueError):
    """What the caller sent cannot be used; the message says why, `status` is its HTTP status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Response(NamedTuple):
    """What TensorFlow Serving answered."""

    status_code: int
    content: bytes


def handler(data: Any, context: Any) -> tuple[bytes | str, str]:
    """The answer to a request, and its content type.

    In a batch transform, where one error would mark the whole job failed, a photo that cannot be used is answered with
    a record of why: `{"error": reason}`. Elsewhere, and for what is asked of all photos of the job, `BadRequest`.
    """
    try:
        return output_handler(_asked(context.rest_uri, input_handler(data, context)), context)
    except BadRequest as error:
        if error.status in OF_THE_JOB or not os.environ.get("SAGEMAKER_BATCH"):
            raise
        return json.dumps({"error": str(error)}), JSON


def _asked(uri: str, body: str) -> Response:
    """TensorFlow Serving's answer, whatever its status is: not every container hands an error on."""
    at = urllib.parse.urlsplit(uri)
    with contextlib.closing(http.client.HTTPConnection(at.netloc)) as connection:
        connection.request("POST", at.path, body, {"Content-Type": JSON})
        answered = connection.getresponse()
        return Response(answered.status, answered.read())


def input_handler(data: Any, context: Any) -> str:
    """The body of TensorFlow Serving's REST call for a request."""
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
    """The photos of a request."""
    kind = (content_type or "").split(";")[0].strip().lower()
    if not body:
        raise BadRequest(400, "the body is empty, expected a photo")
    if len(body) > MOST_BYTES:
        raise too_large(len(body))
    if kind in PHOTOS:
        return [body]
    if kind != JSON:
        raise BadRequest(415, f"Content-Type is {kind!r}, expected one of {', '.join((*PHOTOS, JSON))}")
    # Strings are parsed fast. Millions of numbers or lists take seconds, in which Python does nothing else.
    if sum(body.count(mark) for mark in (b",", b":", b"[", b"{")) > MOST_PARTS:
        raise BadRequest(400, f'the body is not {{"images": [base64, ...]}}: it has more than {MOST_PARTS} parts')
    try:
        found = [base64.b64decode(photo, validate=True) for photo in json.loads(body)["images"]]
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        raise BadRequest(400, f'the body is not {{"images": [base64, ...]}}: {error!r}'[:300]) from None
    if not 1 <= len(found) <= MOST_PHOTOS:
        raise BadRequest(400, f"the body has {len(found)} photos, expected 1 to {MOST_PHOTOS}")
    return found


def answer(
    masks: Sequence[bytes], pixels: Sequence[Sequence[int]], accept: str | None, names: Sequence[str] | None
) -> tuple[bytes | str, str]:
    """The answer to a request and its content type, from masks, the pixels of each class, and what is accepted."""
    accepted = [part.split(";")[0].strip().lower() for part in (accept or JSON).split(",")]
    if JSON in accepted or len(masks) != 1:
        return json.dumps({"photos": [_described(*photo, names) for photo in zip(masks, pixels, strict=True)]}), JSON
    if any(part in ("*/*", "image/*", MASK) for part in accepted):
        return masks[0], MASK
    raise BadRequest(406, f"Accept is {accept!r}, expected {MASK} or {JSON}")


def too_large(size: int) -> BadRequest:
    return BadRequest(413, f"the body has {size} bytes, expected at most {MOST_BYTES}")


def undecodable(error: str) -> BadRequest:
    """For a photo that the model refused: the reason among TensorFlow's lines on where in the graph it arose."""
    lines = (line.strip() for line in error.splitlines())
    reason = next((line for line in lines if line and not line.startswith(GRAPH)), "no reason given")
    # An assertion's data are each in brackets, what was found at last.
    words = re.findall(r"\[(.*?)\]", reason) if "assertion failed: [" in reason else []
    if words:
        reason = " ".join(words[:-1]) + ": " + words[-1] if words[1:] else words[0]
    return BadRequest(400, f"the photo cannot be decoded: {reason[:300]}")


def _described(mask: bytes, pixels: Sequence[int], names: Sequence[str] | None) -> dict[str, Any]:
    counts = [int(count) for count in pixels]
    total = max(1, sum(counts))
    described = {
        "mask": base64.b64encode(mask).decode(),
        "class_pixels": counts,
        "class_shares": [round(count / total, 6) for count in counts],
    }
    return described | ({"classes": list(names)} if names else {})


def _error(content: bytes) -> str:
    """TensorFlow Serving's own words."""
    try:
        return str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        return content.decode("utf-8", "replace")
