from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers.data_sets import SMALL
from PIL import Image

from eggseg import train
from eggseg.data import pairs
from eggseg.errors import InputError
from eggseg.evaluation.reliability import NONE
from eggseg.training import cross_validation
from eggseg.training.config import Config


def command(data_dir: Path, run_dir: Path, *more: str) -> list[str]:
    plain = ["--data_dir", str(data_dir), "--output_dir", str(run_dir), *SMALL, "--epochs", "1"]
    return [*plain, "--split", "random", "--folds", "3", *more]


def metrics(miou: float, photo: str) -> dict[str, object]:
    per_class = {"background": 1.0, "egg": miou / 2, "pan": None}
    scores = {
        "session": "a",
        "confusion": [[80, 0, 0], [10, 10, 0], [0, 0, 0]],
        "boundary_f1": [0.5, 0.5, None],
        "false_regions": [0, 0, 3],
    }
    return {
        "miou": miou,
        "pooled": {"iou": per_class},
        "photo_mean": {"dice": per_class},
        "seconds": 90.0,
        "by_photo": {photo: scores},
        "calibration": {"bins": NONE.to_json()},
    }


def done(config: Config, miou: float, **more: object) -> None:
    """A fold that was trained as `config` says."""
    found = pairs.find(config.data_dir)
    record = {
        "settings": config.to_json(),
        "sessions": {pair.name: "a" for pair in found},
        "left_out": [],
        "fingerprint": pairs.fingerprint(found),
        "precision": "float32",
    }
    config.run_dir.mkdir(parents=True)
    (config.run_dir / "metrics.json").write_text(json.dumps(metrics(miou, f"{config.fold}.png")))
    (config.run_dir / "config.json").write_text(json.dumps(record | more))


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[int | str]:
    """The folds whose training would begin."""
    folds: list[int | str] = []
    monkeypatch.setattr(cross_validation, "_train_apart", lambda config: folds.append(config.fold))
    return folds


