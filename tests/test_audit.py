from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.data_sets import SMALL, draw
from PIL import Image

from eggseg import audit, train
from eggseg.auditing import page
from eggseg.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return draw(tmp_path / "data", 8)


def audited(folder: Path, *args: str) -> tuple[int, dict[str, list[dict]]]:
    """The exit code, and the findings by kind."""
    out = folder.parent / "audit"
    code = audit.main([str(folder), "--output_dir", str(out), *args])
    kinds: dict[str, list[dict]] = {}
    for finding in json.loads((out / "audit.json").read_text())["findings"]:
        kinds.setdefault(finding["kind"], []).append(finding)
    return code, kinds


def change(path: Path, **values: object) -> None:
    """Set pixels of a picture: `top` rows to a grey value."""
    pixels = np.array(Image.open(path))
    pixels[: values["top"]] = values["value"]
    Image.fromarray(pixels).save(path)


def test_a_sound_folder_is_told_and_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, kinds = audited(folder)
    assert code == 0
    assert not any(finding["spoils"] for findings in kinds.values() for finding in findings)
    out = capsys.readouterr().out
    assert "8 pairs in" in out
    assert "JPEG RGB (4), PNG RGB (4)" in out
    report = json.loads((folder.parent / "audit/audit.json").read_text())
    assert report["contents"]["sizes"] == {"96x64": 2, "64x96": 2, "77x51": 2, "120x90": 2}
    assert sum(row["photos"] for row in report["sessions"].values()) == 8
    html = (folder.parent / "audit/audit.html").read_text()
    assert "nothing that spoils training" in html
    assert "camera sessions" in html.lower()


@pytest.mark.parametrize(
    ("harm", "kind", "words"),
    [
        (lambda f: (f / "masks/photo_1.png").unlink(), "pairs", "has no mask"),
        (lambda f: (f / "images/photo_1.png").unlink(), "pairs", "has no photo"),
        (lambda f: (f / "images/photo_1.png").write_bytes(b""), "files", "is empty (0 bytes)"),
        (lambda f: (f / "masks/photo_0.jpg").write_bytes(b"a list"), "files", "is no picture"),
        (
            lambda f: (f / "images/photo_0.jpg").write_bytes((f / "images/photo_0.jpg").read_bytes()[:-300]),
            "files",
            "truncated",
        ),
        (lambda f: Image.new("L", (9, 9)).save(f / "masks/photo_1.png"), "files", "photo_1.png is 9x9, its photo"),
        (
            lambda f: [Image.open(p).point(lambda v: v * (v < 99 or v > 200)).save(p) for p in (f / "masks").iterdir()],
            "masks",
            "no mask has the class egg",
        ),
        (lambda f: change(f / "masks/photo_1.png", top=60, value=60), "masks", "most pixels match no class"),
    ],
    ids=["no mask", "no photo", "empty", "text", "truncated", "size", "no egg at all", "other values"],
)
def test_what_spoils_training_is_found_by_audit_and_refused_by_train_in_the_same_words(
    folder: Path, capsys: pytest.CaptureFixture[str], harm, kind: str, words: str
) -> None:
    harm(folder)
    code, kinds = audited(folder)
    assert code == 1
    said = [f"{finding['message']} {finding['details']}" for finding in kinds[kind] if finding["spoils"]]
    assert any(words in line for line in said)
    shown = capsys.readouterr().out
    run = folder.parent / "run"
    assert train.main(["--data_dir", str(folder), "--output_dir", str(run), *SMALL, "--epochs", "1"]) == 2
    refused = capsys.readouterr().err.removeprefix("error: ").split("(--audit warn")[0]
    assert refused
    for line in refused.splitlines():
        assert line.strip() in shown
    assert not (run / "config.json").exists()


def test_train_goes_on_with_the_rest_when_told_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "images/photo_1.png").write_bytes(b"")
    (folder / "masks/photo_2.jpg").unlink()
    args = ["--data_dir", str(folder), "--output_dir", str(folder.parent / "run"), *SMALL, "--epochs", "1"]
    assert train.main([*args, "--audit", "warn"]) == 0
    out = capsys.readouterr().out
    assert "photo_1.png is empty" in out
    assert "photo_2.jpg has no mask" in out
    record = json.loads((folder.parent / "run/config.json").read_text())
    assert len(record["split"]["train"]) + len(record["split"]["val"]) == 6


