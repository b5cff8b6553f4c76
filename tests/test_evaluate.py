"""Evaluation: the figures and the files."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.data_sets import SMALL
from PIL import Image

from eggseg import audit, evaluate, train
from eggseg.data import labelled
from eggseg.data.classes import EGGS_AND_PANS
from eggseg.data.pairs import Pair
from eggseg.errors import InputError
from eggseg.evaluation import plots
from eggseg.exported import saved_model


def test_evaluate_writes_figures_and_pictures(
    run_dir: Path, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["--model", str(run_dir), "--data_dir", str(data_dir), "--output_dir", str(tmp_path)]
    assert evaluate.main(args) == 0
    figures = json.loads((tmp_path / "metrics.json").read_text())
    assert figures["photos"] == len(figures["by_photo"]) == 16
    shown = capsys.readouterr().out
    assert f"miou={figures['miou']:.4f}" in shown
    assert "by camera session" in shown
    assert f"expected calibration error {figures['calibration']['error']:.3f}" in shown
    assert 0 < figures["calibration"]["error"] < 0.5
    for name in ("confusion.png", "worst.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 300


def test_the_validation_photos_give_the_figure_of_the_run(run_dir: Path, data_dir: Path, tmp_path: Path) -> None:
    args = ["--model", str(run_dir), "--data_dir", str(data_dir), "--output_dir", str(tmp_path), "--split", "val"]
    assert evaluate.main(args) == 0
    figures = [json.loads((folder / "metrics.json").read_text()) for folder in (tmp_path, run_dir)]
    assert figures[0]["miou"] == figures[1]["miou"]
    assert figures[0]["photos"] == len(json.loads((run_dir / "config.json").read_text())["split"]["val"])


def test_a_model_without_its_run_has_no_split(
    run_dir: Path, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run_dir / "saved_model", tmp_path / "saved_model")
    assert evaluate.main(["--model", str(tmp_path), "--data_dir", str(data_dir), "--split", "val"]) == 2
    assert "is no run folder: --split val needs its config.json" in capsys.readouterr().err


@pytest.fixture(scope="module", autouse=True)
def loaded_once() -> Iterator[None]:
    """A model takes seconds to load, and most tests here measure the same one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saved_model, "load", functools.cache(saved_model.load))
        yield


def evaluated(model: Path, data: Path, *args: str) -> tuple[int, dict | None]:
    """The exit code, and the figures if there are any."""
    out = data.parent / "out"
    given = ["--model", str(model), "--data_dir", str(data), "--output_dir", str(out), "--worst", "1"]
    code = evaluate.main([*given, *args])
    path = out / "metrics.json"
    return code, json.loads(path.read_text(), parse_constant=pytest.fail) if path.exists() else None


@pytest.fixture
def folder(data_dir: Path, tmp_path: Path) -> Path:
    """Photos whose masks are exact, as PNG."""
    folder = shutil.copytree(data_dir, tmp_path / "data")
    for path in (folder / "masks").iterdir():
        ids = labelled.read(Pair("", folder / "images" / path.name, path), EGGS_AND_PANS).ids
        path.unlink()
        Image.fromarray(np.append(EGGS_AND_PANS.values, [0] * 253).astype(np.uint8)[ids]).save(path.with_suffix(".png"))
    return folder


def repaint(folder: Path, **values: int) -> None:
    """Give other values to all masks: `of_128=1` makes 128 to 1."""
    table = np.arange(256, dtype=np.uint8)
    for name, value in values.items():
        table[int(name.removeprefix("of_"))] = value
    for path in (folder / "masks").iterdir():
        Image.fromarray(table[np.array(Image.open(path))]).save(path)


