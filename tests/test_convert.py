from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import annotated
from helpers.annotated import EGG, HEIGHT, PAN, WIDTH, bits, egg_in_pan, photo, points, ring, write
from helpers.formats import encoded, ramp
from PIL import Image

from eggseg import convert
from eggseg.annotations import coco, regions
from eggseg.annotations.regions import Runs, coco_api
from eggseg.data import masks
from eggseg.data.classes import EGGS_AND_PANS, VOID
from eggseg.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photo(tmp_path / "photos/a.jpg")
    return tmp_path


def coco_file(folder: Path, *segmentations: tuple[int, object]) -> Path:
    return write(folder / "instances.json", annotated.coco(*segmentations, pan="frying pan"))


def packed(rectangle: tuple[int, int, int, int]) -> dict[str, object]:
    runs = coco_api().encode(np.asfortranarray(bits(rectangle)))
    return {"size": [HEIGHT, WIDTH], "counts": runs["counts"].decode()}


def counted(rectangle: tuple[int, int, int, int]) -> dict[str, object]:
    values = bits(rectangle).ravel(order="F")
    edges = np.flatnonzero(np.diff(values)) + 1
    return {"size": [HEIGHT, WIDTH], "counts": np.diff([0, *edges, values.size]).tolist()}


def coco_polygons(folder: Path) -> Path:
    return coco_file(folder, (3, [ring(*EGG)]), (5, [ring(*PAN)]))


def coco_packed(folder: Path) -> Path:
    return coco_file(folder, (3, packed(EGG)), (5, packed(PAN)))


def coco_counted(folder: Path) -> Path:
    return coco_file(folder, (3, counted(EGG)), (5, counted(PAN)))


def labelme_shapes(folder: Path, *shapes: dict[str, object]) -> Path:
    write(folder / "labelme/a.json", annotated.labelme(*shapes, path="..\\photos\\a.jpg"))
    return folder / "labelme"


def labelme(folder: Path) -> Path:
    return labelme_shapes(
        folder,
        {"label": "frying pan", "shape_type": "rectangle", "points": [[30, 25], [4, 5]]},
        {"label": "egg", "points": points(EGG)},
    )


def labelme_mask(folder: Path) -> Path:
    part = Image.fromarray(np.full((6, 8), 255, np.uint8)).convert("1")
    return labelme_shapes(
        folder,
        {"label": "frying pan", "shape_type": "polygon", "points": points(PAN)},
        {
            "label": "egg",
            "shape_type": "mask",
            "points": [[12, 9], [19, 14]],
            "mask": base64.b64encode(encoded(part, "PNG")).decode(),
        },
    )


def cvat_shapes(folder: Path, shapes: str, head: str = "") -> Path:
    return annotated.cvat(folder / "annotations.xml", shapes, head)


def cvat(folder: Path) -> Path:
    egg = ";".join(f"{x}.0,{y}.0" for x, y in points(EGG))
    return cvat_shapes(
        folder,
        f'<polygon label="egg" z_order="0" points="{egg}"/><tag label="dark"/>'
        '<box label="frying pan" z_order="0" xtl="4" ytl="5" xbr="30" ybr="25"/>',
    )


def cvat_mask(folder: Path) -> Path:
    pan = '<mask label="frying pan" z_order="0" rle="0,520" left="4" top="5" width="26" height="20"/>'
    egg = '<mask label="egg" z_order="1" rle="0, 48" left="12" top="9" width="8" height="6"/>'
    return cvat_shapes(folder, egg + pan)


def voc(folder: Path) -> Path:
    root = folder / "voc"
    (root / "SegmentationClass").mkdir(parents=True)
    (folder / "photos").rename(root / "JPEGImages")
    (folder / "photos").symlink_to(root / "JPEGImages")
    (root / "labelmap.txt").write_text(
        "# label:color:parts:actions\nbackground:0,0,0::\negg:128,0,0::\nfrying pan:0,128,0::\n"
    )
    colors = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0)], np.uint8)
    Image.fromarray(colors[egg_in_pan()]).save(root / "SegmentationClass/a.png")
    return root


