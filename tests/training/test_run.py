"""Training end to end, on pictures that a network learns in a moment."""

from __future__ import annotations

import csv
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.data_sets import SMALL, draw
from PIL import Image

from eggseg import evaluate, train
from eggseg.errors import InputError
from eggseg.exported import saved_model
from eggseg.kitchen import scenes
from eggseg.models.unet import unet
from eggseg.training import building, callbacks, fit, sharding
from eggseg.training.config import Config


def command(data_dir: Path, run_dir: Path, *more: str) -> list[str]:
    return ["--data_dir", str(data_dir), "--output_dir", str(run_dir), *SMALL, *more]


def arrays(run_dir: Path) -> dict[str, np.ndarray]:
    with np.load(run_dir / "checkpoint.npz") as state:
        return {name: state[name] for name in state if name != "record"}


def assert_same_weights(one: Path, other: Path) -> None:
    first, second = arrays(one), arrays(other)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_model_that_was_loaded_before_changes_nothing(data_dir: Path, run_dir: Path, tmp_path: Path) -> None:
    for precision in ("float32", "bfloat16"):
        saved_model.load(run_dir, precision)
        assert train.main(command(data_dir, tmp_path / precision, "--epochs", "1")) == 0
    assert_same_weights(tmp_path / "float32", tmp_path / "bfloat16")


def test_the_run_folder_holds_all_that_was_promised(run_dir: Path) -> None:
    names = {"saved_model", "raw.weights.h5", "averaged.weights.h5", "config.json", "history.csv", "metrics.json"}
    assert names | {"samples.png", "curves.png", "tensorboard", "checkpoint.npz"} == {
        path.name for path in run_dir.iterdir()
    }
    record = json.loads((run_dir / "config.json").read_text())
    assert record["settings"]["image_size"] == 49
    assert len(record["fingerprint"]) == 64
    assert {"tensorflow", "keras", "numpy", "pillow", "python", "eggseg"} == set(record["versions"])
    train_names, val_names = record["split"]["train"], record["split"]["val"]
    assert len(train_names) + len(val_names) == 16
    assert not set(train_names) & set(val_names)
    with Image.open(run_dir / "samples.png") as picture:
        assert min(picture.size) > 100


def test_it_learns(run_dir: Path) -> None:
    rows = list(csv.DictReader((run_dir / "history.csv").read_text().splitlines()))
    assert [int(float(row["epoch"])) for row in rows] == list(range(1, 31))
    assert float(rows[-1]["loss"]) < 0.6 * float(rows[0]["loss"])
    metrics = json.loads((run_dir / "metrics.json").read_text())
    assert metrics["exported_epoch"] == metrics["epochs"] == 30
    assert metrics["miou"] > 0.5  # calling everything background scores below a third


