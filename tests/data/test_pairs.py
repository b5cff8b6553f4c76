from __future__ import annotations

import dataclasses
import unicodedata
from pathlib import Path

import pytest
from helpers.formats import chunk, encoded, with_chunks
from PIL import Image

from eggseg.data import pairs
from eggseg.errors import InputError


def make(folder: Path, images: list[str], masks: list[str]) -> Path:
    """A data folder of files that hold their own name: pairing looks at names alone."""
    for kind, names in (("images", images), ("masks", masks)):
        (folder / kind).mkdir()
        for name in names:
            path = folder / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{kind} {name}")
    return folder


def found(folder: Path) -> dict[str, str]:
    """The name of each photo's mask."""
    return {pair.name: pair.mask.relative_to(folder / "masks").as_posix() for pair in pairs.find(folder)}


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("a.jpg", "a.jpg"),
        ("a.JPG", "a.JPG"),
        ("a.jpg", "a.jpg.png"),
        ("a.jpg", "a.png"),
        ("a.png", "a.bmp"),
        ("cam/left/a.jpg", "cam/left/a.png"),
        ("3 (10).jpg", "3 (10).jpg"),
        ("v1.2.jpg", "v1.2.png"),
        ("a.jpg", "a.PNG"),
        ("a.jpg", "a.JPG"),
        ("a.JPG", "a.jpg.png"),
        ("a.JPG", "a.JPG.PNG"),
        ("IMG_1.JPG", "img_1.png"),
        ("Cam/a.jpg", "cam/A.tif"),
    ],
)
def test_a_mask_is_found_by_its_name(tmp_path, image, mask):
    assert found(make(tmp_path, [image], [mask])) == {image: mask}


def test_photos_of_one_stem_have_masks_of_their_own_names(tmp_path):
    names = ["a.jpg", "a.png"]
    assert found(make(tmp_path, names, names)) == {"a.jpg": "a.jpg", "a.png": "a.png"}


def test_a_stem_that_two_photos_share_names_no_mask(tmp_path):
    folder = make(tmp_path, ["a.jpg", "a.png"], ["a.bmp"])
    with pytest.raises(InputError) as error:
        pairs.find(folder)
    for lost in ("images/a.jpg has no mask", "images/a.png has no mask", "masks/a.bmp has no photo"):
        assert lost in str(error.value)


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        (["a.jpg", "a.JPG"], ["a.jpg", "a.JPG"]),
        (["a.jpg", "A.jpg"], ["a.png", "A.png"]),
        (["a.jpg", "a.JPG"], ["a.jpg.png", "a.JPG.png"]),
        (["a.jpg", "a.png"], ["a.jpg.png", "a.png.png"]),
        (["a.jpg", "a.jpg.jpg"], ["a.jpg.png", "a.jpg.jpg.png"]),
        (["a.jpg", "b.jpg"], ["a.PNG", "B.png"]),
    ],
)
def test_the_name_that_is_most_alike_counts(tmp_path, images, masks):
    assert found(make(tmp_path, images, masks)) == dict(zip(images, masks, strict=True))


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        (["a.jpg", "A.jpg"], ["a.jpg.PNG"]),
        (["a.jpg", "a.JPG"], ["a.png"]),
        (["a.jpg", "a.jpg.jpg"], ["a.jpg.png"]),
        (["a.jpg"], ["a.png", "a.PNG"]),
    ],
)
def test_no_mask_is_given_twice_and_none_is_dropped_unsaid(tmp_path, images, masks):
    folder = make(tmp_path, images, masks)
    matched, missing = pairs.match(folder)
    assert len({pair.mask for pair in matched}) == len(matched)
    assert len(missing) == len(images) + len(masks) - 2 * len(matched) > 0


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
@pytest.mark.parametrize("ending", [".jpg", ".jpg.png", ".PNG"])
def test_names_in_two_forms_of_unicode_are_one_name(tmp_path, forms, ending):
    image, mask = (unicodedata.normalize(form, "Küche/é") for form in forms)
    (pair,) = pairs.find(make(tmp_path, [f"{image}.jpg"], [f"{mask}{ending}"]))
    assert pair.name == "K\u00fcche/\u00e9.jpg"
    assert (pair.image, pair.mask) == (tmp_path / f"images/{image}.jpg", tmp_path / f"masks/{mask}{ending}")
    assert pair.image.exists()
    assert pair.mask.exists()


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_two_files_of_one_name_in_two_forms_of_unicode_are_an_error(tmp_path, kind):
    names = {"images": ["\u00e9.jpg"], "masks": ["\u00e9.jpg"]}
    names[kind] = ["\u00e9.jpg", "e\u0301.jpg"]
    with pytest.raises(InputError, match=r"two forms of Unicode: 'e\\u0301.jpg' and '\\xe9.jpg': rename one"):
        pairs.find(make(tmp_path, **names))


