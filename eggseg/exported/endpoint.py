"""Requests and answers of an endpoint: photos in, masks out. Imports only the standard library, nothing of eggseg.

A request is the bytes of a photo (`image/jpeg`, `image/png`, `application/x-image`), or JSON `{"images": [base64,
...]}`. `Accept` chooses the answer: `image/png` is the mask of a single photo; `application/json` holds for each photo
the mask in base64, and the number and share of the pixels of each class. Without `Accept` the answer is JSON, since
SageMaker's container then passes `application/json`. The answer to several photos is always JSON.

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
    # Only the local server decodes these formats. The exported graph, which the container runs, refuses them.
    *("image/webp", "image/tiff", "image/avif", "image/heic", "image/heif"),
)
JSON = "application/json"
MASK = "image/png"

MOST_BYTES = 32 * 1024 * 1024
"""Largest body of a request, in bytes."""

MOST_PHOTOS = 16
"""Maximum number of photos in a request."""

MOST_PARTS = 1000
"""Maximum number of `,` `:` `[` and `{` together in the JSON of a request; photos in base64 have none of them."""

GRAPH = ("Graph execution error:", "Detected at node", "<stack traces unavailable>", "[[{{node")
"""How lines of TensorFlow's error messages begin that name a place in the graph, not the reason of the error."""

OF_THE_JOB = (406, 415)
"""HTTP statuses of errors in `Accept` and `Content-Type`; a batch transform sets these headers for the whole job."""

SETTINGS = Path(__file__).parent.parent / "1" / "assets" / "eggseg.json"
"""File with the class table of the model, in SageMaker's container; elsewhere there is no such file."""


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
    """The answer to a request, and its content type; `BadRequest` if the request cannot be answered.

    In a batch transform, one error would fail the whole job: there, the answer for an unusable photo is
    `{"error": reason}`. Errors that concern all photos of the job still raise `BadRequest`.

    `RuntimeError` if TensorFlow Serving fails.
    """
    try:
        return output_handler(_predict(context.rest_uri, input_handler(data, context)), context)
    except BadRequest as error:
        if error.status in OF_THE_JOB or not os.environ.get("SAGEMAKER_BATCH"):
            raise
        return json.dumps({"error": str(error)}), JSON


def _predict(uri: str, body: str) -> Response:
    """POST `body` to TensorFlow Serving; return the answer, whatever its HTTP status.

    Not every version of SageMaker's container passes answers with an error status to `output_handler`.
    """
    address = urllib.parse.urlsplit(uri)
    with contextlib.closing(http.client.HTTPConnection(address.netloc)) as connection:
        connection.request("POST", address.path, body, {"Content-Type": JSON})
        response = connection.getresponse()
        return Response(response.status, response.read())


def input_handler(data: Any, context: Any) -> str:
    """Convert a request to the JSON body for TensorFlow Serving's REST API; `BadRequest` if its body cannot be used."""
    encoded = [{"b64": base64.b64encode(photo).decode()} for photo in photos(data.read(), context.request_content_type)]
    return json.dumps({"signature_name": "serving_default", "inputs": {"image_bytes": encoded}})


def output_handler(response: Response, context: Any) -> tuple[bytes | str, str]:
    """Convert TensorFlow Serving's answer to the answer to a request, and its content type.

    `BadRequest` if the model refused a photo or `Accept` is unsupported; `RuntimeError` if TensorFlow Serving failed.
    """
    if response.status_code == 400:
        raise undecodable(_error(response.content))
    if response.status_code != 200:
        raise RuntimeError(f"the model answered {response.status_code}: {_error(response.content)[:300]}")
    outputs = json.loads(response.content)["outputs"]
    masks = [base64.b64decode(mask["b64"]) for mask in outputs["mask_bytes"]]
    names = [row["name"] for row in json.loads(SETTINGS.read_text())["classes"]] if SETTINGS.is_file() else None
    return answer(masks, outputs["class_pixels"], context.accept_header, names)


def photos(body: bytes, content_type: str | None) -> list[bytes]:
    """The encoded photos in the body of a request; `BadRequest` if the body or its `Content-Type` cannot be used."""
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
    """The answer to a request, and its content type; `BadRequest` if `Accept` allows neither PNG nor JSON.

    `masks` are PNG files, `pixels` the pixel counts per class of each mask, `names` the names of the classes.
    """
    accepted = [part.split(";")[0].strip().lower() for part in (accept or JSON).split(",")]
    if JSON in accepted or len(masks) != 1:
        return json.dumps({"photos": [_description(*photo, names) for photo in zip(masks, pixels, strict=True)]}), JSON
    if any(part in ("*/*", "image/*", MASK) for part in accepted):
        return masks[0], MASK
    raise BadRequest(406, f"Accept is {accept!r}, expected {MASK} or {JSON}")


def too_large(size: int) -> BadRequest:
    return BadRequest(413, f"the body has {size} bytes, expected at most {MOST_BYTES}")


def undecodable(error: str) -> BadRequest:
    """The error for a photo that the model refused; its reason is the first line that `GRAPH` does not exclude."""
    lines = (line.strip() for line in error.splitlines())
    reason = next((line for line in lines if line and not line.startswith(GRAPH)), "no reason given")
    # TensorFlow puts each value that an assertion reports in brackets; the actual value comes last.
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