@pytest.mark.parametrize(("split", "says"), [("train", "was trained on no photos"), ("val", "held out no photos")])
def test_a_split_that_is_empty_chooses_nothing(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str, says: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"split": {"train": [], "val": []}}))
    assert evaluate.main(["--model", str(tmp_path), "--data_dir", str(data_dir), "--split", split]) == 2
    assert (
        capsys.readouterr().err == f"error: {tmp_path} {says}{', as with made-up scenes' * (split == 'train')}: "
        f"--split {split} selects no photos\n"
    )


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_where_no_file_can_be_read_there_is_nothing_to_measure(
    run_dir: Path, folder: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    for path in (folder / kind).iterdir():
        path.write_bytes(b"")
    assert evaluated(run_dir, folder) == (2, None)
    assert "files: 16 files cannot be used" in capsys.readouterr().err
    assert evaluated(run_dir, folder, "--audit", "warn") == (2, None)
    assert capsys.readouterr().err == f"error: {folder} holds no photo with a mask that can be used\n"


def test_all_photos_that_cannot_be_read_are_named_and_the_rest_is_measured_when_told_so(
    run_dir: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "images/photo_0.jpg").write_text("x")
    (folder / "images/photo_3.png").write_bytes((folder / "images/photo_3.png").read_bytes()[:400])
    (folder / "masks/photo_5.png").write_bytes(b"")
    (folder / "masks/photo_7.png").unlink()
    assert evaluated(run_dir, folder) == (2, None)
    refused = capsys.readouterr().err
    for name in ("images/photo_0.jpg is no picture", "images/photo_3.png", "masks/photo_5.png is empty", "has no mask"):
        assert name in refused
    code, figures = evaluated(run_dir, folder, "--audit", "warn")
    assert (code, figures["photos"]) == (0, 12)
    shown = capsys.readouterr().out
    for line in refused.removeprefix("error: ").splitlines()[:-1]:
        assert line in shown, "in the same words"


def test_the_photos_of_a_split_that_are_gone_are_told(
    run_dir: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = json.loads((run_dir / "config.json").read_text())["split"]["val"]
    (folder / "images" / held[0]).unlink()
    (folder / "masks" / held[0]).with_suffix(".png").unlink()
    assert evaluated(run_dir, folder, "--split", "val") == (2, None)
    assert f"lacks 1 of the run's photos, or their masks; the first is {held[0]}" in capsys.readouterr().err
    code, figures = evaluated(run_dir, folder, "--split", "val", "--audit", "warn")
    assert (code, figures["photos"]) == (0, len(held) - 1)


def test_masks_of_another_class_table_are_refused_as_by_audit_and_train(
    run_dir: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = evaluated(run_dir, folder)[1]
    repaint(folder, of_128=1, of_255=2)
    capsys.readouterr()
    assert evaluated(run_dir, folder)[0] == 2
    refused = capsys.readouterr().err
    assert "no mask has the class egg (value 128)" in refused
    assert audit.main([str(folder), "--output_dir", str(folder.parent / "audit")]) == 1
    shown = capsys.readouterr().out
    for line in refused.removeprefix("error: ").splitlines()[:-1]:
        assert line in shown, "in the same words"
    assert train.main(["--data_dir", str(folder), "--output_dir", str(folder.parent / "run"), *SMALL]) == 2
    assert capsys.readouterr().err == refused
    # What it says fits does.
    (rows,) = (line for line in refused.splitlines() if line.startswith("  [{"))
    (folder / "classes.json").write_text(rows)
    code, figures = evaluated(run_dir, folder, "--classes", str(folder / "classes.json"))
    assert (code, figures) == (0, expected)


def test_the_names_of_a_class_table_are_the_models(
    run_dir: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repaint(folder, of_0=7, of_128=1, of_255=2)
    rows = [{"name": name, "value": value} for name, value in (("background", 7), ("pan", 2), ("egg", 1))]
    (folder / "classes.json").write_text(json.dumps(rows))
    code, figures = evaluated(run_dir, folder, "--classes", str(folder / "classes.json"))
    assert code == 0
    assert figures["miou"] > 0.5, "in whatever order they stand"
    (folder / "classes.json").write_text(json.dumps(rows[:2]))
    assert evaluated(run_dir, folder, "--classes", str(folder / "classes.json"))[0] == 2
    assert (
        "has the classes background, pan, expected those of the model: background, egg, pan" in capsys.readouterr().err
    )


def test_masks_of_which_nothing_is_known_are_no_measure(
    run_dir: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repaint(folder, of_0=60, of_128=60, of_255=60)
    assert evaluated(run_dir, folder) == (2, None)
    assert "most pixels match no class in 16 of 16 masks" in capsys.readouterr().err
    assert evaluated(run_dir, folder, "--audit", "warn") == (2, None)
    assert "that can be used: no pixel of any mask is a class" in capsys.readouterr().err


def test_a_set_without_a_pan_is_measured_and_says_so(
    run_dir: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repaint(folder, of_255=64)
    code, figures = evaluated(run_dir, folder)
    assert code == 0
    assert figures["pooled"]["recall"]["pan"] is None
    shown = capsys.readouterr().out
    assert "masks: no mask has the class pan (value 255)" in shown
    assert "value 64 matches no class; loss and metrics ignore it" in shown
    assert "class table" not in shown, "there is nothing to mend"


def test_the_limit_of_pixels_is_the_models_or_that_of_the_command(
    run_dir: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = folder.parent / "model"
    shutil.copytree(run_dir / "saved_model/1", model)
    path = model / "assets/eggseg.json"
    settings = json.loads(path.read_text())
    settings["settings"]["max_pixels"] = 5000
    path.write_text(json.dumps(settings))
    assert evaluated(model, folder) == (2, None)
    assert "images/photo_0.jpg is 96x64, expected at most 5000 pixels (--max_pixels)" in capsys.readouterr().err
    assert evaluated(model, folder, "--max_pixels", "20000")[1]["photos"] == 16
    assert evaluated(run_dir, folder, "--max_pixels", "5000", "--audit", "warn")[1]["photos"] == 4
    assert evaluated(run_dir, folder, "--max_pixels", "0")[0] == 2
    assert "error: --max_pixels is 0, expected 1 to " in capsys.readouterr().err


def test_what_is_there_stays_where_something_fails(
    run_dir: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert evaluated(run_dir, folder)[0] == 0
    before = {path.name: path.read_bytes() for path in (folder.parent / "out").iterdir()}

    def broken(*args: object, **how: object) -> None:
        raise InputError("broken")

    repaint(folder, of_128=255)
    monkeypatch.setattr(plots, "comparison", broken)
    assert evaluated(run_dir, folder)[0] == 2
    monkeypatch.undo()
    repaint(folder, of_255=1)
    assert evaluated(run_dir, folder)[0] == 2
    assert {path.name: path.read_bytes() for path in (folder.parent / "out").iterdir()} == before


def test_the_worst_can_be_none(run_dir: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluated(run_dir, folder, "--worst", "0")[0] == 0
    assert not (folder.parent / "out/worst.png").exists()
    assert evaluated(run_dir, folder, "--worst", "-1")[0] == 2
    assert "error: --worst is -1, expected at least 0" in capsys.readouterr().err


def with_a_wrong_checksum(path: Path) -> None:
    """Put a text chunk with a wrong checksum behind the header of a PNG."""
    data = path.read_bytes()
    path.write_bytes(data[:33] + (4).to_bytes(4) + b"tEXta\0bc" + bytes(4) + data[33:])


def test_a_photo_that_training_takes_is_measured(run_dir: Path, folder: Path) -> None:
    expected = evaluated(run_dir, folder)[1]
    with_a_wrong_checksum(folder / "images/photo_1.png")
    assert evaluated(run_dir, folder) == (0, expected)


def test_a_mask_that_training_takes_is_measured(run_dir: Path, folder: Path) -> None:
    expected = evaluated(run_dir, folder)[1]
    with_a_wrong_checksum(folder / "masks/photo_1.png")
    assert evaluated(run_dir, folder) == (0, expected)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: (data / "images/photo_0.jpg").write_text("x"), "images/photo_0.jpg is no picture"),
        (lambda data: Image.new("L", (5, 7)).save(data / "masks/photo_1.png"), "masks/photo_1.png is 5x7, its photo "),
    ],
)
def test_bad_data_is_one_clear_error(
    run_dir: Path, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: object, message: str
) -> None:
    mine = shutil.copytree(data_dir, tmp_path / "data")
    spoil(mine)  # type: ignore[operator]
    args = ["--model", str(run_dir), "--data_dir", str(mine), "--output_dir", str(tmp_path / "out")]
    assert evaluate.main(args) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