def test_odd_labels_are_worth_a_look(folder: Path) -> None:
    change(folder / "masks/photo_1.png", top=3, value=170)
    change(folder / "masks/photo_3.png", top=999, value=0)
    pixels = np.array(Image.open(folder / "masks/photo_5.png"))
    pixels[0, :3] = 128
    pixels[0, 3:] = 0
    Image.fromarray(pixels).save(folder / "masks/photo_5.png")
    code, kinds = audited(folder)
    assert code == 0
    messages = {finding["message"]: finding["files"] for finding in kinds["masks"]}
    assert messages["value 170 matches no class; loss and metrics ignore it"] == ["photo_1.png"]
    assert messages["1 hold nothing but background"] == ["photo_3.png"]
    assert messages["1 regions of fewer than 16 pixels in 1 of them"] == ["photo_5.png"]


def test_a_photo_that_is_there_twice_is_found(folder: Path) -> None:
    for kind in ("images", "masks"):
        shutil.copy(folder / kind / "photo_1.png", folder / kind / "copy_1.png")
    code, kinds = audited(folder)
    assert code == 0
    assert kinds["duplicates"][0]["files"] == ["copy_1.png", "photo_1.png"]
    assert kinds["near copies"][0]["files"] == ["copy_1.png", "photo_1.png"]
    change(folder / "masks/copy_1.png", top=999, value=255)
    code, kinds = audited(folder)
    assert code == 1, "which of the two masks is right, nobody knows"
    assert "whose masks differ on" in kinds["duplicates"][0]["message"]


def test_a_near_copy_without_the_pan_of_the_other_is_found(folder: Path) -> None:
    photo = Image.open(folder / "images/photo_1.png")
    photo.point(lambda value: min(255, value + 4)).save(folder / "images/copy_1.png")
    mask = np.array(Image.open(folder / "masks/photo_1.png"))
    mask[mask == 255] = 0
    Image.fromarray(mask).save(folder / "masks/copy_1.png")
    code, kinds = audited(folder)
    assert code == 0
    assert kinds["unlike masks"][0]["details"] == ["copy_1.png has none, photo_1.png has"]


def test_without_the_extra_it_says_what_was_not_looked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagehash", None)
    code, kinds = audited(folder)
    assert code == 0
    assert kinds["near copies"][0]["message"] == (
        "not looked for: finding them takes an extra: pip install '.[audit]' in the folder of eggseg's source"
    )


def test_turned_photos_whose_masks_have_no_tag_are_told(folder: Path) -> None:
    exif = Image.Exif()
    for name, tag in (("photo_0.jpg", 6), ("photo_2.jpg", 3)):
        exif[0x0112] = tag
        photo = Image.open(folder / "images" / name)
        photo.save(folder / "images" / name, exif=exif)
    code, kinds = audited(folder)
    assert code == 0
    assert [finding["files"] for finding in kinds["orientation"]] == [["photo_0.jpg"], ["photo_2.jpg"]]


