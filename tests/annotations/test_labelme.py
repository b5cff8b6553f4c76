"""LabelMe's and X-AnyLabeling's JSON: shapes of every kind, and which photo a file is about."""

from __future__ import annotations

import base64
import unicodedata

import numpy as np
import pytest
from helpers.annotated import (
    EGG,
    HEIGHT,
    PAN,
    WIDTH,
    bits,
    converted,
    egg_in_pan,
    labelme,
    photo,
    points,
    refused,
    shape,
    write,
)
from helpers.formats import encoded
from PIL import Image

SQUARE = shape("rectangle", [[10, 10], [30, 20]])


@pytest.fixture
def folder(tmp_path):
    photo(tmp_path / "labels/a.jpg")
    return tmp_path / "labels"


def egg(folder, *shapes) -> np.ndarray:
    write(folder / "a.json", labelme(*shapes))
    return converted(folder)["a.jpg"] == 1


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 3, 0, 1), (3, 2, 1, 0), (0, 1, 3, 2), (0, 2, 1, 3)])
def test_a_rectangle_of_four_corners_is_all_of_it(folder, order) -> None:
    """As X-AnyLabeling writes it, from whatever corner and whichever way round."""
    corners = [[10, 10], [30, 10], [30, 20], [10, 20]]
    np.testing.assert_array_equal(egg(folder, shape("rectangle", [corners[i] for i in order])), bits((10, 10, 30, 20)))


@pytest.mark.parametrize("kind", ["rectangle", "rotation", "oriented_rectangle"])
def test_a_turned_rectangle_is_turned(folder, kind: str) -> None:
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    inside = abs(x - 18) + abs(y - 14) < 10
    found = egg(folder, shape(kind, [[18, 4], [28, 14], [18, 24], [8, 14]]))
    assert np.count_nonzero(found != inside) <= 20, "pixels on the edge may be on either side"


def test_a_rectangle_of_two_corners_may_begin_at_any(folder) -> None:
    np.testing.assert_array_equal(egg(folder, shape("rectangle", [[30, 10], [10, 20]])), bits((10, 10, 30, 20)))


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def mask_shape(left: float, top: float, pixels: np.ndarray) -> dict[str, object]:
    height, width = pixels.shape
    data = encoded(Image.fromarray(pixels), "PNG")
    corners = [[left, top], [left + width - 1, top + height - 1]]
    return shape("mask", corners, mask=text(data))


@pytest.mark.parametrize("left", [-30, -4, 0, 12, WIDTH - 3, WIDTH + 5])
@pytest.mark.parametrize("top", [-20, -3, 0, 10, HEIGHT - 2, HEIGHT + 50])
def test_a_mask_is_cut_off_at_the_edge_of_the_photo(folder, left: int, top: int) -> None:
    part = np.random.default_rng(0).integers(0, 2, (8, 10), np.uint8) * 255
    whole = np.zeros((HEIGHT + 200, WIDTH + 200), np.uint8)
    whole[100 + top : 108 + top, 100 + left : 110 + left] = part
    expected = whole[100 : 100 + HEIGHT, 100 : 100 + WIDTH] > 0
    np.testing.assert_array_equal(egg(folder, mask_shape(left, top, part)), expected)


def test_a_mask_that_lies_outside_is_told(folder, capsys) -> None:
    assert not egg(folder, mask_shape(-20, 3, np.full((4, 4), 255, np.uint8))).any()
    told = capsys.readouterr().out
    assert "1 shapes have no area and were skipped: 1 x shape that covers no pixel" in told
    assert "a.jpg has only shapes without an area (1): its mask is all background" in told


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "a mask is empty"),
        ("no base 64", "a mask"),
        (text(b"text"), "a mask is no picture"),
        (text(encoded(Image.new("RGB", (4, 4)), "PNG")), "a mask has 3 channels, expected one"),
        (
            text(encoded(Image.new("1", (9000, 9000)), "PNG")),
            "a mask is 9000x9000, expected",
        ),
    ],
)
def test_a_mask_that_is_no_picture_of_one_channel_is_refused(folder, data: str, message: str, capsys) -> None:
    write(folder / "a.json", labelme(shape("mask", [[0, 0], [3, 3]], mask=data)))
    refused(folder)
    assert message in capsys.readouterr().err