SOURCES = (coco_polygons, coco_packed, coco_counted, labelme, labelme_mask, cvat, cvat_mask, voc)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
def test_every_tool_gives_the_same_mask(folder: Path, source, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = source(folder), folder / "out"
    assert convert.main([str(path), str(out), "--images", str(folder / "photos"), "--rename", "frying pan=pan"]) == 0
    assert (out / "images/a.jpg").read_bytes() == (folder / "photos/a.jpg").read_bytes()
    mask = masks.read((out / "masks/a.jpg.png").read_bytes(), EGGS_AND_PANS)
    np.testing.assert_array_equal(mask.ids, egg_in_pan())
    assert mask.labels.rounded == 0
    assert f"1 photos and masks in {out}" in capsys.readouterr().out


def pixels(runs: Runs) -> np.ndarray:
    return coco_api().decode(runs)


def box(*args) -> np.ndarray:
    return pixels(regions.box(*args))


def ellipse(*args) -> np.ndarray:
    return pixels(regions.ellipse(*args))


def test_shapes_have_the_pixels_that_lie_in_them() -> None:
    size = (HEIGHT, WIDTH)
    np.testing.assert_array_equal(box(*PAN, size), bits(PAN))
    np.testing.assert_array_equal(box(0, 0, 20, 4, (24, 24), 0).sum(), 80)
    upright = box(2, 8, 18, 12, (24, 24), 90)
    np.testing.assert_array_equal(upright, box(8, 2, 12, 18, (24, 24)))
    round_one = ellipse(18, 14, 10, 6, size)
    assert abs(round_one.sum() - np.pi * 60) < 12
    turned = ellipse(14, 14, 10, 6, (HEIGHT, HEIGHT), 90)
    assert abs(np.count_nonzero(turned != ellipse(14, 14, 6, 10, (HEIGHT, HEIGHT)))) < 6


def test_void_is_a_value_that_training_leaves_out(folder: Path) -> None:
    path = coco_polygons(folder)
    args = [str(path), str(folder / "out"), "--images", str(folder / "photos")]
    assert convert.main([*args, "--rename", "frying pan=pan", "egg=void"]) == 0
    mask = masks.read((folder / "out/masks/a.jpg.png").read_bytes(), EGGS_AND_PANS)
    np.testing.assert_array_equal(mask.ids, np.where(egg_in_pan() == 1, VOID, egg_in_pan()))


@pytest.mark.parametrize("as_polygons", [False, True])
def test_masks_go_to_coco_and_come_back(tmp_path: Path, as_polygons: bool) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "masks/sub").mkdir(parents=True)
    (tmp_path / "photos/sub").mkdir(parents=True)
    truth = {}
    for name in ("a.jpg", "sub/b.png"):
        small = rng.integers(0, 3, (7, 9)).astype(np.uint8)
        truth[name] = np.kron(small, np.ones((5, 5), np.uint8))
        Image.fromarray(EGGS_AND_PANS.paint(truth[name])).save(tmp_path / "masks" / f"{name}.png")
        Image.fromarray(ramp(45, 35)).save(tmp_path / "photos" / name)
    out = tmp_path / "coco.json"
    assert convert.main([str(tmp_path / "masks"), str(out), *(["--polygons"] if as_polygons else [])]) == 0
    content = json.loads(out.read_text())
    assert [image["file_name"] for image in content["images"]] == ["a.jpg", "sub/b.png"]
    assert [row["name"] for row in content["categories"]] == ["egg", "pan"]
    assert sum(row["area"] for row in content["annotations"]) == sum(np.count_nonzero(ids) for ids in truth.values())
    assert convert.main([str(out), str(tmp_path / "back"), "--images", str(tmp_path / "photos")]) == 0
    for name, ids in truth.items():
        back = EGGS_AND_PANS.snap(np.asarray(Image.open(tmp_path / "back/masks" / f"{name}.png")))
        if as_polygons:
            # Outlines have no holes, and those of one class may lie in another's.
            assert np.mean(back == ids) > 0.8
        else:
            np.testing.assert_array_equal(back, ids)


def shrink(folder: Path, path: Path) -> Path:
    Image.new("RGB", (20, 20)).save(folder / "photos/a.jpg")
    return path


def twice(path: Path) -> Path:
    image = '<image id="0" name="a.jpg" width="37" height="29"></image>'
    path.write_text(path.read_text().replace(image, image * 2))
    return path


