from __future__ import annotations

import io
import os
import re
import unicodedata
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers.formats import chunk, encoded, ramp, with_chunks
from PIL import Image

import eggseg
from eggseg.data.classes import EGGS_AND_PANS
from eggseg.data.masks import read as read_mask
from eggseg.errors import InputError
from eggseg.pictures import limits, pillow
from eggseg.pictures.pillow import PictureError, listed, png


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
        (encoded(Image.fromarray(np.ones((3, 3), np.float32)), "TIFF"), "^has 32 bits per pixel"),
    ],
    ids=["empty", "text", "truncated jpeg", "truncated png", "heic", "float"],
)
def test_why_a_file_is_unreadable(data, reason, monkeypatch):
    monkeypatch.setattr(pillow, "_kinds", lambda: pillow.KINDS)
    with pytest.raises(PictureError, match=reason):
        pillow.decode(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(kind):
    data = encoded(Image.new("RGB", (30, 20)), kind)
    assert pillow.decode(data, 600)[0].shape == (20, 30, 3)
    with pytest.raises(PictureError, match=r"^is 30x20, expected at most 599 pixels \(--max_pixels\)$"):
        pillow.decode(data, 599)


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied_and_told(kind, tag):
    exif = Image.Exif()
    exif[0x0112] = tag
    pixels, found = pillow.decode(encoded(Image.fromarray(ramp()), kind, exif=exif))
    assert found == tag
    assert pixels.shape == ((21, 37, 3) if tag < 5 else (37, 21, 3))


def test_heic_is_read_where_its_extra_is_installed():
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    data = encoded(Image.fromarray(ramp(64, 48)), "HEIF", quality=-1, chroma=444)
    pixels, _ = pillow.decode(data)
    assert np.abs(pixels.astype(int) - ramp(64, 48)).mean() <= 2


def test_what_is_wrong_with_a_file_begins_with_its_name(tmp_path):
    assert pillow.fault(tmp_path / "a.png", PictureError("is empty")) == f"{tmp_path}/a.png is empty"
    assert pillow.fault(tmp_path / "a.png", FileNotFoundError(2, "No such file")) == f"{tmp_path}/a.png: No such file"


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
        touched(tmp_path / name)
    expected = ["a.PNG", "a.jpg", "b.jpg", "c.JPEG", "c.webp", "d.TIFF", "e.heic", "sub/a.gif", "sub/deep/z.BMP"]
    assert [path.relative_to(tmp_path).as_posix() for path in listed(tmp_path)] == expected


def test_a_folder_without_pictures_lists_nothing(tmp_path):
    assert listed(tmp_path) == []


def touched(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in listed(folder)]


def test_links_to_folders_are_followed(tmp_path):
    touched(tmp_path / "elsewhere/kitchen/deep/a.jpg")
    touched(tmp_path / "elsewhere/hob/b.jpg")
    (tmp_path / "images").mkdir()
    (tmp_path / "images/linked").symlink_to(tmp_path / "elsewhere/kitchen")
    (tmp_path / "elsewhere/kitchen/on").symlink_to("../hob")
    (tmp_path / "all").symlink_to("images")
    (tmp_path / "images/.hidden").symlink_to(tmp_path / "elsewhere/hob")
    assert names(tmp_path / "images") == ["linked/deep/a.jpg", "linked/on/b.jpg"]
    assert names(tmp_path / "all") == ["linked/deep/a.jpg", "linked/on/b.jpg"]


def test_a_folder_is_listed_once_however_many_links_lead_to_it(tmp_path):
    touched(tmp_path / "images/z/a.jpg")
    touched(tmp_path / "elsewhere/b.jpg")
    (tmp_path / "images/again").symlink_to("z")
    (tmp_path / "images/m").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "images/n").symlink_to(tmp_path / "elsewhere")
    assert names(tmp_path / "images") == ["m/b.jpg", "z/a.jpg"]


def test_links_that_lead_in_a_circle_are_passed_over(tmp_path):
    touched(tmp_path / "data/images/sub/a.jpg")
    touched(tmp_path / "data/masks/a.png")
    touched(tmp_path / "elsewhere/in/b.jpg")
    links = {"self": ".", "sub/up": "..", "data": "../..", "root": "/", "out": "../../elsewhere/in"}
    for name, target in links.items():
        (tmp_path / "data/images" / name).symlink_to(target)
    (tmp_path / "elsewhere/in/back").symlink_to(tmp_path / "data/images")
    (tmp_path / "elsewhere/in/above").symlink_to(tmp_path / "elsewhere")
    assert names(tmp_path / "data/images") == ["out/b.jpg", "sub/a.jpg"]


def test_a_link_that_leads_nowhere_is_listed_since_it_may_have_been_a_folder(tmp_path):
    (tmp_path / "kitchen.2").symlink_to(tmp_path / "not mounted")
    (tmp_path / "a.jpg").symlink_to(tmp_path / "gone.jpg")
    (tmp_path / ".lock").symlink_to("somebody@somewhere")
    assert names(tmp_path) == ["a.jpg", "kitchen.2"]


def test_a_folder_that_cannot_be_listed_is_an_error_that_names_it(tmp_path, monkeypatch):
    touched(tmp_path / "images/a.jpg")
    touched(tmp_path / "images/locked/b.jpg")
    scandir = os.scandir

    def refusing(path):  # for the superuser nothing is locked
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(InputError, match=r"images/locked cannot be listed: Permission denied$"):
        listed(tmp_path / "images")