def test_what_has_no_area_is_skipped_and_counted(folder, capsys) -> None:
    lines = [shape("line", [[1, 1], [9, 9]]), shape("linestrip", [[1, 1], [9, 9], [3, 4]]), shape("point", [[3, 3]])]
    thin = [shape("polygon", points(EGG)[:2]), shape("circle", [[3, 3]]), shape("line", [[1, 1], [2, 2]])]
    areas = [shape("polygon", points(PAN), "pan"), shape("polygon", points(EGG))]
    write(folder / "a.json", labelme(*lines, *areas, *thin))
    assert (converted(folder)["a.jpg"] == egg_in_pan()).all()
    told = capsys.readouterr().out
    assert "6 shapes have no area and were skipped: 2 x line, 1 x linestrip, 1 x point, 1 x polygon of 2" in told
    assert "background" not in told


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"imageHeight": None}, "height is None, expected a number"),
        ({"imageHeight": 29.5}, "height is 29.5, expected a whole number"),
        ({"imagePath": 7}, "imagePath is 7, expected a text"),
        ({"imagePath": "a\0.jpg"}, "imagePath is 'a\\x00.jpg', expected the name of a photo"),
        ({"imagePath": ""}, "labels is not there"),
        ({"imagePath": "a" * 300}, "is not there"),
        ({"shapes": {}}, "shapes is {}, expected a list"),
        ({"shapes": [7]}, "found 7, expected an object with label"),
        ({"shapes": [SQUARE | {"label": None}]}, "label is None, expected a text"),
        ({"shapes": [SQUARE | {"points": [[1, 2], [3]]}]}, "points has [3], expected [x, y]"),
        ({"shapes": [SQUARE | {"points": [[1, 2], [3, "x"]]}]}, "points is 'x', expected a number"),
        ({"shapes": [SQUARE | {"points": [[1, 2], [3, 4], [5, 6]]}]}, "a rectangle has 3 points, expected 2 or 4"),
        ({"shapes": [SQUARE | {"shape_type": 7}]}, "shape_type is 7, expected a text"),
        ({"shapes": [SQUARE | {"shape_type": "mask"}]}, "has no mask"),
    ],
)
def test_what_a_file_says_is_checked(folder, changed, message: str, capsys) -> None:
    write(folder / "a.json", labelme(SQUARE) | changed)
    refused(folder)
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_all_faulty_files_are_named(folder, capsys) -> None:
    for name in "abcd":
        photo(folder / f"{name}.jpg")
        write(folder / f"{name}.json", labelme(SQUARE, path=f"{name}.jpg"))
    (folder / "b.json").write_text("{")
    (folder / "d.json").write_text("[" * 100_000)
    refused(folder)
    error = capsys.readouterr().err
    assert "2 faults, and nothing was written" in error
    assert f"{folder}/b.json cannot be read as JSON" in error
    assert f"{folder}/d.json cannot be read as JSON" in error


@pytest.mark.parametrize("name", ["._a.json", ".ipynb_checkpoints/a-checkpoint.json", "__MACOSX/._a.json", ".json"])
def test_hidden_files_are_passed_over(folder, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    assert egg(folder, SQUARE).any()


def test_linked_folders_are_read_once(tmp_path) -> None:
    photo(tmp_path / "elsewhere/cam/b.jpg")
    write(tmp_path / "elsewhere/cam/b.json", labelme(SQUARE, path="b.jpg"))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/cam").symlink_to(tmp_path / "elsewhere/cam")
    (tmp_path / "elsewhere/cam/circle").symlink_to(tmp_path / "labels")
    assert list(converted(tmp_path / "labels")) == ["cam/b.jpg"]


def test_a_byte_order_mark_is_no_error(folder) -> None:
    path = write(folder / "a.json", labelme(SQUARE))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert converted(folder)["a.jpg"].any()


def bytes_of(folder) -> dict[str, bytes]:
    out = folder.parent / "out/images"
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.jpg")}


@pytest.fixture
def nested(tmp_path):
    """Two cameras, whose photos have the same names, and a photo of that name above them."""
    for i, camera in enumerate(("cam1", "cam2")):
        photo(tmp_path / f"photos/{camera}/1.jpg", seed=i)
        write(tmp_path / f"labels/{camera}/1.json", labelme(SQUARE, path=f"../../photos/{camera}/1.jpg"))
    photo(tmp_path / "photos/1.jpg", seed=9)
    return tmp_path


@pytest.mark.parametrize("with_images", [False, True])
@pytest.mark.parametrize("slash", ["/", "\\"])
def test_a_path_starts_from_its_file(nested, with_images: bool, slash: str) -> None:
    for camera in ("cam1", "cam2"):
        path = f"../../photos/{camera}/1.jpg".replace("/", slash)
        write(nested / f"labels/{camera}/1.json", labelme(SQUARE, path=path))
    converted(nested / "labels", *(["--images", str(nested / "photos")] if with_images else []))
    there = {f"{camera}/1.jpg": (nested / f"photos/{camera}/1.jpg").read_bytes() for camera in ("cam1", "cam2")}
    assert bytes_of(nested / "labels") == there


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize(("written", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_photo_is_found_by_its_name_in_either_form_of_unicode(tmp_path, written: str, stored: str, moved) -> None:
    name = "Küche/Spiegelei.jpg"
    photo(tmp_path / "photos" / unicodedata.normalize(stored, name))
    path = ("../../elsewhere/" if moved else "../photos/") + unicodedata.normalize(written, name)
    write(tmp_path / "labels/1.json", labelme(SQUARE, path=path))
    masks = converted(tmp_path / "labels", "--images", str(tmp_path / "photos"))
    assert [unicodedata.normalize("NFC", name) for name in masks] == [name]


def test_photos_that_were_moved_are_found_by_their_folders(nested) -> None:
    (nested / "photos").rename(nested / "moved")
    converted(nested / "labels", "--images", str(nested / "moved"))
    there = {f"{camera}/1.jpg": (nested / f"moved/{camera}/1.jpg").read_bytes() for camera in ("cam1", "cam2")}
    assert bytes_of(nested / "labels") == there


def test_no_photo_of_another_folder_is_taken_instead(nested, capsys) -> None:
    (nested / "photos").rename(nested / "moved")
    (nested / "moved/cam1/1.jpg").unlink()
    refused(nested / "labels", "--images", str(nested / "moved"))
    error = capsys.readouterr().err
    assert f"{nested}/moved/cam1/1.jpg is not there" in error
    assert "cam2" not in error


def test_files_in_one_folder_name_photos_in_many(tmp_path) -> None:
    for i in (1, 2):
        photo(tmp_path / f"photos/cam{i}/1.jpg", seed=i)
        write(tmp_path / f"labels/{i}.json", labelme(SQUARE, path=f"../photos/cam{i}/1.jpg"))
    converted(tmp_path / "labels")
    names = {f"photos/cam{i}/1.jpg": (tmp_path / f"photos/cam{i}/1.jpg").read_bytes() for i in (1, 2)}
    assert bytes_of(tmp_path / "labels") == names
