"""Prediction: names, sizes, what is written and what is not."""

from __future__ import annotations

import csv
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eggseg import inputs, predict
from eggseg.errors import InputError


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
    assert files(tmp_path / "out") == ["masks/whole.jpg.png", "summary.csv"]


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

    monkeypatch.setattr(predict, "_predict_one", interrupted)
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
