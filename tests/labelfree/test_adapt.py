"""Adapting a trained model to photos without masks: what is kept, and by which signs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from helpers.data_sets import SMALL, draw
from PIL import Image

from eggseg import predict, train
from eggseg.data import labelled
from eggseg.data.classes import EGGS_AND_PANS
from eggseg.exported import saved_model
from eggseg.exported.saved_model import Segmenter
from eggseg.files import digest
from eggseg.labelfree import adapt
from eggseg.labelfree.fewmasks import adaptation, consistency
from eggseg.labelfree.fewmasks.consistency import Signs
from eggseg.labelfree.fewmasks.settings import Adaptation
from eggseg.training.callbacks import AVERAGED


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of a new kitchen, without masks."""
    folder = draw(tmp_path_factory.mktemp("kitchen"), 4, seed=7)
    shutil.rmtree(folder / "masks")
    return folder


@pytest.fixture(scope="module")
def run(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    places = ["--data_dir", str(data_dir), "--output_dir", str(folder)]
    assert train.main([*places, *SMALL, "--epochs", "2", "--export_dir", str(folder.parent / "export")]) == 0
    return folder


def command(kitchen: Path, run: Path, output: Path, *args: str) -> list[str]:
    return [
        str(kitchen),
        "--model",
        str(run),
        "--output_dir",
        str(output),
        "--epochs",
        "1",
        "--min_confident",
        "0",
        *args,
    ]


def pixels(model: Path) -> np.ndarray:
    frame = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    return saved_model.load(model)(frame)[1]


def given(monkeypatch: pytest.MonkeyPatch, *signs: Signs) -> None:
    """Let the models have these signs, in this order."""
    left = iter(signs)
    monkeypatch.setattr(consistency, "signs", lambda *_: next(left))


def test_a_model_that_is_no_worse_by_its_signs_is_kept(kitchen, run, tmp_path, monkeypatch, capsys):
    given(monkeypatch, Signs(0.5, 0.7, 1.0), Signs(0.5, 0.8, 1.0))
    output = tmp_path / "adapted"
    assert adapt.main(command(kitchen, run, output)) == 0
    assert json.loads((output / "adaptation.json").read_text()) == {
        "model": str(run),
        "adapted": True,
        "before": {"agreement": 0.5, "confident": 0.7, "objects": 1.0},
        "after": {"agreement": 0.5, "confident": 0.8, "objects": 1.0},
    }
    assert digest(output / AVERAGED) != digest(run / AVERAGED)
    assert np.abs(pixels(output) - pixels(run)).max() > 1e-4
    told = capsys.readouterr().out
    assert "agreement of two views, mIoU: 0.5000 before, 0.5000 after" in told
    assert f"the adapted model is kept, in {output}" in told
    made = sorted(path.name for path in (output / "pseudo" / "masks").iterdir())
    assert made == sorted(f"{path.name}.png" for path in (kitchen / "images").iterdir())


@pytest.mark.parametrize("after", [Signs(0.4, 0.9, 1.0), Signs(0.9, 0.6, 1.0), Signs(0.9, 0.9, 0.4)])
def test_where_a_sign_is_worse_the_old_model_is_kept(kitchen, run, tmp_path, monkeypatch, capsys, after):
    given(monkeypatch, Signs(0.5, 0.7, 1.0), after)
    output = tmp_path / "adapted"
    assert adapt.main(command(kitchen, run, output)) == 0
    assert not json.loads((output / "adaptation.json").read_text())["adapted"]
    assert "worse by these signs: the old one is kept" in capsys.readouterr().out
    assert not (output / "checkpoint.npz").exists(), "it belongs to the other weights"
    for name in (AVERAGED, "config.json", "metrics.json", "samples.png", "saved_model/1/saved_model.pb"):
        assert digest(output / name) == digest(run / name)
    np.testing.assert_array_equal(pixels(output), pixels(run))
    masks = tmp_path / "masks"
    assert predict.main([str(kitchen / "images"), "--model", str(run), "--output_dir", str(masks)]) == 0
    for path in sorted((kitchen / "images").iterdir()):
        made = [Image.open(folder / "masks" / f"{path.name}.png") for folder in (masks, output / "pseudo")]
        np.testing.assert_array_equal(*map(np.array, made))


def test_it_trains_as_the_run_did_but_for_what_is_given(kitchen, run, data_dir, tmp_path):
    settings = adaptation.training_settings(Adaptation(kitchen, run, tmp_path, minutes=3, trust=0.8))
    before = json.loads((run / "config.json").read_text())["settings"]
    assert (settings.encoder, settings.base_filters, settings.split) == ("plain", before["base_filters"], "blocks")
    assert (settings.data_dir, settings.unlabeled_dir, settings.init) == (data_dir, kitchen, run)
    assert (settings.minutes, settings.epochs, settings.trust, settings.init_share) == (3, 0, 0.8, 0.5)
    assert settings.export_dir is None, "the adapted model must not replace an export"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"photos": {}}, "is no run folder of eggseg train: its config.json has no settings"),
        ({"settings": {"scenes": 9, "data_dir": "data", "image_size": 64}}, "was trained on made-up scenes alone"),
    ],
)
def test_a_run_that_cannot_be_adapted_is_refused(kitchen, tmp_path, capsys, record, message):
    (tmp_path / "config.json").write_text(json.dumps(record))
    assert adapt.main(command(kitchen, tmp_path, tmp_path / "adapted")) == 2
    assert f"error: --model {tmp_path} {message}" in capsys.readouterr().err
    assert not (tmp_path / "adapted").exists()