def test_folds_do_not_export_to_one_place(data_dir, tmp_path, monkeypatch):
    settings = []

    def run(args: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        settings.append(json.loads(Path(args[-1]).read_text()))
        return subprocess.CompletedProcess(args, 0)

    monkeypatch.setattr(subprocess, "run", run)
    config = Config(data_dir=data_dir, output_dir=tmp_path / "run", folds=2, export_dir=tmp_path / "export")
    with contextlib.suppress(FileNotFoundError):  # no fold has written its metrics
        cross_validation.run(config)
    assert [one["fold"] for one in settings] == [0, 1, "session"]
    assert {one["export_dir"] for one in settings} == {None}


def test_one_fold_trains_alone_and_says_what_is_left(data_dir, tmp_path, capsys):
    assert train.main(command(data_dir, tmp_path, "--fold", "1")) == 0
    assert "to do: fold0, fold2" in capsys.readouterr().out
    assert (tmp_path / "fold1" / "metrics.json").exists()
    assert not (tmp_path / "folds.json").exists()


@pytest.mark.full
def test_all_folds_in_turn_hold_out_every_photo_once(data_dir, tmp_path, capsys):
    assert train.main(command(data_dir, tmp_path)) == 0
    splits = [json.loads((tmp_path / f"fold{i}" / "config.json").read_text())["split"] for i in range(3)]
    held_out = [name for split in splits for name in split["val"]]
    assert len(held_out) == len(set(held_out)) == 16
    assert all(not set(split["val"]) & set(split["train"]) for split in splits)
    summary = json.loads((tmp_path / "folds.json").read_text())
    mious = [json.loads((tmp_path / f"fold{i}" / "metrics.json").read_text())["miou"] for i in range(3)]
    assert summary["mean"]["mIoU"] == pytest.approx(np.mean(mious))
    assert summary["spread"]["mIoU"] == pytest.approx(np.std(mious, ddof=1))
    # Once more: all is done already.
    before = (tmp_path / "fold0" / "metrics.json").stat().st_mtime_ns
    assert train.main(command(data_dir, tmp_path, "--resume")) == 0
    assert f"mean of the folds {np.mean(mious):.4f}" in capsys.readouterr().out
    assert summary["held_out"]["photos"] == 16
    assert (tmp_path / "fold0" / "metrics.json").stat().st_mtime_ns == before


def test_mean_and_spread_are_those_of_the_folds_and_the_session_stands_beside(data_dir, tmp_path, begun, capsys):
    config = Config(data_dir=data_dir, output_dir=tmp_path, folds=2, resume=True)
    for fold, miou in {0: 0.5, 1: 0.7, "session": 0.1}.items():
        done(dataclasses.replace(config, fold=fold), miou)
    cross_validation.run(config)
    assert not begun
    summary = json.loads((tmp_path / "folds.json").read_text())
    assert summary["mean"]["mIoU"] == pytest.approx(0.6)
    assert summary["spread"]["mIoU"] == pytest.approx(0.2 / 2**0.5)
    assert summary["mean"]["mean Dice egg"] == pytest.approx(0.3)
    assert summary["mean"]["IoU pan"] is None, "a class that is in no photo"
    assert summary["mean"]["minutes"] == 1.5
    assert summary["session"]["IoU egg"] == pytest.approx(0.05)
    shown = capsys.readouterr().out
    assert "spread" in shown
    assert shown.splitlines()[-1] == "miou=0.6944 (all held-out photos; mean of the folds 0.6000, spread 0.1414)"
    assert summary["held_out"]["photos"] == 2, "of the folds, not of the session"
    assert summary["held_out"]["photo_mean"]["false_regions"]["pan"] == 3


def test_a_class_that_only_some_folds_have_is_averaged_over_these(data_dir, tmp_path, begun):
    config = Config(data_dir=data_dir, output_dir=tmp_path, folds=3, split="random", resume=True)
    for fold in range(3):
        done(dataclasses.replace(config, fold=fold), 0.5)
    path = tmp_path / "fold1" / "metrics.json"
    content = json.loads(path.read_text())
    content["pooled"]["iou"]["pan"] = 0.25
    path.write_text(json.dumps(content))
    cross_validation.run(config)
    summary = json.loads((tmp_path / "folds.json").read_text())
    assert (summary["mean"]["IoU pan"], summary["spread"]["IoU pan"]) == (0.25, None)


def test_folds_of_several_precisions_are_told(data_dir, tmp_path, begun, capsys):
    config = Config(data_dir=data_dir, output_dir=tmp_path, folds=2, split="random", resume=True)
    done(dataclasses.replace(config, fold=0), 0.5)
    done(dataclasses.replace(config, fold=1), 0.5, precision="bfloat16")
    cross_validation.run(config)
    assert not begun
    assert "trained in float32 (fold0), bfloat16 (fold1)" in capsys.readouterr().out


def test_the_folds_that_are_left_are_trained_and_one_that_fails_stops_the_rest(data_dir, tmp_path, monkeypatch):
    config = Config(data_dir=data_dir, output_dir=tmp_path, folds=3, resume=True)
    done(dataclasses.replace(config, fold=1), 0.5)
    trained = []
    with monkeypatch.context() as patched:
        patched.setattr(cross_validation, "_train_apart", lambda config: trained.append(config.fold))
        cross_validation.run(config)
    assert trained == [0, 2, "session"]
    with pytest.raises(InputError, match="fold0 was not trained"):
        cross_validation.run(dataclasses.replace(config, output_dir=tmp_path / "new", data_dir=tmp_path / "gone"))


@pytest.mark.parametrize("name", ["metrics.json", "config.json"])
@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pooled": 3, "settings": 3}'])
def test_a_damaged_fold_is_an_error_that_names_the_file(data_dir, tmp_path, name, text):
    config = Config(data_dir=data_dir, output_dir=tmp_path, folds=2, split="random", resume=True)
    for fold in range(2):
        done(dataclasses.replace(config, fold=fold), 0.5)
    (tmp_path / "fold1" / name).write_text(text)
    with pytest.raises(
        InputError, match=rf"^\S+/fold1/{name} (is damaged or of another kind|cannot be read as JSON): "
    ):
        cross_validation._report(config)


@pytest.mark.parametrize("changed", [{"folds": 5}, {"epochs": 3}, {"seed": 1}, {"split_seed": 1}])
def test_a_fold_of_other_settings_is_not_done(data_dir, tmp_path, begun, changed):
    config = Config(data_dir=data_dir, output_dir=tmp_path, folds=3, resume=True)
    done(dataclasses.replace(config, fold=0), 0.5)
    cross_validation.run(dataclasses.replace(config, **changed))
    assert 0 in begun


def add_a_photo(data: Path) -> None:
    for kind in ("images", "masks"):
        shutil.copyfile(data / kind / "photo_1.png", data / kind / "photo_1000.png")


def change_a_mask(data: Path) -> None:
    Image.new("L", (64, 96), 128).save(data / "masks" / "photo_1.png")


@pytest.mark.parametrize("change", [add_a_photo, change_a_mask], ids=lambda change: change.__name__)
def test_a_fold_of_other_data_is_not_done(data_dir, tmp_path, begun, change, capsys):
    mine = shutil.copytree(data_dir, tmp_path / "data")
    config = Config(data_dir=mine, output_dir=tmp_path / "run", folds=2, split="random", resume=True)
    for fold in (0, 1):
        done(dataclasses.replace(config, fold=fold), 0.5)
    cross_validation.run(config)
    assert not begun
    change(mine)
    cross_validation.run(config)
    assert begun == [0, 1]


def test_a_photo_that_cannot_be_used_was_seen_too(data_dir, tmp_path, begun):
    config = Config(data_dir=data_dir, output_dir=tmp_path, folds=2, split="random", resume=True)
    used = [pair for pair in pairs.find(data_dir) if pair.name != "photo_3.png"]
    more = {"left_out": ["photo_3.png"], "sessions": {pair.name: "a" for pair in used}}
    for fold in (0, 1):
        done(dataclasses.replace(config, fold=fold), 0.5, **more, fingerprint=pairs.fingerprint(used))
    cross_validation.run(config)
    assert not begun


def test_photos_of_one_camera_are_cross_validated_without_a_session(data_dir, tmp_path, monkeypatch, capsys):
    config = Config(data_dir=data_dir, output_dir=tmp_path, folds=2)
    trained = []

    def train_apart(one: Config) -> None:
        trained.append(one.fold)
        done(one, 0.5, no_session="3 photos cannot be split by session")

    monkeypatch.setattr(cross_validation, "_train_apart", train_apart)
    cross_validation.run(config)
    assert trained == [0, 1]
    cross_validation.run(dataclasses.replace(config, resume=True))
    shown = capsys.readouterr().out
    assert shown.count("no camera session is held out: 3 photos cannot be split by session") == 2
    assert "to do" not in shown
    assert (tmp_path / "folds.json").exists()


def test_a_run_says_whether_a_camera_session_could_be_held_out(data_dir, tmp_path):
    one_camera = tmp_path / "data"
    for kind in ("images", "masks"):
        (one_camera / kind).mkdir(parents=True)
        for i, path in enumerate(sorted((data_dir / kind).glob("*.png"))):
            with Image.open(path) as picture:
                picture.resize((64, 48), Image.Resampling.NEAREST).save(one_camera / kind / f"frame_{i}.png")
    for data, reason in ((one_camera, "photos cannot be split by session"), (data_dir, "")):
        args = ["--data_dir", str(data), "--output_dir", str(tmp_path / "run"), *SMALL, "--epochs", "1", "--overwrite"]
        assert train.main([*args, "--folds", "2", "--fold", "0"]) == 0
        record = json.loads((tmp_path / "run" / "fold0" / "config.json").read_text())
        assert reason in record.get("no_session", "")
        assert bool(reason) is ("no_session" in record)


def test_no_fold_chooses_the_epoch_it_is_measured_on():
    with pytest.raises(InputError, match="--keep best lets a fold choose"):
        cross_validation.run(Config(folds=3, keep="best"))


def test_an_empty_fold_is_an_error(tmp_path, capsys, data_dir):
    from conftest import draw

    two = draw(tmp_path / "data", 2)
    assert train.main(command(two, tmp_path / "run", "--fold", "2")) == 2
    assert (
        "2 photos were split into 3 folds by random, and fold 2 cannot be held out: it is empty"
        in capsys.readouterr().err
    )
