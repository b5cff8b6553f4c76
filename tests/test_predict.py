"""Prediction: names, sizes, what is written and what is not."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eggseg import predict
from eggseg.errors import InputError
from eggseg.exported import saved_model
from eggseg.exported.saved_model import Segmenter
from eggseg.prediction import inputs, writing


def photo(path: Path, size: tuple[int, int] = (31, 47)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (120, 110, 100)).save(path)
    return path


def args(run_dir: Path, out: Path, *inputs: Path | str) -> list[str]:
    return [*map(str, inputs), "--model", str(run_dir), "--output_dir", str(out)]


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_masks_have_their_photos_size_and_values(run_dir: Path, data_dir: Path, tmp_path: Path) -> None:
    assert predict.main(args(run_dir, tmp_path, data_dir / "images")) == 0
    for path in (data_dir / "images").iterdir():
        with Image.open(tmp_path / "masks" / f"{path.name}.png") as mask, Image.open(path) as original:
            assert mask.mode == "L"
            assert mask.size == original.size
            assert set(np.unique(np.asarray(mask))) <= {0, 128, 255}


def test_every_output_is_written_when_asked_for(run_dir: Path, data_dir: Path, tmp_path: Path) -> None:
    given = data_dir / "images" / "photo_1.png"
    assert (
        predict.main([*args(run_dir, tmp_path, given), "--overlay", "--probabilities", "--objects", "--confidence"])
        == 0
    )
    assert files(tmp_path) == [
        "confidence/photo_1.png.png",
        "journal.jsonl",
        "masks/photo_1.png.png",
        "objects/photo_1.png.json",
        "overlays/photo_1.png.png",
        "probabilities/photo_1.png.npz",
        "summary.csv",
    ]
    mask = np.asarray(Image.open(tmp_path / "masks/photo_1.png.png"))
    with np.load(tmp_path / "probabilities/photo_1.png.npz") as arrays:
        probabilities = arrays["probabilities"]
    np.testing.assert_array_equal(np.array([0, 128, 255])[probabilities.argmax(-1)], mask)
    confidence = np.asarray(Image.open(tmp_path / "confidence/photo_1.png.png"))
    np.testing.assert_allclose(confidence / 255, probabilities.max(-1), atol=0.5 / 255 + 1e-6)
    for found in json.loads((tmp_path / "objects/photo_1.png.json").read_text()):
        x, y = found["contour"][0]
        assert mask[y, x] == {"egg": 128, "pan": 255}[found["class"]]


def test_what_the_model_is_unsure_of_is_of_no_class(run_dir: Path, data_dir: Path, tmp_path: Path) -> None:
    given = data_dir / "images" / "photo_1.png"
    flags = ["--unsure", "0.9", "--probabilities", "--objects", "--overlay"]
    assert predict.main([*args(run_dir, tmp_path, given), *flags]) == 0
    mask = np.asarray(Image.open(tmp_path / "masks/photo_1.png.png"))
    with np.load(tmp_path / "probabilities/photo_1.png.npz") as arrays:
        highest, ids = arrays["probabilities"].max(-1), arrays["probabilities"].argmax(-1)
    np.testing.assert_array_equal(mask, np.where(highest < 0.9, 64, np.array([0, 128, 255])[ids]))
    assert (mask == 64).any()
    (row,) = csv.DictReader((tmp_path / "summary.csv").read_text().splitlines())
    assert float(row["unsure_share"]) == pytest.approx((mask == 64).mean(), abs=1e-6)
    assert float(row["uncertainty"]) == pytest.approx(1 - highest.mean(), abs=1e-5)
    areas = [found["area"] for found in json.loads((tmp_path / "objects/photo_1.png.json").read_text())]
    assert sum(areas) <= (mask > 100).sum(), "objects have none of these pixels"


@pytest.mark.parametrize("unsure", ["-0.1", "1.5", "nan"])
def test_a_limit_of_probability_out_of_range_is_an_error(
    run_dir: Path, tmp_path: Path, unsure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict.main([*args(run_dir, tmp_path, photo(tmp_path / "a.png")), "--unsure", unsure]) == 2
    assert "--unsure is" in capsys.readouterr().err


def test_the_summary_counts_what_the_mask_shows(run_dir: Path, data_dir: Path, tmp_path: Path) -> None:
    assert predict.main(args(run_dir, tmp_path, data_dir / "images")) == 0
    rows = list(csv.DictReader((tmp_path / "summary.csv").read_text().splitlines()))
    assert len(rows) == 16
    for row in rows:
        mask = np.asarray(Image.open(tmp_path / "masks" / f"{row['file']}.png"))
        assert (int(row["height"]), int(row["width"])) == mask.shape
        assert int(row["egg_pixels"]) == (mask == 128).sum()
        assert float(row["pan_share"]) == pytest.approx((mask == 255).mean(), abs=1e-6)


def test_photos_of_one_stem_do_not_share_an_output(run_dir: Path, tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.jpg")
    photo(tmp_path / "in" / "a.png", (20, 10))
    assert predict.main(args(run_dir, tmp_path / "out", tmp_path / "in")) == 0
    assert files(tmp_path / "out" / "masks") == ["a.jpg.png", "a.png.png"]


def test_names_are_relative_to_the_folder_that_was_given(tmp_path: Path) -> None:
    for name in ("top.png", "below/x.png", "below/deep/x.png", ".hidden/x.png", "notes.txt"):
        photo(tmp_path / "in" / name) if name.endswith("png") else (tmp_path / "in" / name).write_text("")
    given = str(tmp_path / "in")
    assert list(inputs.named([given], False, tmp_path / "out")) == ["top.png"]
    assert set(inputs.named([given], True, tmp_path / "out")) == {"top.png", "below/x.png", "below/deep/x.png"}
    assert set(inputs.named([f"{given}/*.png"], False, tmp_path / "out")) == {"top.png"}
    assert set(inputs.named([f"{given}/top.png", given], False, tmp_path / "out")) == {"top.png"}


def test_two_photos_of_one_name_are_an_error_that_names_both(tmp_path: Path) -> None:
    given = [str(photo(tmp_path / folder / "x.png")) for folder in "ab"]
    with pytest.raises(InputError, match=r"a/x\.png and .*b/x\.png would both write x\.png\.png"):
        inputs.named(given, False, tmp_path / "out")


@pytest.mark.parametrize("missing", ["nothing.jpg", "nothing/*.jpg"])
def test_an_input_that_stands_for_nothing_is_an_error(
    tmp_path: Path, run_dir: Path, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict.main(args(run_dir, tmp_path / "out", tmp_path / missing)) == 2
    assert capsys.readouterr().err == f"error: {tmp_path / missing} is not there\n"
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_is_an_error(tmp_path: Path, run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    assert predict.main(args(run_dir, tmp_path / "out", tmp_path / "in")) == 2
    assert "holds no photo: expected files that end in .jpg" in capsys.readouterr().err


def test_what_cannot_be_read_is_named_and_the_rest_is_done(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    whole = photo(folder / "whole.jpg", (200, 100)).read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_text("not a photo")
    (folder / "empty.png").write_bytes(b"")
    assert predict.main(args(run_dir, tmp_path / "out", folder)) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    assert errors[0].startswith(f"error: {folder / 'cut.jpg'} cannot be read: ")
    assert errors[1] == f"error: {folder / 'empty.png'} is empty (0 bytes)"
    assert errors[2].startswith(f"error: {folder / 'text.jpg'} is no picture: it begins with b'not a photo'")
    assert files(tmp_path / "out") == ["journal.jsonl", "masks/whole.jpg.png", "summary.csv"]


def test_the_limit_of_pixels_is_the_models_or_that_of_the_command(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Path(shutil.copytree(run_dir / "saved_model/1", tmp_path / "model"))
    path = model / "assets/eggseg.json"
    record = json.loads(path.read_text())
    record["settings"]["max_pixels"] = 2000
    path.write_text(json.dumps(record))
    small, large = (photo(tmp_path / "in" / name, size) for name, size in (("a.png", (31, 47)), ("b.png", (62, 47))))
    out = tmp_path / "out"
    assert predict.main(args(model, out, tmp_path / "in")) == 1
    assert f"error: {large} is 62x47, expected at most 2000 pixels (--max_pixels)" in capsys.readouterr().err
    assert files(out / "masks") == ["a.png.png"]
    assert predict.main([*args(model, out, tmp_path / "in"), "--resume", "--max_pixels", "3000"]) == 0
    assert files(out / "masks") == ["a.png.png", "b.png.png"]
    assert predict.main([*args(run_dir, tmp_path / "few", small), "--max_pixels", "1000"]) == 1
    assert f"error: {small} is 31x47, expected at most 1000 pixels (--max_pixels)" in capsys.readouterr().err
    assert predict.main([*args(run_dir, tmp_path / "none", small), "--max_pixels", "0"]) == 2
    assert "error: --max_pixels is 0, expected 1 to " in capsys.readouterr().err


def test_the_summary_keeps_the_order_and_loses_none(run_dir: Path, tmp_path: Path) -> None:
    names = [f"{i:02}.png" for i in range(20)]
    for i, name in enumerate(names):
        # The first are the largest, so that later ones are done before them.
        photo(tmp_path / "in" / name, (1200 - 60 * i, 800)) if i != 10 else (tmp_path / "in" / name).write_text("none")
    assert predict.main(args(run_dir, tmp_path / "out", tmp_path / "in")) == 1
    names.remove("10.png")
    rows = list(csv.DictReader((tmp_path / "out" / "summary.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == names
    assert files(tmp_path / "out" / "masks") == [f"{name}.png" for name in names]
    assert all(float(row["seconds"]) > 0 for row in rows)


def test_an_interruption_leaves_the_photos_that_have_not_begun(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(50):
        photo(tmp_path / "in" / f"{i}.png")
    begun = []

    def interrupted(segmenter: object, name: str, *_: object) -> str:
        begun.append(name)
        time.sleep(0.05)
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "_predict_one", interrupted)
    assert predict.main(args(run_dir, tmp_path / "out", tmp_path / "in")) == 130
    assert capsys.readouterr().err.endswith("stopped\n")
    assert len(begun) < 20


def test_nothing_is_overwritten_unless_told(run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given, out = photo(tmp_path / "a.png"), tmp_path / "out"
    before = out / "masks" / "a.png.png"
    before.parent.mkdir(parents=True)
    before.write_bytes(b"mine")
    assert predict.main(args(run_dir, out, given)) == 2
    assert capsys.readouterr().err == f"error: {before} is there already: --overwrite replaces them\n"
    assert before.read_bytes() == b"mine"
    assert predict.main([*args(run_dir, out, given), "--overwrite"]) == 0
    assert before.read_bytes() != b"mine"


def test_an_output_that_cannot_be_made_is_an_error(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert predict.main(args(run_dir, tmp_path / "file" / "out", photo(tmp_path / "a.png"))) == 2
    assert capsys.readouterr().err.endswith("Not a directory\n")


def rows(out: Path) -> list[dict[str, str]]:
    """The summary, but for the time that each photo took."""
    read = csv.DictReader((out / "summary.csv").read_text().splitlines())
    return [{key: value for key, value in row.items() if key != "seconds"} for row in read]


def times(folder: Path) -> dict[str, int]:
    """When each mask was written."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / "masks").rglob("*.png")}