def test_a_model_disputes_a_wrong_label(data_dir: Path, run_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(data_dir, folder)
    mask = folder / "masks/photo_3.png"
    pixels = np.array(Image.open(mask))
    pixels[pixels == 255] = 128
    Image.fromarray(pixels).save(mask)
    code, kinds = audited(folder, "--model", str(run_dir))
    assert code == 0
    (labels,) = kinds["labels"]
    assert labels["files"][0] == "photo_3.png"
    assert "pan labelled egg" in labels["details"][0]
    assert (tmp_path / "audit/audit.html").read_text().count('alt="model"') >= 1


def test_masks_of_other_values_are_told_a_class_table_on_a_line_that_can_be_copied(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (folder / "masks").iterdir():
        if path.suffix == ".jpg":
            path.unlink()
            (folder / "images" / path.name).unlink()
        else:
            values = np.array(Image.open(path).convert("L")) // 127
            Image.fromarray(values).save(path)
    code, kinds = audited(folder)
    assert code == 1
    lines = capsys.readouterr().out.splitlines()
    table = '[{"name": "background", "value": 0}, {"name": "egg", "value": 1}, {"name": "pan", "value": 2}]'
    assert f"  {table}" in lines
    assert kinds["class table"][0]["details"][-1] == table
    (folder / "classes.json").write_text(table)
    assert audited(folder, "--classes", str(folder / "classes.json"))[0] == 0


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_what_training_takes_is_no_fault(folder: Path, kind: str) -> None:
    """A PNG whose text chunk has a wrong checksum."""
    path = folder / kind / "photo_1.png"
    data = path.read_bytes()
    path.write_bytes(data[:33] + (4).to_bytes(4) + b"tEXta\0bc" + bytes(4) + data[33:])
    code, kinds = audited(folder)
    assert (code, kinds.get("files")) == (0, None)


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_every_file_that_cannot_be_read_is_a_finding_and_the_report_is_written(folder: Path, kind: str) -> None:
    for name in ("photo_1.png", "photo_3.png"):
        path = folder / kind / name
        path.write_bytes(path.read_bytes()[:40])
    code, kinds = audited(folder)
    assert code == 1
    assert [line.split(" ")[0] for line in kinds["files"][0]["details"]] == [
        str(folder / kind / name) for name in ("photo_1.png", "photo_3.png")
    ]
    assert (folder.parent / "audit/audit.html").exists()


def test_the_limit_of_pixels_that_is_named_can_be_set(folder: Path) -> None:
    code, kinds = audited(folder, "--max_pixels", "6000")
    assert code == 1
    assert "expected at most 6000 pixels (--max_pixels)" in kinds["files"][0]["details"][0]
    assert audited(folder, "--max_pixels", "11000")[0] == 0


@pytest.mark.parametrize(
    ("flag", "value", "expected"),
    [("max_pixels", "0", "1 to "), ("val_fraction", "0.0", "above 0, at most 0.5"), ("worst", "-1", "at least 0")],
)
def test_settings_that_cannot_work_are_told(
    folder: Path, capsys: pytest.CaptureFixture[str], flag: str, value: str, expected: str
) -> None:
    assert audit.main([str(folder), "--output_dir", str(folder.parent / "audit"), f"--{flag}", value]) == 2
    assert f"error: --{flag} is {value}, expected {expected}" in capsys.readouterr().err
    assert not (folder.parent / "audit").exists()


def test_what_an_earlier_audit_wrote_stays_where_the_page_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audited(folder)
    before = {path.name: path.read_bytes() for path in (folder.parent / "audit").iterdir()}

    def broken(*args: object) -> None:
        raise InputError("broken")

    (folder / "masks/photo_1.png").unlink()
    monkeypatch.setattr(page, "page", broken)
    assert audited(folder)[0] == 2
    assert {path.name: path.read_bytes() for path in (folder.parent / "audit").iterdir()} == before


def test_photos_without_any_mask_are_findings(folder: Path) -> None:
    for path in (folder / "masks").iterdir():
        path.unlink()
    code, kinds = audited(folder)
    assert code == 1
    assert len(kinds["pairs"][0]["details"]) == 8


@pytest.mark.parametrize("args", [["nowhere"], ["."]])
def test_where_there_is_nothing_to_look_at_it_says_so(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(args) == 2
    assert "is not there: expected a folder with images/ and masks/" in capsys.readouterr().err


def test_names_are_harmless_in_the_page(folder: Path) -> None:
    for kind in ("images", "masks"):
        shutil.copy(folder / kind / "photo_1.png", folder / kind / "<b onload=x>&.png")
    audited(folder)
    html = (folder.parent / "audit/audit.html").read_text()
    assert "<b onload" not in html
    assert "&lt;b onload=x&gt;&amp;.png" in html


@pytest.mark.parametrize("harm", ["names", "bytes"])
def test_training_on_nothing_is_one_clear_error(folder: Path, harm: str, capsys: pytest.CaptureFixture[str]) -> None:
    for path in list((folder / "masks").iterdir()):
        path.rename(path.with_name(f"mask_of_{path.name}")) if harm == "names" else path.write_bytes(b"")
    args = ["--data_dir", str(folder), "--output_dir", str(folder.parent / "run"), *SMALL, "--epochs", "1"]
    assert train.main(args) == 2
    assert ("has no mask" if harm == "names" else "is empty") in capsys.readouterr().err
    assert train.main([*args, "--audit", "warn"]) == 2
    assert "holds no photo with a mask that can be used" in capsys.readouterr().err


def test_a_folder_without_a_sound_pair_is_told(folder: Path, run_dir: Path) -> None:
    for path in (folder / "images").iterdir():
        path.write_bytes(b"")
    code, kinds = audited(folder, "--model", str(run_dir))
    assert code == 1
    assert len(kinds["files"][0]["details"]) == 8