def test_far_corners_are_as_good_as_near_ones() -> None:
    assert box(-1e9, -1e9, 1e9, 1e9, (HEIGHT, WIDTH)).all()


def test_an_error_in_the_last_photo_leaves_nothing_written(folder: Path) -> None:
    (folder / "photos/b.jpg").write_bytes((folder / "photos/a.jpg").read_bytes())
    path = coco_polygons(folder)
    content = json.loads(path.read_text())
    content["images"].append(content["images"][0] | {"id": 8, "file_name": "b.jpg"})
    content["annotations"].append(content["annotations"][0] | {"id": 9, "image_id": 8, "category_id": 5})
    content["annotations"] = [row for row in content["annotations"] if row["image_id"] == 8 or row["category_id"] == 3]
    path.write_text(json.dumps(content))
    assert convert.main(failing(folder, path)) == 2
    assert not (folder / "out").exists()
    assert convert.main(failing(folder, path, "--rename", "frying pan=pan")) == 0


def test_absolute_names_stay_below_the_output(folder: Path) -> None:
    path = coco_polygons(folder)
    path.write_text(path.read_text().replace('"a.jpg"', json.dumps(str(folder / "photos/a.jpg"))))
    assert convert.main(failing(folder, path, "--rename", "frying pan=pan", "--overwrite")) == 0
    assert (folder / "out/masks/a.jpg.png").exists()
    assert [item.name for item in (folder / "photos").iterdir()] == ["a.jpg"]


def failing(folder: Path, path: Path, *args: str) -> list[str]:
    return [str(path), str(folder / "out"), "--images", str(folder / "photos"), *args]


