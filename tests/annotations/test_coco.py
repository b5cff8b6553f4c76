"""What COCO's JSON says is checked before it is used."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from helpers.annotated import EGG, HEIGHT, PAN, WIDTH, bits, coco, converted, egg_in_pan, photo, refused, ring, write

from eggseg import convert
from eggseg.annotations.coco import content
from eggseg.annotations.regions import coco_api, outlined
from eggseg.data.classes import EGGS_AND_PANS

HALF = [12 * HEIGHT, 10 * HEIGHT, 15 * HEIGHT]
"""Run lengths of the columns 12 to 21."""


@pytest.fixture
def folder(tmp_path):
    photo(tmp_path / "a.jpg")
    return tmp_path


def runs(counts, size=(HEIGHT, WIDTH)) -> dict[str, object]:
    return {"size": list(size), "counts": counts}


def rows(file, name: str, **changes) -> dict[str, object]:
    return file | {name: [row | changes for row in file[name]]}


@pytest.mark.parametrize(
    ("name", "changes"),
    [("annotations", {"image_id": "7"}), ("annotations", {"image_id": 7.0}), ("images", {"id": "7"})],
)
def test_an_id_is_the_same_as_a_number_and_as_text(folder, name: str, changes) -> None:
    file = rows(coco((3, [ring(*EGG)])), name, **changes)
    assert (converted(write(folder / "a.json", file))["a.jpg"] == bits(EGG)).all()


def test_categories_are_matched_across_types_too(folder) -> None:
    file = rows(coco((3, [ring(*EGG)])), "annotations", category_id="3")
    assert (converted(write(folder / "a.json", file))["a.jpg"] == bits(EGG)).all()


@pytest.mark.parametrize(("written", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_photo_is_found_by_its_name_in_either_form_of_unicode(tmp_path, written: str, stored: str) -> None:
    name = "Küche/Spiegelei.jpg"
    photo(tmp_path / unicodedata.normalize(stored, name))
    file = rows(coco((3, [ring(*EGG)])), "images", file_name=unicodedata.normalize(written, name))
    masks = converted(write(tmp_path / "a.json", file))
    assert [unicodedata.normalize("NFC", name) for name in masks] == [name]


@pytest.mark.parametrize("twice", [7, "7", 7.0])
def test_an_id_that_two_photos_have_is_refused(folder, twice, capsys) -> None:
    photo(folder / "b.jpg")
    file = coco((3, [ring(*EGG)]))
    file["images"].append(file["images"][0] | {"id": twice, "file_name": "b.jpg"})
    refused(write(folder / "a.json", file))
    assert "a.json: images has the id '7' twice" in capsys.readouterr().err


def test_an_id_that_two_categories_have_is_refused(folder, capsys) -> None:
    file = coco((3, [ring(*EGG)]))
    refused(write(folder / "a.json", rows(file, "categories", id=3)))
    assert "categories has the id '3' twice" in capsys.readouterr().err


def test_ids_that_differ_in_the_last_of_twenty_digits_are_two(folder) -> None:
    photo(folder / "b.jpg")
    file = rows(rows(coco((3, [ring(*EGG)])), "images", id=10**19), "annotations", image_id=10**19)
    file["images"].append(file["images"][0] | {"id": 10**19 + 1, "file_name": "b.jpg"})
    found = converted(write(folder / "a.json", file))
    assert [ids.any() for ids in found.values()] == [True, False]


def test_annotations_of_photos_that_are_not_listed_are_counted(folder, capsys) -> None:
    file = coco((3, [ring(*EGG)]), (5, [ring(*PAN)]))
    refused(write(folder / "a.json", rows(file, "annotations", image_id=8)))
    error = capsys.readouterr().err
    assert "2 annotations of images that the file does not list" in error
    assert "is of image '8', which is not among the images" in error


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([100, 200], "run lengths of 300 pixels, expected 1073"),
        ([100, 200, 24000], "run lengths of 24300 pixels"),
        ([100, -5, 978], "none below 0"),
        ([100, 1 << 40, 5], "counts is 1099511627776"),
        ([100, 0.5, 972.5], "counts is 0.5, expected a whole number"),
        ([100, True, 972], "counts is True"),
        ([100, None, 973], "counts is None"),
        ([[100, 973]], "counts is [100, 973]"),
        ([], "run lengths of 0 pixels"),
        (5, "counts is 5, expected a list"),
        ("T3X6", "run lengths of 300 pixels"),
        ("T3X", "packed run lengths are 'T3X'"),
        ("oooooooo0", "a number of 9 characters"),
        ("b'fe'", "packed run lengths are"),
        ("T3X6\ud800", "packed run lengths are"),
        ("", "packed run lengths are ''"),
    ],
)
def test_run_lengths_that_do_not_fill_the_photo_are_refused(folder, counts, message: str, capsys) -> None:
    refused(write(folder / "a.json", coco((3, runs(counts)))))
    error = capsys.readouterr().err
    assert f"{folder}/a.json: of 'a.jpg', " in error
    assert message in error
    assert error.count("\n") == 1


def test_run_lengths_of_another_size_are_refused(folder, capsys) -> None:
    refused(write(folder / "a.json", coco((3, runs(HALF, (WIDTH, HEIGHT))))))
    assert "are of the size [37, 29], expected [29, 37]" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [int, float, str])
def test_run_lengths_are_numbers_however_they_are_written(folder, kind) -> None:
    found = converted(write(folder / "a.json", coco((3, runs([kind(count) for count in HALF])))))
    np.testing.assert_array_equal(found["a.jpg"], bits((12, 0, 22, HEIGHT)))


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_packed_run_lengths_are_those_of_pycocotools(folder, share: float) -> None:
    pixels = np.random.default_rng(0).random((HEIGHT, WIDTH)) < share
    pixels[:, 10:30] = pixels[:1, 10:30]  # long runs too
    packed = coco_api().encode(np.asfortranarray(pixels, np.uint8))["counts"].decode()
    np.testing.assert_array_equal(converted(write(folder / "a.json", coco((3, runs(packed)))))["a.jpg"], pixels)


def test_what_has_no_area_is_skipped_and_counted(folder, capsys) -> None:
    file = coco((5, [ring(*PAN)]), (3, []), (3, []), (3, [[1, 2, 3, 4], ring(*EGG)]), (3, [[2, 2, 9, 9, 5, 5]]))
    del file["annotations"][1]["segmentation"]
    assert (converted(write(folder / "a.json", file))["a.jpg"] == egg_in_pan()).all()
    told = capsys.readouterr().out
    assert "4 shapes have no area and were skipped: 2 x box without an outline, 1 x polygon of 2 points" in told
    assert "1 x shape that covers no pixel" in told
    assert "background" not in told


def test_photos_without_an_outline_are_told(folder, capsys) -> None:
    photo(folder / "b.jpg")
    file = coco((3, []))
    file["images"].append(file["images"][0] | {"id": 8, "file_name": "b.jpg"})
    found = converted(write(folder / "a.json", file))
    assert not any(ids.any() for ids in found.values())
    told = capsys.readouterr().out
    assert "2 masks are all background" in told
    assert "a.jpg has only shapes without an area (1): its mask is all background" in told
    assert "b.jpg has no annotation: its mask is all background" in told


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[0, 0, 5, 0, 5]], "a ring has 5 coordinates, expected an even number"),
        ([0, 0, 5, 0, 5, 5], "a ring is 0, expected a list"),
        ([[0, 0, float("nan"), 1, 1, 1]], "a ring is nan, expected a number"),
        ([[0, 0, 1e300, 1, 1, 1]], "a ring is 1e+300, expected a number"),
        ([[0, 0, 10**400, 1, 1, 1]], "expected a number"),
        ([[0, 0, None, 1, 1, 1]], "a ring is None, expected a number"),
        ("outline", "segmentation is 'outline', expected a list"),
        ({"counts": HALF}, "has no size"),
        ({"size": [HEIGHT, WIDTH]}, "has no counts"),
    ],
)
def test_outlines_are_checked(folder, segmentation, message: str, capsys) -> None:
    refused(write(folder / "a.json", coco((3, segmentation))))
    assert message in capsys.readouterr().err


def test_an_outline_that_crosses_the_photo_a_million_times_is_refused(folder, capsys) -> None:
    zigzag = [[part for i in range(200_000) for part in (10_000 * (i % 2), i % HEIGHT)]]
    refused(write(folder / "a.json", coco((3, zigzag))))
    assert "an outline is longer than 4000000 pixels" in capsys.readouterr().err


def test_a_corner_far_outside_leaves_the_slope_of_its_edges() -> None:
    # Below y = x / 2, on 40 columns and 20 rows.
    below = outlined([np.array([0, 1e6 + 5e5j, 5e5j])], (20, 40))
    y, x = np.mgrid[:20, :40] + 0.5
    assert np.count_nonzero(coco_api().decode(below) != (y > x / 2)) <= 20, "pixels on the edge may be on either side"


def test_a_name_from_windows_is_found(folder) -> None:
    photo(folder / "sub/b.jpg")
    file = rows(coco((3, [ring(*EGG)])), "images", file_name="sub\\b.jpg")
    assert list(converted(write(folder / "a.json", file))) == ["sub/b.jpg"]


def test_a_photo_that_is_a_link_is_taken(folder) -> None:
    photo(folder / "elsewhere/b.jpg")
    (folder / "coco").mkdir()
    (folder / "coco/a.jpg").symlink_to(folder / "elsewhere/b.jpg")
    assert list(converted(write(folder / "coco/a.json", coco((3, [ring(*EGG)]))))) == ["a.jpg"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_error(folder, encoding: str) -> None:
    path = write(folder / "a.json", coco((3, [ring(*EGG)])))
    path.write_text(path.read_text(), encoding)
    assert converted(path)["a.jpg"].any()


def test_outlines_hold_every_pixel_of_a_region_without_holes() -> None:
    ids = egg_in_pan().astype(np.uint8)
    ids[ids == 1] = 2
    ids[0, 0] = 1
    file = content([("a.jpg", ids)], EGGS_AND_PANS, as_polygons=True)
    for row, c in zip(file["annotations"], (1, 2), strict=True):
        rings = [np.array(flat[::2]) + 1j * np.array(flat[1::2]) for flat in row["segmentation"]]
        np.testing.assert_array_equal(coco_api().decode(outlined(rings, ids.shape)), ids == c)


def test_masks_of_another_class_table_are_told(tmp_path, capsys) -> None:
    from PIL import Image

    (tmp_path / "masks").mkdir()
    Image.fromarray(bits(EGG) * 170).save(tmp_path / "masks/a.jpg.png")
    assert convert.main([str(tmp_path / "masks"), str(tmp_path / "out.json")]) == 0
    told = capsys.readouterr().out
    assert "0 objects of 1 masks" in told
    assert "value 170 matches no class" in told
    assert "no mask has the class egg (value 128)" in told


def test_two_masks_of_one_photo_and_one_that_is_none_are_both_named(tmp_path, capsys) -> None:
    photo(tmp_path / "masks/a.jpg")
    photo(tmp_path / "masks/a.jpg.png")
    (tmp_path / "masks/b.png").write_text("no picture")
    assert convert.main([str(tmp_path / "masks"), str(tmp_path / "out.json")]) == 2
    error = capsys.readouterr().err
    assert "a.jpg.png is a second mask of a.jpg" in error
    assert "b.png is no picture" in error
    assert not (tmp_path / "out.json").exists()
