"""The handler within what SageMaker does around it: defaults of headers, limits of size, a batch of photos."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.amazon import SERVERLESS, Container, container


@pytest.fixture(scope="module")
def aws() -> Iterator[Container]:
    with container() as started:
        yield started


def test_png_comes_where_it_is_asked_for(aws: Container) -> None:
    assert aws.invoke(b"photo", "image/jpeg", "image/png") == (200, b"mask of photo", "image/png")


def test_json_comes_where_nothing_is_asked_for(aws: Container) -> None:
    """The container says `application/json` for a caller who said nothing."""
    status, body, kind = aws.invoke(b"photo", "image/jpeg")
    assert (status, kind) == (200, "application/json")
    (photo,) = json.loads(body)["photos"]
    assert base64.b64decode(photo["mask"]) == b"mask of photo"


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"", "the body is empty"), (b"broken", "it ends too early"), (b"heavy", "the model answered 503: out of memory")],
)
def test_an_error_of_an_endpoint_is_500_with_the_reason(aws: Container, body: bytes, reason: str) -> None:
    answer = aws.invoke(body, "image/jpeg", "image/png")
    assert answer.status == 500
    assert reason in json.loads(answer.body)["error"]


def test_a_serverless_endpoint_takes_4_mb(aws: Container) -> None:
    assert aws.invoke_serverless(bytes(SERVERLESS - 100), "image/jpeg", "image/png").status == 200
    assert aws.invoke_serverless(bytes(SERVERLESS + 1), "image/jpeg", "image/png").status == 413
    # JSON holds the mask in base64, which takes a third more.
    assert aws.invoke_serverless(bytes(SERVERLESS - 100), "image/jpeg").status == 424


def test_a_photo_that_cannot_be_used_does_not_fail_a_batch(aws: Container, tmp_path: Path) -> None:
    photos, masks = tmp_path / "photos", tmp_path / "masks"
    for folder in (photos, masks):
        folder.mkdir()
    contents = {"a.jpg": b"one", "b.jpg": b"broken", "c.jpg": b"two", "d.jpg": b"", "e.jpg": bytes(33 * 1024 * 1024)}
    for name, content in contents.items():
        (photos / name).write_bytes(content)
    assert aws.transform(photos, masks, concurrent=3) == "Completed"
    found = {path.name: path.read_bytes() for path in masks.iterdir()}
    assert found.pop("a.jpg.out") == b"mask of one"
    assert found.pop("c.jpg.out") == b"mask of two"
    records = {name: json.loads(content)["error"] for name, content in found.items()}
    assert "it ends too early" in records["b.jpg.out"]
    assert records["d.jpg.out"] == "the body is empty, expected a photo"
    assert "expected at most 33554432" in records["e.jpg.out"]


def test_what_is_wrong_with_all_of_a_batch_fails_it(aws: Container, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(b"one")
    assert aws.transform(tmp_path / "photos", tmp_path, concurrent=1, accept="text/html") == "Failed"
    (tmp_path / "photos/a.jpg").write_bytes(b"heavy")
    assert aws.transform(tmp_path / "photos", tmp_path, concurrent=1) == "Failed"
    assert not list(tmp_path.glob("*.out"))
