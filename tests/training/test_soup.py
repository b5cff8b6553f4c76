"""The average of several runs: what it holds, and which runs it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.data_sets import SMALL

from eggseg import average, evaluate, train
from eggseg.data.classes import EGGS_AND_PANS
from eggseg.exported import saved_model
from eggseg.training import building
from eggseg.training.callbacks import AVERAGED
from eggseg.training.config import Config


@pytest.fixture(scope="module")
def folds(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-validation with two folds, both of which continue one earlier run."""
    folder = tmp_path_factory.mktemp("folds")
    plain = ["--data_dir", str(data_dir), *SMALL, "--epochs", "1"]
    assert train.main([*plain, "--output_dir", str(folder / "first")]) == 0
    more = ["--init", str(folder / "first"), "--split", "random", "--folds", "2"]
    for fold in ("0", "1"):
        assert train.main([*plain, *more, "--fold", fold, "--output_dir", str(folder / "run")]) == 0
    return folder / "run"


def weights(run: Path) -> list[np.ndarray]:
    network = building.network(Config(encoder="plain", image_size=49, base_filters=4, depth=2), EGGS_AND_PANS)
    network.load_weights(run / AVERAGED)
    return network.get_weights()


def settings_of(run: Path) -> dict[str, object]:
    return json.loads((run / "saved_model/1/assets/eggseg.json").read_text())["settings"]


def changed(run: Path, to: Path, **settings: object) -> Path:
    """A copy of a run with other settings in its config.json."""
    shutil.copytree(run, to)
    record = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps(record | {"settings": record["settings"] | settings}))
    return to


def test_folds_become_one_model_with_the_mean_of_their_weights(folds, tmp_path, capsys):
    output = tmp_path / "all"
    assert average.main([str(folds), "--output_dir", str(output)]) == 0
    assert f"the average of 2 runs is in {output}/saved_model/1" in capsys.readouterr().out
    parts = [folds / "fold0", folds / "fold1"]
    for found, one, other in zip(weights(output), *map(weights, parts), strict=True):
        np.testing.assert_allclose(found, (one + other) / 2, rtol=1e-5, atol=1e-7)
    temperatures = [settings_of(run)["temperature"] for run in parts]
    assert settings_of(output)["temperature"] == pytest.approx(np.prod(temperatures) ** 0.5, abs=1e-4)
    record = json.loads((output / "config.json").read_text())
    before = json.loads((folds / "fold0/config.json").read_text())["split"]
    assert record["split"] == {"train": sorted(before["train"] + before["val"]), "val": []}
    assert record["averaged"] == [str(run) for run in parts]
    assert (record["settings"]["folds"], record["settings"]["fold"]) == (0, "all")


def test_logits_are_calibrated_as_those_of_the_runs(folds, tmp_path):
    """Of one run twice, the average is this run."""
    twice = [folds / "fold0", tmp_path / "copy"]
    shutil.copytree(*twice)
    assert average.main([*map(str, twice), "--output_dir", str(tmp_path / "all")]) == 0
    frame = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    found, expected = (saved_model.load(run)(frame)[1] for run in (tmp_path / "all", folds / "fold0"))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_square_is_that_of_most_runs(folds, tmp_path):
    other = [changed(folds / "fold0", tmp_path / str(size), image_size=size) for size in (65, 33)]
    runs = [str(other[0]), str(other[1]), str(folds / "fold1"), str(folds / "fold0")]
    assert average.main([*runs, "--output_dir", str(tmp_path / "all")]) == 0
    assert settings_of(tmp_path / "all")["image_size"] == 49


def test_no_photo_is_left_to_measure_the_average(folds, data_dir, tmp_path, capsys):
    output = tmp_path / "all"
    assert average.main([str(folds), "--output_dir", str(output)]) == 0
    assert evaluate.main(["--model", str(output), "--data_dir", str(data_dir), "--split", "val"]) == 2
    assert "held out no photos" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base_filters": 8}, "differ in classes, network or --init"),
        ({"init": "elsewhere"}, "differ in classes, network or --init"),
    ],
)
def test_runs_that_differ_are_refused(folds, tmp_path, capsys, settings, message):
    other = changed(folds / "fold1", tmp_path / "other", **settings)
    assert average.main([str(folds / "fold0"), str(other), "--output_dir", str(tmp_path / "all")]) == 2
    assert f"error: {other} and {folds / 'fold0'} {message}" in capsys.readouterr().err
    assert not (tmp_path / "all").exists()


def test_runs_from_random_weights_are_refused(folds, tmp_path, capsys):
    runs = [changed(folds / name, tmp_path / name, init="none") for name in ("fold0", "fold1")]
    assert average.main([*map(str, runs), "--output_dir", str(tmp_path / "all")]) == 2
    assert "began with random weights: such networks have no useful average" in capsys.readouterr().err


def test_a_single_run_and_what_is_no_run_are_refused(folds, tmp_path, capsys):
    assert average.main([str(folds / "fold0"), "--output_dir", str(tmp_path / "all")]) == 2
    assert "error: 1 run is given, expected at least 2" in capsys.readouterr().err
    assert average.main([str(tmp_path), str(folds / "fold0"), "--output_dir", str(tmp_path / "all")]) == 2
    assert f"{tmp_path}/config.json" in capsys.readouterr().err


def test_an_earlier_run_is_replaced_only_if_told(folds, tmp_path, capsys):
    output = str(tmp_path / "all")
    assert average.main([str(folds), "--output_dir", output]) == 0
    assert average.main([str(folds), "--output_dir", output]) == 2
    assert f"{output} holds a run already" in capsys.readouterr().err
    twice = [str(folds / "fold0"), str(changed(folds / "fold0", tmp_path / "copy"))]
    assert average.main([*twice, "--output_dir", output, "--overwrite"]) == 0
    for found, expected in zip(weights(Path(output)), weights(folds / "fold0"), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_what_is_not_finished_is_refused(folds, tmp_path, capsys):
    shutil.copytree(folds, tmp_path / "run")
    (tmp_path / "run/fold1/metrics.json").unlink()
    assert average.main([str(tmp_path / "run"), "--output_dir", str(tmp_path / "all")]) == 2
    assert f"{tmp_path}/run/fold1 holds no finished run" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "run/fold1")
    assert average.main([str(tmp_path / "run"), "--output_dir", str(tmp_path / "all")]) == 2
    assert "has 1 folds, expected 2" in capsys.readouterr().err


def test_a_run_is_not_replaced_by_its_average(folds, tmp_path, capsys):
    args = [str(folds), "--output_dir", str(folds / "fold0"), "--overwrite"]
    assert average.main(args) == 2
    assert f"error: --output_dir {folds}/fold0 is one of the runs" in capsys.readouterr().err