def test_validation_photos_that_the_run_was_trained_on_are_told(kitchen, run, tmp_path, monkeypatch, capsys):
    given(monkeypatch, *[Signs(0.5, 0.5, 1.0)] * 2)
    before = json.loads((run / "config.json").read_text())
    other = tmp_path / "run"
    shutil.copytree(run, other)
    (other / "config.json").write_text(json.dumps(before | {"settings": before["settings"] | {"split_seed": 3}}))
    assert adapt.main(command(kitchen, other, tmp_path / "adapted")) == 0
    now = json.loads((tmp_path / "adapted" / "config.json").read_text())["split"]
    count = len(set(now["val"]) & set(before["split"]["train"]))
    assert count > 0
    told = capsys.readouterr().out
    assert f"metrics.json is too good: {other} was trained on {count} of the validation photos" in told


def test_a_model_that_is_uncertain_is_not_adapted(kitchen, run, tmp_path, monkeypatch, capsys):
    given(monkeypatch, Signs(0.9, 0.84, 1.0))
    assert adapt.main(command(kitchen, run, tmp_path / "adapted", "--min_confident", "0.9")) == 2
    error = capsys.readouterr().err
    assert f"is confident of 84.0% of the pixels in {kitchen}, expected at least 90.0% (--min_confident)" in error
    assert not (tmp_path / "adapted").exists()


def test_the_run_itself_is_not_overwritten(kitchen, run, capsys):
    before = digest(run / AVERAGED)
    assert adapt.main(command(kitchen, run, run, "--overwrite")) == 2
    assert f"error: --output_dir {run} is the run of --model: expected another folder" in capsys.readouterr().err
    assert digest(run / AVERAGED) == before


def test_photos_of_the_run_itself_are_no_new_photos(run, data_dir, tmp_path, capsys):
    assert adapt.main(command(data_dir, run, tmp_path / "adapted")) == 2
    assert "error: every photo has a mask" in capsys.readouterr().err


def model(ids_of: Callable[[np.ndarray], np.ndarray], egg: float) -> Segmenter:
    """A model that predicts the class ids `ids_of(image)`, with the probability `egg` for eggs and 0.5 for others."""

    def segment(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ids = ids_of(image)
        return ids, np.where(ids == 1, egg, 0.5)[..., None] * np.ones(3)

    class Model:
        classes = EGGS_AND_PANS
        max_pixels = 10**6
        __call__ = staticmethod(segment)
        class_ids = staticmethod(ids_of)

    return cast(Segmenter, Model())


def test_signs_of_a_model_that_sees_the_same_in_both_views(kitchen):
    photos = sorted((kitchen / "images").iterdir())
    all_egg = model(lambda image: np.ones(image.shape[:2], np.uint8), 0.9)
    assert consistency.signs(all_egg, photos) == Signs(1.0, 1.0, 1.0)


def test_signs_of_a_model_that_contradicts_itself(kitchen):
    def left_half(image: np.ndarray) -> np.ndarray:
        return np.broadcast_to(np.arange(image.shape[1]) < image.shape[1] // 2, image.shape[:2]).astype(np.uint8)

    found = consistency.signs(model(left_half, 0.95), sorted((kitchen / "images").iterdir()))
    assert found.agreement == pytest.approx(0.0, abs=0.02), "the mirror image moves the egg to the other half"
    assert found.confident == pytest.approx(0.5, abs=0.02)


def test_the_second_view_is_the_middle_of_the_mirror_image(kitchen):
    bright = model(lambda image: (image[..., 0] > 200).astype(np.uint8), 0.9)
    photos = sorted((kitchen / "images").iterdir())
    found = consistency.signs(bright, photos)
    assert (found.agreement, found.objects) == (1.0, 1.0)
    assert 0 < found.confident < 0.2, "the eggs alone"


def test_at_most_forty_photos_are_looked_at(kitchen, monkeypatch):
    seen = []
    image = np.zeros((16, 16, 3), np.uint8)
    monkeypatch.setattr(labelled, "read_photo", lambda path, _: (seen.append(path), (image, 1))[1])
    consistency.signs(model(lambda image: np.ones(image.shape[:2], np.uint8), 0.9), [Path(str(i)) for i in range(90)])
    assert [int(str(path)) for path in seen] == [*range(0, 90, 3)]
