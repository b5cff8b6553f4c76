from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from eggseg.pictures import listed, png, why_unreadable


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (33, 47, 3), np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", r"^is empty \(0 bytes\)$"),
        (b"a shopping list", r"^is no picture: it begins with b'a shopping list', expected JPEG, PNG, BMP or GIF$"),
        (jpeg()[:-200], r"^cannot be read: .*truncated"),
        (png(np.zeros((9, 9), np.uint8))[:-25], r"^cannot be read: "),
        (jpeg(), r"^is a JPEG that the decoder refuses"),
    ],
    ids=["empty", "text", "truncated jpeg", "truncated png", "sound"],
)
def test_why_a_file_is_unreadable(tmp_path, data, reason):
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    assert re.search(reason, why_unreadable(path))


def test_a_missing_file_says_so(tmp_path):
    assert "No such file" in why_unreadable(tmp_path / "gone.png")


def test_pictures_are_listed_in_order_by_their_endings(tmp_path):
    names = ["b.jpg", "a.PNG", "c.JPEG", "sub/a.gif", "sub/deep/z.BMP", "a.jpg"]
    for name in [
        *names,
        "notes.txt",
        "jpg",
        "a.webp",
        ".hidden.png",
        ".thumbs/x.png",
        "sub/.cache/y.jpg",
        "x.png.part",
    ]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    expected = ["a.PNG", "a.jpg", "b.jpg", "c.JPEG", "sub/a.gif", "sub/deep/z.BMP"]
    assert [path.relative_to(tmp_path).as_posix() for path in listed(tmp_path)] == expected


def test_a_folder_without_pictures_lists_nothing(tmp_path):
    assert listed(tmp_path) == []


@pytest.mark.parametrize("shape", [(1, 1), (37, 91), (37, 91, 3), (1, 7, 3)])
def test_pixels_come_back_from_png(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with Image.open(io.BytesIO(png(pixels))) as picture:
        assert picture.format == "PNG"
        np.testing.assert_array_equal(np.asarray(picture), pixels)