def test_metrics_are_printed_one_a_line(data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(command(data_dir, tmp_path, "--epochs", "1")) == 0
    lines = capsys.readouterr().out.splitlines()
    row = next(csv.DictReader((tmp_path / "history.csv").read_text().splitlines()))
    for name in ("val_miou", "val_loss", "val_iou_egg", "val_iou_pan"):
        assert f"{name}={float(row[name]):.4f}" in lines


def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    more = ("--epochs", "4", "--dropout", "0.2", "--cache", "disk", "--resume", "True")
    assert train.main(command(data_dir, whole, *more)) == 0

    def stop(recorder: callbacks.RunRecorder, batch: int, logs: object = None) -> None:
        if len(recorder.rows) == 2 and batch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(callbacks.RunRecorder, "on_train_batch_end", stop)
        assert train.main(command(data_dir, stopped, *more)) == 130
    assert train.main(command(data_dir, stopped, *more)) == 0
    assert "resuming after epoch 2" in capsys.readouterr().out
    assert_same_weights(whole, stopped)
    assert (whole / "history.csv").read_text() == (stopped / "history.csv").read_text()
    assert not (whole / "squares.npy").exists()
    # Once more: all is done already, and stays as it was.
    assert train.main(command(data_dir, stopped, *more)) == 0
    assert_same_weights(whole, stopped)


@pytest.mark.full
def test_a_killed_run_ends_as_one_that_was_not(tmp_path: Path) -> None:
    data_dir, whole, killed = draw(tmp_path / "data", 40), tmp_path / "whole", tmp_path / "killed"
    start = [sys.executable, "-m", "eggseg.train"]
    more = ("--image_size", "97", "--epochs", "6", "--resume")
    subprocess.run(start + command(data_dir, whole, *more), check=True)

    process = subprocess.Popen(start + command(data_dir, killed, *more))
    history = killed / "history.csv"
    for _ in range(1200):
        if history.exists() and len(history.read_text().splitlines()) >= 3:
            break
        assert process.poll() is None
        time.sleep(0.1)
    time.sleep(0.2)  # into the epoch
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (killed / "metrics.json").exists()

    subprocess.run(start + command(data_dir, killed, *more), check=True)
    assert_same_weights(whole, killed)
    assert (whole / "history.csv").read_text() == (killed / "history.csv").read_text()


def test_a_run_is_not_overwritten_unless_told(
    run_dir: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = arrays(run_dir)
    assert train.main(command(data_dir, run_dir)) == 2
    assert "holds a run already: --resume continues it, --overwrite starts anew" in capsys.readouterr().err
    assert all(np.array_equal(before[name], array) for name, array in arrays(run_dir).items())


def test_a_resumed_run_keeps_its_settings_and_its_data(
    run_dir: Path, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = shutil.copytree(run_dir, tmp_path / "run")
    same = ("--epochs", "30", "--learning_rate", "1e-2", "--resume")
    assert train.main(command(data_dir, mine, *same, "--weight_decay", "0.5")) == 2
    assert "--weight_decay was 0.01, is 0.5" in capsys.readouterr().err
    other = draw(tmp_path / "other", 16, seed=1)
    assert train.main(command(other, mine, *same)) == 2
    assert "was trained on other data" in capsys.readouterr().err


def changed(run_dir: Path, to: Path, **more: object) -> Path:
    """A copy of a run folder whose config.json says something else."""
    mine = shutil.copytree(run_dir, to)
    record = json.loads((mine / "config.json").read_text())
    (mine / "config.json").write_text(json.dumps(record | more))
    return mine


def test_a_resumed_run_keeps_its_arithmetic_and_its_split(
    run_dir: Path, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = ("--epochs", "30", "--learning_rate", "1e-2", "--resume")
    began = changed(run_dir, tmp_path / "bfloat16", precision="bfloat16")
    assert train.main(command(data_dir, began, *same)) == 2
    error = capsys.readouterr().err
    assert "was trained in bfloat16, this machine would continue in float32: --precision bfloat16 continues" in error
    split = json.loads((run_dir / "config.json").read_text())["split"]
    other = {"train": split["train"][1:], "val": [*split["val"], split["train"][0]]}
    moved = changed(run_dir, tmp_path / "moved", split=other)
    assert train.main(command(data_dir, moved, *same)) == 2
    assert f"where 1 photos were held out that are not now, {split['train'][0]} first" in capsys.readouterr().err


def test_a_run_of_one_step_exports_what_it_learned(tmp_path: Path) -> None:
    data = draw(tmp_path / "data", 10)
    first, last = {}, {}
    more = ("--epochs", "1", "--batch_size", "8", "--split", "random")
    assert train.main(command(data, tmp_path / "run", *more)) == 0
    assert train.main(command(data, tmp_path / "still", *more, "--learning_rate", "1e-30", "--weight_decay", "0")) == 0
    for into, folder in ((last, "run"), (first, "still")):
        with h5py.File(tmp_path / folder / "averaged.weights.h5") as file:
            file.visititems(
                lambda name, item, into=into: into.update({name: np.array(item)} if hasattr(item, "shape") else {})
            )
    kernels = [name for name, value in first.items() if value.ndim == 4]
    assert len(kernels) > 8
    assert all(np.abs(last[name] - first[name]).max() > 1e-4 for name in kernels)


def test_more_gpus_than_there_are_and_what_is_computed_on(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(command(data_dir, tmp_path, "--num_gpus", "4")) == 2
    assert "--num_gpus is 4, TensorFlow finds 0 here" in capsys.readouterr().err
    assert train.main(command(data_dir, tmp_path, "--num_gpus", "0", "--epochs", "1")) == 0
    assert "computing in float32 on the processor (" in capsys.readouterr().out


def test_init_starts_from_an_earlier_run(run_dir: Path, data_dir: Path, tmp_path: Path) -> None:
    assert train.main(command(data_dir, tmp_path, "--epochs", "2", "--init", str(run_dir))) == 0
    fresh, first = (
        next(csv.DictReader((folder / "history.csv").read_text().splitlines())) for folder in (tmp_path, run_dir)
    )
    assert float(fresh["loss"]) < 0.7 * float(first["loss"])
    assert float(fresh["learning_rate"]) > 1e-4, "the schedule begins anew"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--init", "TMP/nothing"], "holds no weights"),
        (["--init", "RUN", "--base_filters", "5"], "does not fit this network"),
        (["--encoder", "efficientnet_lite0", "--encoder_weights", "TMP/gone.npz"], "gone.npz is not there"),
        (["--export_dir", "TMP/file/model"], "file/model: Not a directory"),
        (["--output_dir", "RUN", "--resume", "--seed", "3"], "--seed was 0, is 3"),
    ],
)
def test_settings_that_cannot_work_are_told_before_photos_are_read(
    run_dir: Path,
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    message: str,
) -> None:
    monkeypatch.setattr(sharding, "read", lambda *_: pytest.fail("photos were read"))
    (tmp_path / "file").write_text("")
    places = {"TMP": str(tmp_path), "RUN": str(run_dir)}
    given = [functools.reduce(lambda text, name: text.replace(name, places[name]), places, arg) for arg in more]
    assert train.main(command(data_dir, tmp_path / "run", *given)) == 2
    assert message in capsys.readouterr().err


def test_patience_ends_a_run_that_gets_no_better(data_dir: Path, tmp_path: Path) -> None:
    more = ("--epochs", "30", "--learning_rate", "1e-9", "--patience", "2", "--keep", "best")
    assert train.main(command(data_dir, tmp_path, *more)) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["epochs"] == metrics["exported_epoch"] + 2 < 30


def test_a_finished_run_is_exported_again_with_other_settings_of_the_export(
    run_dir: Path, data_dir: Path, tmp_path: Path
) -> None:
    mine = shutil.copytree(run_dir, tmp_path / "run")
    assert train.main(command(data_dir, mine, "--epochs", "30", "--learning_rate", "1e-2", "--resume", "--tta")) == 0
    assert_same_weights(run_dir, mine)
    before, after = ((folder / "saved_model/1/saved_model.pb").read_bytes() for folder in (run_dir, mine))
    assert before != after


def test_a_pretrained_encoder_that_cannot_be_had_is_an_error(
    run_dir: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretrained = ("--encoder", "efficientnet_lite0", "--encoder_weights", str(tmp_path / "gone.npz"))
    assert train.main(command(data_dir, tmp_path / "new", *pretrained)) == 2
    assert "gone.npz is not there" in capsys.readouterr().err
    assert not (tmp_path / "new" / "config.json").exists()
    # Nor is an earlier run lost.
    mine = shutil.copytree(run_dir, tmp_path / "mine")
    assert train.main(command(data_dir, mine, "--overwrite", *pretrained)) == 2
    assert {path.name for path in mine.iterdir()} == {path.name for path in run_dir.iterdir()}
    assert (mine / "config.json").read_bytes() == (run_dir / "config.json").read_bytes()


@pytest.mark.full
def test_a_run_with_a_pretrained_encoder_learns(data_dir: Path, tmp_path: Path) -> None:
    more = ("--encoder", "efficientnet_lite0", "--image_size", "64", "--learning_rate", "1e-2", "--dice", "1")
    assert train.main(command(data_dir, tmp_path, *more, "--epochs", "25")) == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["miou"] > 0.6


def test_export_dir_gets_the_model_too(data_dir: Path, tmp_path: Path) -> None:
    more = ("--epochs", "1", "--export_dir", str(tmp_path / "model"), "--model_dir", "s3://bucket/model")
    assert train.main(command(data_dir, tmp_path / "run", *more)) == 0
    assert (tmp_path / "model" / "1" / "saved_model.pb").is_file()


def spoil_missing_mask(data: Path) -> str:
    (data / "masks" / "photo_1.png").unlink()
    return "images/photo_1.png has no mask: expected "


def spoil_missing_photo(data: Path) -> str:
    (data / "images" / "photo_1.png").unlink()
    return "masks/photo_1.png has no photo in "


def spoil_size(data: Path) -> str:
    Image.new("L", (5, 7)).save(data / "masks" / "photo_1.png")
    return "masks/photo_1.png is 5x7, its photo "


def spoil_cut(data: Path) -> str:
    path = data / "images" / "photo_0.jpg"
    path.write_bytes(path.read_bytes()[:900])
    return "images/photo_0.jpg cannot be read: "


def spoil_text(data: Path) -> str:
    (data / "images" / "photo_0.jpg").write_text("hello")
    return "images/photo_0.jpg is no picture: it begins with b'hello'"


def spoil_all(data: Path) -> str:
    for path in [*(data / "images").iterdir(), *(data / "masks").iterdir()]:
        path.unlink()
    return "images holds no photo: expected files that end in "


def spoil_folder(data: Path) -> str:
    shutil.rmtree(data / "masks")
    return "masks is not there: expected a folder with images/ and masks/"


@pytest.mark.parametrize(
    "spoil",
    [spoil_missing_mask, spoil_missing_photo, spoil_size, spoil_cut, spoil_text, spoil_all, spoil_folder],
    ids=lambda spoil: spoil.__name__,
)
def test_bad_data_is_one_clear_error(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: object
) -> None:
    mine = shutil.copytree(data_dir, tmp_path / "data")
    message = spoil(mine)  # type: ignore[operator]
    assert train.main(command(mine, tmp_path / "run")) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "run" / "config.json").exists()


def test_an_output_that_cannot_be_written_is_one_clear_error(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert train.main(command(data_dir, tmp_path / "file" / "run")) == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'file' / 'run'}: Not a directory\n"


@pytest.mark.full
@pytest.mark.parametrize("encoder", ["plain", "efficientnet_lite0"])
def test_several_devices_train_together(data_dir: Path, tmp_path: Path, encoder: str) -> None:
    # Two halves of a processor stand in for two GPUs.
    script = (
        "import sys, tensorflow as tf\n"
        "from eggseg import train\n"
        "from eggseg.devices import distribution\n"
        "cpu = tf.config.list_physical_devices('CPU')[0]\n"
        "count = int(sys.argv[1])\n"
        "tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)\n"
        "if count > 1:\n"
        "    mirrored = tf.distribute.MirroredStrategy([f'/cpu:{i}' for i in range(count)])\n"
        "    distribution.join = lambda *_: distribution.Workers(mirrored)\n"
        "sys.exit(train.main(sys.argv[2:]))\n"
    )
    losses = {}
    for count in ("1", "2"):
        args = command(data_dir, tmp_path / count, "--epochs", "4", "--augment", "0", "--encoder", encoder)
        subprocess.run([sys.executable, "-c", script, count, *args], check=True)
        rows = csv.DictReader((tmp_path / count / "history.csv").read_text().splitlines())
        losses[count] = [float(row["val_loss"]) for row in rows]
    assert losses["2"] == pytest.approx(losses["1"], rel=0.005)
    assert losses["2"][-1] < 0.98 * losses["2"][0]


def test_overwriting_with_bad_data_loses_nothing(
    run_dir: Path, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, data = shutil.copytree(run_dir, tmp_path / "run"), shutil.copytree(data_dir, tmp_path / "data")
    spoil_cut(data)
    before = {path: path.read_bytes() for path in mine.rglob("*") if path.is_file()}
    assert train.main(command(data, mine, "--overwrite")) == 2
    assert {path: path.read_bytes() for path in mine.rglob("*") if path.is_file()} == before


def test_a_run_can_learn_from_few_of_the_masks(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(command(data_dir, tmp_path, "--epochs", "1", "--labelled_photos", "5")) == 0
    split = json.loads((tmp_path / "config.json").read_text())["split"]
    assert len(split["labelled"]) == 5
    assert set(split["labelled"]) <= set(split["train"])
    assert "training on 5 photos" in capsys.readouterr().out


def test_a_run_on_all_photos_measures_none_of_them(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(command(data_dir, tmp_path, "--epochs", "1", "--val_fraction", "0")) == 0
    shown = capsys.readouterr().out
    assert "training on 16 photos, validating on 4 of the same, so that no metric is of unseen photos" in shown
    assert " (of photos that it was trained on)" in shown
    assert json.loads((tmp_path / "metrics.json").read_text())["held_out"] is False
    assert saved_model.load(tmp_path).settings["temperature"] == 1
    assert evaluate.main(["--model", str(tmp_path), "--data_dir", str(data_dir), "--split", "val"]) == 2
    assert "held out no photos" in capsys.readouterr().err


def test_scenes_are_a_share_of_each_batch(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []
    original = fit._train_batches

    def recorded(*args, **options):
        begun.append(original(*args, **options))
        return begun[-1]

    monkeypatch.setattr(fit, "_train_batches", recorded)
    assert train.main(command(data_dir, tmp_path, "--epochs", "1", "--scene_share", "0.25", "--augment", "0")) == 0
    assert "training on 12 photos and, in each batch of 4, 1 made-up scenes" in capsys.readouterr().out
    images, _ = next(begun[0].as_numpy_iterator())
    np.testing.assert_allclose(images[3], scenes.square(0, 0, 49)[..., :3], atol=1)


@pytest.mark.parametrize(
    ("more", "message"), [(("--scenes", "8"), "0 with --scenes"), (("--classes", "c.json"), "0 with --classes")]
)
def test_a_share_of_scenes_has_its_conditions(
    capsys: pytest.CaptureFixture[str], more: tuple[str, str], message: str
) -> None:
    assert train.main(["--scene_share", "0.5", *more]) == 2
    assert f"--scene_share is 0.5, expected {message}" in capsys.readouterr().err


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:2000], lambda data: b"\x89PNG" * 500])
def test_damaged_weights_are_an_error_that_names_them(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    model = unet(16, 3, base_filters=2, depth=1)
    path = tmp_path / "averaged.weights.h5"
    model.save_weights(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"^--init \S+/averaged\.weights\.h5 does not fit this network: .+$"):
        building.start(model, Config(init=path))
