from __future__ import annotations

import io

import numpy as np
import pytest
from formats import encoded, ramp
from PIL import Image

from eggseg import pictures
from eggseg.pictures import PictureError, listed, png


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (33, 47, 3), np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", r"^is empty \(0 bytes\)$"),
        (b"a shopping list", r"^is no picture: it begins with b'a shopping list', expected JPEG, PNG, .* or HEIC$"),
        (jpeg()[:-200], r"^cannot be read: .*truncated"),
        (png(np.zeros((9, 9), np.uint8))[:-25], r"^cannot be read: "),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", r"^is HEIC; reading it takes an extra: pip install '\.\[heif\]'"),
        (encoded(Image.fromarray(np.ones((3, 3), np.float32)), "TIFF"), "^has 32 bits a pixel"),
    ],
    ids=["empty", "text", "truncated jpeg", "truncated png", "heic", "float"],
)
def test_why_a_file_is_unreadable(data, reason, monkeypatch):
    monkeypatch.setattr(pictures, "_register_heif", lambda: None)
    with pytest.raises(PictureError, match=reason):
        pictures.decode(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(kind):
    data = encoded(Image.new("RGB", (30, 20)), kind)
    assert pictures.decode(data, 600)[0].shape == (20, 30, 3)
    with pytest.raises(PictureError, match=r"^is 30x20, expected at most 599 pixels \(--max_pixels\)$"):
        pictures.decode(data, 599)


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied_and_told(kind, tag):
    exif = Image.Exif()
    exif[0x0112] = tag
    pixels, found = pictures.decode(encoded(Image.fromarray(ramp()), kind, exif=exif))
    assert found == tag
    assert pixels.shape == ((21, 37, 3) if tag < 5 else (37, 21, 3))


def test_heic_is_read_where_its_extra_is_installed():
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    data = encoded(Image.fromarray(ramp(64, 48)), "HEIF", quality=-1, chroma=444)
    pixels, _ = pictures.decode(data)
    assert np.abs(pixels.astype(int) - ramp(64, 48)).mean() <= 2


def test_what_is_wrong_with_a_file_begins_with_its_name(tmp_path):
    assert pictures.fault(tmp_path / "a.png", PictureError("is empty")) == f"{tmp_path}/a.png is empty"
    assert pictures.fault(tmp_path / "a.png", FileNotFoundError(2, "No such file")) == f"{tmp_path}/a.png: No such file"


def test_pictures_are_listed_in_order_by_their_endings(tmp_path):
    names = ["b.jpg", "a.PNG", "c.JPEG", "sub/a.gif", "sub/deep/z.BMP", "a.jpg", "c.webp", "d.TIFF", "e.heic"]
    for name in [
        *names,
        "notes.txt",
        "jpg",
        "a.webm",
        ".hidden.png",
        ".thumbs/x.png",
        "sub/.cache/y.jpg",
        "x.png.part",
    ]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    expected = ["a.PNG", "a.jpg", "b.jpg", "c.JPEG", "c.webp", "d.TIFF", "e.heic", "sub/a.gif", "sub/deep/z.BMP"]
    assert [path.relative_to(tmp_path).as_posix() for path in listed(tmp_path)] == expected


def test_a_folder_without_pictures_lists_nothing(tmp_path):
    assert listed(tmp_path) == []


@pytest.mark.parametrize("shape", [(1, 1), (37, 91), (37, 91, 3), (1, 7, 3)])
def test_pixels_come_back_from_png(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with Image.open(io.BytesIO(png(pixels))) as picture:
        assert picture.format == "PNG"
        np.testing.assert_array_equal(np.asarray(picture), pixels)