def test_folders_that_are_links_are_photos_and_masks_too(tmp_path):
    make(tmp_path, [], ["own.png"])
    (tmp_path / "images/own.jpg").write_text("own")
    (tmp_path / "store").mkdir()
    make(tmp_path / "store", ["a.jpg"], ["a.png"])
    for kind in ("images", "masks"):
        (tmp_path / kind / "linked").symlink_to(tmp_path / "store" / kind)
    assert found(tmp_path) == {"linked/a.jpg": "linked/a.png", "own.jpg": "own.png"}


def test_stems_in_different_folders_are_different(tmp_path):
    folder = make(tmp_path, ["x/a.jpg", "y/a.jpg"], ["x/a.png", "y/a.png"])
    assert found(folder) == {"x/a.jpg": "x/a.png", "y/a.jpg": "y/a.png"}


def test_pairs_are_sorted_by_name_and_hold_existing_paths(tmp_path):
    names = ["b.jpg", "a/z.jpg", "B.jpg", "a.jpg"]
    listed = pairs.find(make(tmp_path, names, names))
    assert [pair.name for pair in listed] == ["B.jpg", "a.jpg", "a/z.jpg", "b.jpg"]
    assert all(pair.image == tmp_path / "images" / pair.name and pair.mask.exists() for pair in listed)


def test_the_error_lists_photos_without_mask_and_masks_without_photo(tmp_path):
    folder = make(tmp_path, ["a.jpg", "lonely.jpg"], ["a.jpg", "orphan.png"])
    with pytest.raises(InputError) as error:
        pairs.find(folder)
    heading, *lines = str(error.value).splitlines()
    assert heading == "2 files without a pair:"
    assert f"{folder}/images/lonely.jpg has no mask: expected {folder}/masks/lonely.jpg" in lines[0]
    assert f"{folder}/masks/orphan.png has no photo" in lines[1]


def test_a_long_list_of_errors_is_cut(tmp_path):
    folder = make(tmp_path, [f"{i:02}.jpg" for i in range(25)], [])
    with pytest.raises(InputError, match="25 files without") as error:
        pairs.find(folder)
    lines = str(error.value).splitlines()
    assert len(lines) == 22
    assert lines[-1].strip() == "and 5 more"


@pytest.mark.parametrize("gone", [".", "images", "masks"])
def test_a_missing_folder_is_named(tmp_path, gone):
    for kind in {"images", "masks"} - {gone}:
        if gone != ".":
            (tmp_path / "data" / kind).mkdir(parents=True)
    with pytest.raises(InputError) as error:
        pairs.find(tmp_path / "data")
    assert str(error.value).startswith(f"{tmp_path / 'data' / gone} is not there")


def test_a_folder_without_photos_is_an_error(tmp_path):
    with pytest.raises(InputError, match="images holds no photo"):
        pairs.find(make(tmp_path, ["notes.txt"], []))


def test_the_fingerprint_changes_with_a_byte_and_with_a_name(tmp_path):
    listed = pairs.find(make(tmp_path, ["a.jpg", "b.jpg"], ["a.jpg", "b.jpg"]))
    first = pairs.fingerprint(listed)
    assert pairs.fingerprint(listed) == first
    assert pairs.fingerprint([dataclasses.replace(listed[0], name="c.jpg"), listed[1]]) != first
    assert pairs.fingerprint(listed[:1]) != first
    for path in (listed[0].image, listed[1].mask):
        before = path.read_bytes()
        path.write_bytes(bytes([before[0] ^ 1]) + before[1:])
        assert pairs.fingerprint(listed) != first
        path.write_bytes(before)
    assert pairs.fingerprint(listed) == first


def test_the_size_of_a_picture_is_width_by_height(tmp_path):
    Image.new("RGB", (37, 91)).save(tmp_path / "a.png")
    assert pairs.size(tmp_path / "a.png") == (37, 91)


def test_the_size_of_a_png_is_read_past_a_damaged_text(tmp_path):
    text = chunk(b"tEXt", b"Comment\0eggs")[:-4] + b"\0\0\0\0"
    (tmp_path / "a.png").write_bytes(with_chunks(encoded(Image.new("RGB", (37, 91)), "PNG"), text))
    assert pairs.size(tmp_path / "a.png") == (37, 91)


def test_the_size_of_no_picture_is_an_error_that_names_it(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(InputError, match=r"a\.png is no picture"):
        pairs.size(tmp_path / "a.png")
