"""The endpoint's handler by itself: what it asks of TensorFlow Serving, and what it makes of the answer."""

from __future__ import annotations

import ast
import base64
import importlib.util
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from eggseg.exported import endpoint

PATH = Path(__file__).parents[2] / "sagemaker" / "serve" / "inference.py"
spec = importlib.util.spec_from_file_location("inference", PATH)
assert spec
assert spec.loader
inference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(inference)


def test_the_container_runs_the_endpoint_of_the_package() -> None:
    assert PATH.resolve() == Path(endpoint.__file__).resolve()


def context(content_type: str | None = "image/jpeg", accept: str | None = "image/png") -> Any:
    return SimpleNamespace(request_content_type=content_type, accept_header=accept)


def answer(*masks: bytes, status: int = 200) -> Any:
    outputs = {
        "mask_bytes": [{"b64": base64.b64encode(mask).decode()} for mask in masks],
        "class_pixels": [[90, 8, 2] for _ in masks],
    }
    return SimpleNamespace(status_code=status, content=json.dumps({"outputs": outputs}).encode())


@pytest.mark.parametrize("content_type", ["image/jpeg", "image/png", "application/x-image", "IMAGE/JPEG; q=1"])
def test_bytes_of_a_photo_become_a_call_of_the_model(content_type: str) -> None:
    sent = json.loads(inference.input_handler(io.BytesIO(b"photo"), context(content_type)))
    assert sent["signature_name"] == "serving_default"
    assert sent["inputs"] == {"image_bytes": [{"b64": base64.b64encode(b"photo").decode()}]}


def test_json_of_several_photos_becomes_one_call() -> None:
    body = json.dumps({"images": [base64.b64encode(photo).decode() for photo in (b"a", b"b")]}).encode()
    sent = json.loads(inference.input_handler(io.BytesIO(body), context("application/json")))
    assert [base64.b64decode(one["b64"]) for one in sent["inputs"]["image_bytes"]] == [b"a", b"b"]


def refused(reason: str) -> bytes:
    """TensorFlow Serving's answer to what the graph refuses."""
    lines = ["Graph execution error:", "", "Detected at node case/Assert defined at (most recent call last):"]
    lines += ["<stack traces unavailable>", reason, "\t [[{{node case/Assert}}]] [Op:__inference_serve_3211]"]
    return json.dumps({"error": "\n".join(lines)}).encode()


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"", "image/jpeg", "the body is empty"),
        (b"x" * (inference.MOST_BYTES + 1), "image/jpeg", "expected at most 33554432"),
        (b"x", "text/html", "Content-Type is 'text/html', expected one of image/jpeg"),
        (b"x", None, "Content-Type is ''"),
        (b"{", "application/json", "the body is not"),
        (b"[]", "application/json", "the body is not"),
        (b'{"images": ["%"]}', "application/json", "the body is not"),
        (b'{"images": []}', "application/json", "has 0 photos, expected 1 to 16"),
        (b'{"images": [' + b"[]," * 2_000_000 + b"1]}", "application/json", "it has more than 1000 parts"),
    ],
)
def test_what_cannot_be_used_says_why(body: bytes, content_type: str | None, reason: str) -> None:
    with pytest.raises(inference.BadRequest, match=reason):
        inference.input_handler(io.BytesIO(body), context(content_type))


@pytest.mark.parametrize("accept", ["image/png", "*/*", "text/html, image/*;q=0.8"])
def test_the_mask_of_one_photo_comes_as_a_picture(accept: str | None) -> None:
    assert inference.output_handler(answer(b"mask"), context(accept=accept)) == (b"mask", "image/png")


@pytest.mark.parametrize("accept", ["application/json", "", None])
def test_json_comes_when_asked_for_and_when_nothing_is_asked_for(accept: str | None) -> None:
    body, kind = inference.output_handler(answer(b"mask"), context(accept=accept))
    assert kind == "application/json"
    (photo,) = json.loads(body)["photos"]
    assert base64.b64decode(photo["mask"]) == b"mask"
    assert photo["class_pixels"] == [90, 8, 2]
    assert photo["class_shares"] == [0.9, 0.08, 0.02]


def test_several_masks_come_as_json() -> None:
    body, kind = inference.output_handler(answer(b"a", b"b"), context())
    assert kind == "application/json"
    assert [base64.b64decode(photo["mask"]) for photo in json.loads(body)["photos"]] == [b"a", b"b"]


def test_what_is_not_served_is_said() -> None:
    with pytest.raises(inference.BadRequest, match="Accept is 'text/html', expected image/png or application/json"):
        inference.output_handler(answer(b"mask"), context(accept="text/html"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"error": "INVALID_ARGUMENT: assertion failed\\nmore"}', "cannot be decoded: INVALID_ARGUMENT: assertion"),
        (refused("assertion failed: [neither JPEG, PNG, GIF nor BMP]"), "decoded: neither JPEG, PNG, GIF nor BMP$"),
        (
            refused("assertion failed: [BMP of other than 24 uncompressed bits] [8]"),
            "decoded: BMP of other than 24 uncompressed bits: 8$",
        ),
        (
            refused("assertion failed: [photo of more pixels than] [80000000] [9000 9000]"),
            "decoded: photo of more pixels than 80000000: 9000 9000$",
        ),
        (
            refused("jpeg::Uncompress failed. Invalid JPEG data."),
            r"decoded: jpeg::Uncompress failed. Invalid JPEG data\.$",
        ),
        (refused(""), "decoded: no reason given$"),
        (b"<html>", "cannot be decoded: <html>"),
        (b"", "no reason given"),
    ],
)
def test_what_the_model_refuses_is_said(content: bytes, reason: str) -> None:
    with pytest.raises(inference.BadRequest, match=reason):
        inference.output_handler(SimpleNamespace(status_code=400, content=content), context())


def test_a_model_that_fails_is_not_the_callers_fault() -> None:
    with pytest.raises(RuntimeError, match="the model answered 503: out of memory"):
        inference.output_handler(SimpleNamespace(status_code=503, content=b'{"error": "out of memory"}'), context())


def test_it_needs_the_standard_library_alone() -> None:
    imported = {
        alias.name.split(".")[0]
        for node in ast.walk(ast.parse(PATH.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in ([ast.alias(node.module or "")] if isinstance(node, ast.ImportFrom) else node.names)
    }
    assert imported <= sys.stdlib_module_names