def test_another_call_replaces_nothing_of_an_earlier_one(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, out = photo(tmp_path / "a.png"), photo(tmp_path / "b.png"), tmp_path / "out"
    assert predict.main(args(run_dir, out, first)) == 0
    before = {name: (out / name).read_bytes() for name in files(out)}
    assert predict.main(args(run_dir, out, second)) == 2
    assert "summary.csv and 1 more are there already: --resume continues, --overwrite" in capsys.readouterr().err
    assert {name: (out / name).read_bytes() for name in files(out)} == before
    assert predict.main([*args(run_dir, out, second), "--resume"]) == 0
    assert [row["file"] for row in rows(out)] == ["b.png", "a.png"]
    assert predict.main([*args(run_dir, out, second), "--overwrite"]) == 0
    assert [row["file"] for row in rows(out)] == ["b.png"], "begun anew"


def test_after_a_kill_at_any_moment_it_goes_on_and_the_summary_is_whole(run_dir: Path, tmp_path: Path) -> None:
    for i in range(6):
        photo(tmp_path / "in" / f"{i}.png", (30 + i, 40))
    out, given = tmp_path / "out", args(run_dir, tmp_path / "out", tmp_path / "in")
    assert predict.main([*given, "--overlay"]) == 0
    whole, journal = rows(out), (out / "journal.jsonl").read_bytes()
    lines = journal.splitlines(keepends=True)
    for whole_lines, torn in ((1, 0), (3, 20), (6, 0), (6, len(lines[6]) - 1)):
        (out / "summary.csv").unlink(missing_ok=True)
        (out / "journal.jsonl").write_bytes(b"".join(lines[:whole_lines]) + lines[whole_lines][:torn])
        (out / "overlays" / "0.png.png").unlink()  # it is half done, whatever the journal says
        before = times(out)
        assert predict.main([*given, "--overlay", "--resume"]) == 0
        assert rows(out) == whole
        kept = {f"{i}.png.png" for i in range(1, whole_lines - 1 + (torn == len(lines[6]) - 1))}
        assert {name for name, when in times(out).items() if when == before[name]} == kept
        assert len((out / "journal.jsonl").read_bytes().splitlines()) == 7


def test_what_an_interruption_left_is_done_by_resume(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(5):
        photo(tmp_path / "in" / f"{i}.png")
    out, given = tmp_path / "out", args(run_dir, tmp_path / "out", tmp_path / "in")
    one = writing._predict_one

    def interrupted(segmenter: Segmenter, name: str, *rest: Any) -> Any:
        if name == "3.png":
            raise KeyboardInterrupt
        return one(segmenter, name, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(writing, "_predict_one", interrupted)
        assert predict.main(given) == 130
    assert [row["file"] for row in rows(out)] == ["0.png", "1.png", "2.png"]
    capsys.readouterr()
    assert predict.main([*given, "--resume"]) == 0
    assert "3 photos are done already, 2 are left" in capsys.readouterr().out
    assert [row["file"] for row in rows(out)] == [f"{i}.png" for i in range(5)]


def test_resume_mixes_neither_models_nor_settings(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, given = tmp_path / "out", args(run_dir, tmp_path / "out", photo(tmp_path / "a.png"))
    assert predict.main(given) == 0
    before = {name: (out / name).read_bytes() for name in files(out)}
    assert predict.main([*given, "--resume", "--min_area", "5"]) == 2
    assert "was made with min_area 16, now it is 5: expected the same" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr(saved_model, "fingerprint", lambda _: "another")
        assert predict.main([*given, "--resume"]) == 2
    assert "now it is another" in capsys.readouterr().err
    assert predict.main([*given, "--resume", "--overwrite"]) == 2
    assert "expected one of them" in capsys.readouterr().err
    assert {name: (out / name).read_bytes() for name in files(out)} == before


def test_resume_without_a_journal_replaces_nothing(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    mine = photo(out / "masks" / "a.png.png").read_bytes()
    assert predict.main([*args(run_dir, out, photo(tmp_path / "a.png")), "--resume"]) == 2
    assert "a.png.png is there already: --overwrite replaces them" in capsys.readouterr().err
    assert (out / "masks" / "a.png.png").read_bytes() == mine


def test_resume_tells_photos_of_one_name_apart(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, out = photo(tmp_path / "a/x.png"), photo(tmp_path / "b/x.png", (20, 10)), tmp_path / "out"
    assert predict.main(args(run_dir, out, first)) == 0
    assert predict.main([*args(run_dir, out, second), "--resume"]) == 2
    assert f"{second} would replace the outputs of {first}" in capsys.readouterr().err
    moved = (tmp_path / "a").rename(tmp_path / "c") / "x.png"
    before = times(out)
    assert predict.main([*args(run_dir, out, moved), "--resume"]) == 0
    assert times(out) == before, "one that was moved is the same"
    photo(moved, (25, 15))
    os.utime(moved, (0, 0))
    with pytest.raises(InputError):  # it has moved and changed: another, for all that is known
        predict.run(predict.Settings((str(moved),), run_dir, out, resume=True))
    moved.parent.rename(tmp_path / "a")
    assert predict.main([*args(run_dir, out, first), "--resume"]) == 0
    assert [(row["width"], row["height"]) for row in rows(out)] == [("25", "15")]


def test_outputs_are_never_taken_for_photos(run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    photo(folder / "a.png")
    photo(folder / "masks" / "b.png")  # a folder of that name that nobody predicted
    for out in (folder / "out", folder / "deep" / "more"):
        given = [*args(run_dir, out, folder), "--recursive", "--overlay", "--confidence"]
        assert predict.main(given) == 0
        assert predict.main([*given, "--overwrite"]) == 0
        assert {row["file"] for row in rows(out)} == {"a.png", "masks/b.png"}
        assert f"left out: 2 pictures in {out / 'overlays'}, which are outputs of eggseg predict" in (
            capsys.readouterr().out
        )
    # Its own folders are left out, journal or not; what lies beside them is not.
    assert set(inputs.named([str(folder)], True, folder)) == {"a.png"}
    assert inputs.named([str(folder / "masks")], True, tmp_path / "out").keys() == {"b.png"}
    with pytest.raises(InputError, match="masks holds outputs of eggseg predict, and there is no other photo"):
        inputs.named([str(folder / "out" / "masks")], True, tmp_path / "elsewhere")
    link = tmp_path / "link"
    link.symlink_to(folder / "out")
    assert set(inputs.named([str(folder)], True, link)) == {"a.png", "masks/b.png"}


def test_a_name_too_long_for_its_output_is_named_and_the_rest_is_done(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # 255 bytes hold the photo's name, but not the mask's; for the others the longest that do, of any length in bytes.
    names = ["b" * 248 + ".png", "a.png", "c" * 247 + ".png", "\N{EGG}" * 61 + "ccc.png", "z.png"]
    for name in names:
        photo(tmp_path / "in" / name)
    out = tmp_path / "out"
    assert predict.main(args(run_dir, out, tmp_path / "in")) == 1
    error = capsys.readouterr().err
    assert error == f"error: {out / 'masks' / names[0]}.png: File name too long\n"
    assert {row["file"] for row in rows(out)} == set(names[1:])
    assert set(times(out)) == {f"{name}.png" for name in names[1:]}


def test_an_output_that_cannot_be_written_is_its_photos_error(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "below/b.png", "z.png"):
        photo(tmp_path / "in" / name)
    out = tmp_path / "out"
    (out / "masks").mkdir(parents=True)
    (out / "masks" / "below").write_text("a file where a folder should be")
    assert predict.main([*args(run_dir, out, tmp_path / "in"), "--recursive"]) == 1
    error = capsys.readouterr().err
    assert error.count("error: ") == 1
    assert str(out / "masks" / "below") in error
    assert [row["file"] for row in rows(out)] == ["a.png", "z.png"]


def test_a_full_disk_ends_the_call_with_the_summary_of_what_is_done(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abcd":
        photo(tmp_path / "in" / f"{name}.png")
    out, given = tmp_path / "out", args(run_dir, tmp_path / "out", tmp_path / "in")
    write = writing.write_bytes

    def full(path: Path, data: bytes) -> None:
        if path.name.startswith("c"):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(writing, "write_bytes", full)
        assert predict.main(given) == 2
    assert capsys.readouterr().err == (
        f"error: {out / 'masks' / 'c.png.png'}: No space left on device; 2 photos are done, and --resume continues\n"
    )
    assert [row["file"] for row in rows(out)] == ["a.png", "b.png"]
    assert predict.main([*given, "--resume"]) == 0
    assert [row["file"] for row in rows(out)] == ["a.png", "b.png", "c.png", "d.png"]


def test_a_pattern_loses_no_photo_in_silence(tmp_path: Path) -> None:
    for folder in "ab":
        photo(tmp_path / folder / "x.png")
    with pytest.raises(InputError, match=r"a/x\.png and .*b/x\.png would both write x\.png\.png"):
        inputs.named([str(tmp_path / "*" / "x.png")], False, tmp_path / "out")
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert set(inputs.named([str(tmp_path / "a" / "*.png")], False, tmp_path / "out")) == {"x.png", "gone.png"}


def test_both_unicode_forms_of_a_name_are_one(tmp_path: Path) -> None:
    for folder, name in (("a", "\u00e9.png"), ("b", "e\u0301.png")):
        photo(tmp_path / folder / name)
    with pytest.raises(InputError, match="would both write"):
        inputs.named([str(tmp_path / folder) for folder in "ab"], False, tmp_path / "out")
    named = inputs.named([str(tmp_path / "b")], False, tmp_path / "out")
    assert list(named) == ["\u00e9.png"], "outputs are called as train and evaluate call the photo"


def test_a_folder_without_photos_of_its_own_names_the_flag_for_those_below(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "below" / "a.png")
    with pytest.raises(InputError, match="holds no photo, but folders below it do: --recursive takes them"):
        inputs.named([str(tmp_path / "in")], False, tmp_path / "out")


@pytest.mark.parametrize(("most", "together"), [(7, 1), (8 * 31 * 47 * 2, 2)])
def test_the_photos_under_way_are_bounded_by_their_pixels(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, together: int
) -> None:
    for i in range(8):
        photo(tmp_path / "in" / f"{i}.png")
    under_way, peaks = [], []

    def slowly(segmenter: object, name: str, *_: object) -> str:
        under_way.append(name)
        peaks.append(len(under_way))
        time.sleep(0.02)
        under_way.remove(name)
        return "not done"

    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(writing, "MOST_BYTES", most)
    monkeypatch.setattr(writing, "_predict_one", slowly)
    assert predict.main(args(run_dir, tmp_path / "out", tmp_path / "in")) == 1
    assert len(peaks) == 8
    assert max(peaks) <= together


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_an_error(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    assert predict.main(args(run_dir, tmp_path / "out", photo(tmp_path / "a.png"))) == 2
    assert "Permission denied" in capsys.readouterr().err


def test_a_model_that_is_none_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict.main(args(tmp_path, tmp_path / "out", photo(tmp_path / "a.png"))) == 2
    assert "holds no model" in capsys.readouterr().err