def test_a_name_is_one_in_whatever_form_of_unicode_it_is_stored(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "Küche/Spiegelei à la é.jpg") for form in ("NFC", "NFD"))
    assert composed != decomposed
    touched(tmp_path / decomposed)
    assert pillow.named(tmp_path) == {composed: tmp_path / decomposed}
    assert pillow.name_of(tmp_path / composed, tmp_path) == composed
    assert pillow.name_of(tmp_path / os.fsdecode(b"not \xff unicode.png"), tmp_path) == "not \udcff unicode.png"
    touched(tmp_path / composed)
    with pytest.raises(InputError) as error:
        pillow.named(tmp_path)
    assert "is there twice, its name in two forms of Unicode: 'Spiegelei a\\u0300 la e\\u0301.jpg'" in str(error.value)


FOREIGN = {
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
    "EPS with a preview": b"\xc5\xd0\xd3\xc6\x1e\0\0\0" + bytes(22) + b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "PDF": b"%PDF-1.7\n1 0 obj\n",
    "FITS": b"SIMPLE  =                    T" + b" " * 50,
    "WMF": b"\xd7\xcd\xc6\x9a\0\0" + bytes(40),
    "EMF": b"\x01\0\0\0" + bytes(36) + b" EMF" + bytes(44),
    "PSD": b"8BPS\0\1" + bytes(40),
    "PPM": b"P6 1 1 255\nabc",
    "ICO": b"\0\0\1\0\1\0" + bytes(40),
    "TGA": b"\0\0\2" + bytes(9) + b"\1\0\1\0\x18\0abc",
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40),
    "MPEG": b"\0\0\1\xb3" + bytes(40),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(40),
    "XPM": b"/* XPM */" + bytes(40),
    "text": b"a shopping list",
}


@pytest.mark.parametrize("data", FOREIGN.values(), ids=FOREIGN.keys())
def test_of_what_pillow_knows_nothing_but_the_documented_kinds_is_ever_tried(data, tmp_path, monkeypatch):
    Image.init()
    asked = []

    def refusing(kind):
        return lambda *args: asked.append(kind) or True

    for kind in set(Image.OPEN) - {*pillow.KINDS, pillow.HEIF}:
        monkeypatch.setitem(Image.OPEN, kind, (refusing(kind), refusing(kind)))
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(PictureError, match=r"^is no picture: it begins with"):
        pillow.decode(data)
    with pytest.raises(PictureError, match=r"^is no picture: it begins with"):
        read_mask(data, EGGS_AND_PANS)
    with pytest.raises(PictureError, match=r"^is no picture"), pillow.opened(tmp_path / "a.jpg"):
        pass
    assert not asked


def test_no_part_of_the_package_lets_pillow_choose_the_kind():
    for path in Path(eggseg.__file__).parent.rglob("*.py"):
        for call in re.findall(r"Image\.open\(.*", path.read_text()):
            assert "formats=" in call, f"{path}: {call}"


def test_a_photo_with_a_second_one_behind_it_is_read_as_phones_write_it():
    first, second = Image.fromarray(ramp()), Image.fromarray(ramp(seed=1))
    data = encoded(first, "MPO", save_all=True, append_images=[second], quality=95)
    with pillow.opened(io.BytesIO(data)) as picture:
        assert picture.format == "MPO"
    np.testing.assert_array_equal(pillow.decode(data)[0], pillow.decode(encoded(first, "JPEG", quality=95))[0])


def unsound(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG whose checksum is wrong."""
    return chunk(name, content)[:-4] + b"\0\0\0\0"


HARMLESS = {
    "text, wrong checksum": unsound(b"tEXt", b"Comment\0eggs"),
    "text, too large when unpacked": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(8 << 20))),
    "text, cannot be unpacked": chunk(b"zTXt", b"Comment\0\0eggs"),
    "colour profile, wrong checksum": unsound(b"iCCP", b"p\0\0" + zlib.compress(b"eggs")),
    "gamma, too short": chunk(b"gAMA", b"\0"),
    "animation of no frames": chunk(b"acTL", bytes(8)),
    "EXIF, wrong checksum": unsound(b"eXIf", b"II*\0"),
    "transparency, wrong checksum": unsound(b"tRNS", b"\0\0\0\0\0\0"),
}


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("extra", HARMLESS.values(), ids=HARMLESS.keys())
def test_damage_beside_the_pixels_of_a_png_changes_nothing(extra, place, tmp_path):
    data = with_chunks(encoded(Image.fromarray(ramp()), "PNG"), **{place: extra})
    (tmp_path / "a.png").write_bytes(data)
    with pillow.opened(tmp_path / "a.png") as picture:
        assert picture.size == (37, 21)
    np.testing.assert_array_equal(pillow.decode(data)[0], ramp())
    values = np.array([[0, 128, 255]], np.uint8)
    mask = with_chunks(encoded(Image.fromarray(values).convert("RGB"), "PNG"), **{place: extra})
    np.testing.assert_array_equal(read_mask(mask, EGGS_AND_PANS).ids, [[0, 1, 2]])


@pytest.mark.parametrize(
    ("name", "reason"), [(b"IHDR", r"^cannot be read: its header is damaged or cut"), (b"IDAT", r"^cannot be read: ")]
)
def test_damage_of_what_the_pixels_need_is_told(name, reason):
    data = bytearray(encoded(Image.fromarray(ramp()), "PNG"))
    data[data.index(name) + 5] ^= 0x40
    with pytest.raises(PictureError, match=reason):
        pillow.decode(bytes(data))


@pytest.mark.parametrize("shape", [(1, 1), (37, 91), (37, 91, 3), (1, 7, 3)])
def test_pixels_come_back_from_png(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with Image.open(io.BytesIO(png(pixels))) as picture:
        assert picture.format == "PNG"
        np.testing.assert_array_equal(np.asarray(picture), pixels)


def test_the_largest_limit_is_that_of_pillow():
    assert limits.MOST_PIXELS == 2 * Image.MAX_IMAGE_PIXELS
