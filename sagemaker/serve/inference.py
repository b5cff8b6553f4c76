"""What an endpoint puts before and behind the model: photos in, masks out. The standard library alone.

A request is a photo's bytes (`image/jpeg`, `image/png`, `application/x-image`), or JSON `{"images": [base64, ...]}`.
What `Accept` asks for comes back: `image/png`, the mask of one photo, or `application/json`, of each photo the mask in
base64, how many pixels each class has, and their share.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

PHOTOS = ("image/jpeg", "image/png", "image/bmp", "image/gif", "application/x-image", "application/octet-stream")
JSON = "application/json"
MASK = "image/png"

MOST_BYTES = 6 * 1024 * 1024
"""Of a request: what SageMaker lets through to an endpoint."""

MOST_PHOTOS = 16


class BadRequest(ValueError):
    """What the caller sent cannot be used; the message says why."""


def input_handler(data: Any, context: Any) -> str:
    """The body of TensorFlow Serving's REST call for a request."""
    photos = _photos(data.read(), (context.request_content_type or "").split(";")[0].strip().lower())
    encoded = [{"b64": base64.b64encode(photo).decode()} for photo in photos]
    return json.dumps({"signature_name": "serving_default", "inputs": {"image_bytes": encoded}})


def output_handler(response: Any, context: Any) -> tuple[bytes | str, str]:
    """The answer to a request, and its content type, from TensorFlow Serving's answer."""
    if response.status_code != 200:
        raise BadRequest(_reason(response.content))
    outputs = json.loads(response.content)["outputs"]
    masks = [base64.b64decode(mask["b64"]) for mask in outputs["mask_bytes"]]
    accepted = [part.split(";")[0].strip().lower() for part in (context.accept_header or "").split(",")]
    if JSON in accepted or len(masks) != 1:
        return json.dumps({"photos": _described(masks, outputs["class_pixels"])}), JSON
    if any(part in ("", "*/*", "image/*", MASK) for part in accepted):
        return masks[0], MASK
    raise BadRequest(f"Accept is {context.accept_header!r}, expected {MASK} or {JSON}")


def _photos(body: bytes, content_type: str) -> list[bytes]:
    if not body:
        raise BadRequest("the body is empty, expected a photo")
    if len(body) > MOST_BYTES:
        raise BadRequest(f"the body has {len(body)} bytes, expected at most {MOST_BYTES}")
    if content_type in PHOTOS:
        return [body]
    if content_type != JSON:
        raise BadRequest(f"Content-Type is {content_type!r}, expected one of {', '.join((*PHOTOS, JSON))}")
    try:
        encoded = json.loads(body)["images"]
        photos = [base64.b64decode(photo, validate=True) for photo in encoded]
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise BadRequest(f'the body is not {{"images": [base64, ...]}}: {error!r}') from None
    if not 1 <= len(photos) <= MOST_PHOTOS:
        raise BadRequest(f"the body has {len(photos)} photos, expected 1 to {MOST_PHOTOS}")
    return photos


def _described(masks: Sequence[bytes], pixels: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
    described = []
    for mask, counts in zip(masks, pixels, strict=True):
        counts = [int(count) for count in counts]
        shares = [round(count / max(1, sum(counts)), 6) for count in counts]
        encoded = base64.b64encode(mask).decode()
        described.append({"mask": encoded, "class_pixels": counts, "class_shares": shares})
    return described


def _reason(content: bytes) -> str:
    """Why the model refused, in a line."""
    try:
        error = str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        error = content.decode("utf-8", "replace")
    return f"the photo cannot be decoded: {error.strip().splitlines()[0][:300] if error.strip() else 'no reason given'}"