@pytest.mark.parametrize(
    ("make", "args", "message"),
    [
        (
            coco_polygons,
            (),
            "a.jpg has the label 'frying pan', expected background, egg, pan, void: --rename frying pan=",
        ),
        (coco_polygons, ("--rename", "frying pan"), "--rename frying pan: expected LABEL=NAME"),
        (lambda f: coco_file(f, (9, [ring(*EGG)])), (), "is of category '9', which is not among the categories"),
        (lambda f: shrink(f, coco_polygons(f)), (), "a.jpg is 20x20, its annotation is 37x29"),
        (lambda f: cvat_shapes(f, "").rename(f / "twice.xml") and twice(f / "twice.xml"), (), "has a.jpg twice"),
        (
            lambda f: cvat_shapes(f, "", '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;">]>'),
            (),
            "cannot be read as XML: EntitiesForbidden",
        ),
        (lambda f: f / "photos", ("--format", "voc"), "labelmap.txt: No such file or directory; expected a line"),
        (lambda f: f / "nowhere", (), "is not recognised: expected --format"),
    ],
)
def test_what_cannot_be_converted_is_one_clear_error(
    folder: Path, make, args: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert.main(failing(folder, make(folder), *args)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (folder / "out/masks").exists()


def test_names_that_lead_out_of_the_folder_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = coco_polygons(folder)
    path.write_text(path.read_text().replace("a.jpg", "../secret.jpg"))
    assert convert.main(failing(folder, path)) == 2
    assert "leads out of" in capsys.readouterr().err


def test_a_photo_that_is_not_there_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = coco_polygons(folder)
    (folder / "photos/a.jpg").unlink()
    assert convert.main(failing(folder, path)) == 2
    assert "a.jpg is not there: --images says where the photos lie" in capsys.readouterr().err


def test_nothing_is_replaced_unless_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = failing(folder, coco_polygons(folder), "--rename", "frying pan=pan")
    assert convert.main(args) == 0
    assert convert.main(args) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert convert.main([*args, "--overwrite"]) == 0


@pytest.mark.parametrize(("missing", "source"), [("pycocotools.mask", coco_polygons), ("defusedxml.ElementTree", cvat)])
def test_a_missing_extra_says_how_to_get_it(
    folder: Path, missing: str, source, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    assert convert.main(failing(folder, source(folder))) == 2
    assert "pip install '.[convert]'" in capsys.readouterr().err
    with pytest.raises(InputError):
        next(coco.read(folder / "nothing.json", None, 1))


def instances(folder: Path, *names: str) -> Path:
    """A COCO file of photos with an egg each."""
    file = annotated.coco()
    row = {"category_id": 3, "segmentation": [ring(*EGG)]}
    file["images"] = [file["images"][0] | {"id": i, "file_name": name} for i, name in enumerate(names)]
    file["annotations"] = [row | {"id": i, "image_id": i} for i in range(len(names))]
    for name in names:
        photo(folder / "photos" / name)
    return write(folder / "instances.json", file)


def test_a_mask_that_would_be_taken_for_that_of_another_photo_is_refused(folder: Path, capsys) -> None:
    path = instances(folder, "a.jpg", "a.jpg.png")
    assert convert.main(failing(folder, path)) == 2
    error = capsys.readouterr().err
    assert "a.jpg.png would not be found with" in error
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a", "out/images/a would not be found: expected a name"),
        ("a.tga", "expected a name that is not hidden and ends in .jpg, .jpeg"),
        (".a.jpg", "out/images/.a.jpg would not be found: expected a name that is not hidden"),
        (f"{'a' * 249}.jpg", ".jpg.png: File name too long"),
    ],
)
def test_a_name_that_would_not_be_found_again_is_refused(folder: Path, name: str, message: str, capsys) -> None:
    assert convert.main(failing(folder, instances(folder, name))) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_a_set_that_is_there_keeps_its_pairs(folder: Path, capsys) -> None:
    """Old masks by their stems, which a new photo of that stem would leave without theirs."""
    photo(folder / "out/images/a.webp")
    photo(folder / "out/masks/a.png")
    assert convert.main(failing(folder, instances(folder, "b.jpg"))) == 0
    before = sorted((folder / "out").rglob("*"))
    assert convert.main(failing(folder, instances(folder, "a.jpg"))) == 2
    assert "out/images/a.webp would not be found with" in capsys.readouterr().err
    assert sorted((folder / "out").rglob("*")) == before


def test_an_old_mask_of_the_same_photo_is_not_left_to_be_taken(folder: Path, capsys) -> None:
    photo(folder / "out/masks/a.jpg")
    assert convert.main(failing(folder, instances(folder, "a.jpg"))) == 2
    assert "out/masks/a.jpg would be taken for its mask" in capsys.readouterr().err


def test_faults_of_all_photos_are_listed(folder: Path, capsys) -> None:
    path = instances(folder, "a.jpg", "b.jpg", "c.jpg")
    (folder / "photos/a.jpg").unlink()
    (folder / "photos/c.jpg").write_text("no picture")
    assert convert.main(failing(folder, path)) == 2
    error = capsys.readouterr().err
    assert "2 faults, and nothing was written" in error
    assert "a.jpg is not there: --images says where the photos lie" in error
    assert "c.jpg is no picture" in error


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
def test_pixels_are_bounded(folder: Path, source, capsys: pytest.CaptureFixture[str]) -> None:
    path = source(folder)
    assert convert.main(failing(folder, path, "--max_pixels", "1072")) == 2
    assert "(--max_pixels)" in capsys.readouterr().err
    assert convert.main(failing(folder, path, "--max_pixels", "1073", "--rename", "frying pan=pan")) == 0


@pytest.mark.parametrize("most", ["0", "1000000000000"])
def test_the_bound_is_one_that_pillow_keeps(folder: Path, most: str, capsys) -> None:
    assert convert.main(failing(folder, coco_polygons(folder), "--max_pixels", most)) == 2
    assert f"--max_pixels {most}: expected 1 to " in capsys.readouterr().err


@pytest.mark.parametrize(("tag", "code"), [(1, 2), (3, 2), (6, 0), (8, 0)])
def test_an_annotation_fits_the_upright_photo_or_the_stored_one(folder: Path, tag: int, code: int, capsys) -> None:
    exif = Image.Exif()
    exif[0x0112] = tag
    path = coco_polygons(folder)
    picture = Image.fromarray(ramp(HEIGHT, WIDTH))
    (folder / "photos/a.jpg").write_bytes(encoded(picture, "JPEG", exif=exif))
    assert convert.main(failing(folder, path, "--rename", "frying pan=pan")) == code
    if code:
        assert "a.jpg is 29x37, its annotation is 37x29" in capsys.readouterr().err
