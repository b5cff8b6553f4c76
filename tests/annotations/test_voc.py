"""Pascal VOC's folders: which photo a mask belongs to, and what its colours mean."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.annotated import EGG, PAN, WIDTH, bits, converted, photo, refused
from PIL import Image

NAMES = "# label:color:parts:actions\nbackground:0,0,0::\negg:128,0,0::\npan:0,128,0::\n"
COLORS = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0)], np.uint8)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "voc").mkdir()
    (tmp_path / "voc/labelmap.txt").write_text(NAMES)
    return tmp_path / "voc"


def mask(root, name: str, ids: np.ndarray) -> None:
    path = root / "SegmentationClass" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(COLORS[ids]).save(path)


@pytest.mark.parametrize("with_images", [False, True])
def test_photos_of_one_name_in_two_folders_keep_their_masks(root, with_images: bool) -> None:
    for camera, box in (("cam1", EGG), ("cam2", PAN)):
        photo(root / f"JPEGImages/{camera}/1.jpg")
        mask(root, f"{camera}/1.png", bits(box))
    if with_images:
        (root / "JPEGImages").rename(root / "photos")
    found = converted(root, *(["--images", str(root / "photos")] if with_images else []))
    assert list(found) == ["cam1/1.jpg", "cam2/1.jpg"]
    np.testing.assert_array_equal(found["cam1/1.jpg"], bits(EGG))
    np.testing.assert_array_equal(found["cam2/1.jpg"], bits(PAN))


def test_a_photo_of_another_folder_is_not_taken(root, capsys) -> None:
    photo(root / "JPEGImages/cam1/1.jpg", seed=1)
    photo(root / "JPEGImages/cam2/1.jpg", seed=2)
    mask(root, "cam1/1.png", bits(EGG))
    assert list(converted(root)) == ["cam1/1.jpg"]
    assert (root.parent / "out/images/cam1/1.jpg").read_bytes() == (root / "JPEGImages/cam1/1.jpg").read_bytes()


def test_masks_without_a_photo_or_with_two_are_named(root, capsys) -> None:
    for name in ("a.jpg", "b.jpg", "b.jpeg"):
        photo(root / "JPEGImages" / name)
    for name in ("a.png", "b.png", "sub/a.png"):
        mask(root, name, bits(EGG))
    refused(root)
    error = capsys.readouterr().err
    assert "2 faults, and nothing was written" in error
    assert f"b.png has {root}/JPEGImages/b.jpeg and {root}/JPEGImages/b.jpg, expected one photo" in error
    assert f"sub/a.png has no photo in {root}/JPEGImages, expected one photo" in error


def test_a_mask_of_another_size_is_refused_before_it_is_decoded(root, capsys) -> None:
    photo(root / "JPEGImages/a.jpg")
    mask(root, "a.png", np.zeros((2000, 2000), np.uint8))
    path = root / "SegmentationClass/a.png"
    path.write_bytes(path.read_bytes()[:200])
    refused(root)
    assert f"a.jpg is {WIDTH}x29, its annotation is 2000x2000" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hand:300,0,0::", "has the line 'hand:300,0,0::', expected"),
        ("hand:-1,0,0::", "has the line 'hand:-1,0,0::', expected"),
        ("hand:red", "has the line 'hand:red', expected"),
        ("hand:128,0,0::", "has the same colour for 'egg' and 'hand'"),
    ],
)
def test_lines_of_the_colour_table_are_checked(root, line: str, message: str, capsys) -> None:
    photo(root / "JPEGImages/a.jpg")
    mask(root, "a.png", bits(EGG))
    (root / "labelmap.txt").write_text(NAMES + line + "\n")
    refused(root)
    assert message in capsys.readouterr().err


def test_a_colour_table_that_is_no_text_is_refused(root, capsys) -> None:
    (root / "labelmap.txt").write_bytes(b"\xff\xfe\0\xd8")
    (root / "SegmentationClass").mkdir()
    refused(root)
    assert "labelmap.txt is not UTF-8 text" in capsys.readouterr().err


def test_a_colour_table_that_cannot_be_read_is_refused_with_the_reason(root, capsys) -> None:
    (root / "labelmap.txt").unlink()
    (root / "SegmentationClass").mkdir()
    refused(root)
    assert "labelmap.txt: No such file or directory; expected a line" in capsys.readouterr().err
    (root / "labelmap.txt").mkdir()
    refused(root)
    assert "labelmap.txt: Is a directory; expected a line" in capsys.readouterr().err


def test_a_byte_order_mark_is_no_error(root) -> None:
    photo(root / "JPEGImages/a.jpg")
    mask(root, "a.png", bits(EGG))
    (root / "labelmap.txt").write_text(NAMES.split("\n", 1)[1], "utf-8-sig")
    np.testing.assert_array_equal(converted(root)["a.jpg"], bits(EGG))


def test_a_colour_that_nobody_named_is_refused(root, capsys) -> None:
    photo(root / "JPEGImages/a.jpg")
    mask(root, "a.png", bits(EGG))
    (root / "labelmap.txt").write_text("background:0,0,0::\n")
    refused(root)
    assert "a.png has the colour #800000, which labelmap.txt does not name" in capsys.readouterr().err
