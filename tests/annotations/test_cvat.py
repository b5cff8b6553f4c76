"""CVAT's XML: what it says is checked before it is used."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.annotated import EGG, HEIGHT, PAN, WIDTH, bits, converted, cvat, egg_in_pan, photo, points, refused

BOX = '<box label="egg" xtl="12" ytl="9" xbr="20" ybr="15"/>'


@pytest.fixture
def folder(tmp_path):
    photo(tmp_path / "a.jpg")
    return tmp_path


def mask(rle: str, **changed: object) -> str:
    place = {"left": 12, "top": 9, "width": 8, "height": 6} | changed
    attributes = " ".join(f'{name}="{value}"' for name, value in place.items())
    return f'<mask label="egg" rle="{rle}" {attributes}/>'


def test_what_has_no_area_is_skipped_and_counted(folder, capsys) -> None:
    pan = ";".join(f"{x},{y}" for x, y in points(PAN))
    shapes = f'{BOX}<polygon label="pan" points="{pan}"/><polygon label="egg" points="1,2;3,4"/>'
    others = '<points label="egg" points="1,2"/><polyline label="egg" points="1,2;3,4"/><cuboid label="egg"/>'
    path = cvat(folder / "a.xml", f'{shapes}{others}<points label="egg" points="5,2"/><tag label="dark"/>')
    assert (converted(path)["a.jpg"] == egg_in_pan()).all()
    told = capsys.readouterr().out
    assert "5 shapes have no area and were skipped: 2 x points, 1 x polygon of 2 points, 1 x polyline, 1 x cub" in told


def test_a_photo_without_a_shape_is_told(folder, capsys) -> None:
    assert not converted(cvat(folder / "a.xml", '<tag label="dark"/>'))["a.jpg"].any()
    assert "a.jpg has no annotation: its mask is all background" in capsys.readouterr().out


@pytest.mark.parametrize(("left", "top"), [(-3, 9), (12, -2), (WIDTH - 2, HEIGHT - 1)])
def test_a_mask_is_cut_off_at_the_edge_of_the_photo(folder, left: int, top: int) -> None:
    found = converted(cvat(folder / "a.xml", mask("0, 48", left=left, top=top)))["a.jpg"]
    box = (max(left, 0), max(top, 0), min(left + 8, WIDTH), min(top + 6, HEIGHT))
    np.testing.assert_array_equal(found, bits(box))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (mask("0,47"), "run lengths of 47 pixels, expected 48"),
        (mask("0,-1,49"), "none below 0"),
        (mask("0,24000000000"), "run lengths of 24000000000 pixels"),
        (mask("0,x"), "rle is 'x', expected a number"),
        (mask(""), "rle is '', expected a number"),
        (mask("0,48", width=10**9), "a photo of 1000000000x6, expected 1 to 80000000 pixels"),
        (mask("0,48", left="nan"), "left is 'nan', expected a number"),
        (mask("0,48", left=1.5), "left is '1.5', expected a whole number"),
        ('<box label="egg" xtl="1" ytl="2" xbr="3"/>', "a 'box' has no ybr"),
        ('<box label="egg" xtl="1" ytl="2" xbr="inf" ybr="3"/>', "xbr is 'inf', expected a number"),
        ('<box xtl="1" ytl="2" xbr="5" ybr="3"/>', "a 'box' has no label"),
        ('<polygon label="egg" points="1,2;3"/>', "points has 3 coordinates, expected an even number"),
        ('<polygon label="egg" points="1,2;3,y;5,6"/>', "points is 'y', expected a number"),
        (BOX.replace("label", 'z_order="top" label'), "z_order is 'top', expected a number"),
        (BOX.replace("label", 'rotation="1e500" label'), "rotation is '1e500', expected a number"),
    ],
)
def test_what_a_file_says_is_checked(folder, shapes: str, message: str, capsys) -> None:
    refused(cvat(folder / "a.xml", shapes))
    error = capsys.readouterr().err
    assert f"{folder}/a.xml: " in error
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("attribute", "other", "message"),
    [
        ('width="37"', "", "a 'image' has no width"),
        ('width="37"', 'width="0"', "a photo of 0x29, expected 1 to"),
        ('width="37"', 'width="99999999999"', "a photo of 99999999999x29, expected 1 to"),
        ('width="37"', 'width="38"', "a.jpg is 37x29, its annotation is 38x29"),
        ('name="a.jpg"', 'name="../a.jpg"', "../a.jpg leads out of"),
        ('name="a.jpg"', 'name="b.jpg"', "b.jpg is not there: --images says where the photos lie"),
        ('<image id="0"', '<track/><image id="0"', "is CVAT for video"),
    ],
)
def test_photos_are_checked(folder, attribute: str, other: str, message: str, capsys) -> None:
    path = cvat(folder / "a.xml", BOX)
    path.write_text(path.read_text().replace(attribute, other))
    refused(path)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_error(folder, encoding: str) -> None:
    path = cvat(folder / "a.xml", BOX)
    path.write_text(path.read_text(), encoding)
    assert (converted(path)["a.jpg"] == bits(EGG)).all()
