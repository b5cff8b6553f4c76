from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.data_sets import SMALL, draw
from PIL import Image

from eggseg import train
from eggseg.data import pseudo
from eggseg.data.classes import EGGS_AND_PANS, VOID
from eggseg.labelfree import gan
from eggseg.labelfree.clusters import features
from eggseg.labelfree.fewmasks import semisupervised, views
from eggseg.labelfree.fewmasks.adversarial import Adversarial, Judge
from eggseg.labelfree.fewmasks.fixmatch import FixMatch
from eggseg.labelfree.fewmasks.model import share
from eggseg.labelfree.fewmasks.settings import Settings
from eggseg.training import budget
from eggseg.training.budget import Pace
from eggseg.training.objective import KnownPixelCrossentropy

METHODS = ("gan", "fixmatch")


@pytest.fixture(scope="module")
def unlabeled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = draw(tmp_path_factory.mktemp("more"), 6, seed=7)
    shutil.rmtree(folder / "masks")
    return folder


def command(data_dir: Path, output: Path, method: str, *args: str) -> list[str]:
    places = ["--data_dir", str(data_dir), "--output_dir", str(output)]
    return [*places, "--method", method, *SMALL, "--epochs", "3", "--unlabeled_from", "0.3", *args]


def figures(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "history.csv").read_text().splitlines()))


@pytest.mark.parametrize("method", METHODS)
def test_masks_of_photos_without_are_written_and_can_be_learned_from(data_dir, unlabeled, tmp_path, method):
    run = tmp_path / "run"
    assert gan.main(command(data_dir, run, method, "--unlabeled_dir", str(unlabeled), "--trust", "0")) == 0
    told = [float(row["trusted"]) for row in figures(run)]
    assert told == [0.0, 1.0, 1.0], "of three epochs one is without; then all is trusted"
    for path in (unlabeled / "images").iterdir():
        with Image.open(path) as photo:
            size = photo.size
        assert (run / "pseudo" / "images" / path.name).read_bytes() == path.read_bytes()
        for kind in ("masks", "confidence"):
            with Image.open(run / "pseudo" / kind / f"{path.name}.png") as made:
                assert made.size == size
                assert made.mode == "L"
    assert features.of_network(str(run), "none", 49)(np.zeros((49, 49, 3), np.uint8)).shape[:2] == (13, 13)
    again = ["--data_dir", str(data_dir), "--output_dir", str(tmp_path / "again"), *SMALL, "--epochs", "1"]
    assert train.main([*again, "--pseudo", str(run / "pseudo"), "--pseudo_confidence", "0.5"]) == 0
    split = json.loads((tmp_path / "again" / "config.json").read_text())["split"]
    assert [name for name in split["train"] if name.startswith("pseudo:")] == [
        f"pseudo:photo_{i}.{'png' if i % 2 else 'jpg'}" for i in range(6)
    ]
    assert not [name for name in split["val"] if name.startswith("pseudo:")]


@pytest.mark.parametrize("method", METHODS)
def test_a_smaller_square_of_the_budget_is_that_of_all_photos(data_dir, unlabeled, tmp_path, method, monkeypatch):
    monkeypatch.setattr(budget, "SQUARES", (49, 33))
    monkeypatch.setattr(budget, "MOST", 1)
    monkeypatch.setattr(budget, "measure", lambda setup: Pace(100.0 if setup.config.image_size > 33 else 0.01, 0, 0))
    args = ["--unlabeled_dir", str(unlabeled), "--epochs", "0", "--minutes", "5"]
    assert gan.main(command(data_dir, tmp_path / "run", method, *args)) == 0
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert record["settings"]["image_size"] == 33
    assert record["asked"] == {"epochs": 0, "image_size": 49}
    assert len(list((tmp_path / "run" / "pseudo" / "masks").iterdir())) == 6


@pytest.mark.full
def test_masks_that_were_stopped_are_made_whole_and_are_of_one_model(data_dir, unlabeled, tmp_path, monkeypatch):
    run = tmp_path / "run"
    args = command(data_dir, run, "fixmatch", "--unlabeled_dir", str(unlabeled), "--epochs", "1")

    def stops(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(semisupervised, "link", stops)
        assert gan.main(args) == 130
    assert gan.main([*args, "--resume"]) == 0
    first = {pair.name: pair.mask.stat().st_mtime_ns for pair in pseudo.find(run / "pseudo")}
    assert len(first) == 6
    assert gan.main([*args, "--resume"]) == 0
    assert {pair.name: pair.mask.stat().st_mtime_ns for pair in pseudo.find(run / "pseudo")} == first
    assert gan.main([*args, "--overwrite", "--seed", "1"]) == 0
    again = {pair.name: pair.mask.stat().st_mtime_ns for pair in pseudo.find(run / "pseudo")}
    assert all(again[name] > first[name] for name in first)


@pytest.mark.full
@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_was_stopped_ends_as_one_that_was_not(data_dir, unlabeled, tmp_path, method, monkeypatch):
    from eggseg.training.callbacks import RunRecorder

    whole = command(data_dir, tmp_path / "whole", method, "--labelled_photos", "5")
    assert gan.main(whole) == 0
    ended = RunRecorder.on_epoch_end

    def stops(self: RunRecorder, epoch: int, logs: dict[str, float] | None = None) -> None:
        ended(self, epoch, logs)
        if epoch == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunRecorder, "on_epoch_end", stops)
    assert gan.main(command(data_dir, tmp_path / "parts", method, "--labelled_photos", "5")) == 130
    monkeypatch.undo()
    assert gan.main([*command(data_dir, tmp_path / "parts", method, "--labelled_photos", "5"), "--resume"]) == 0
    assert figures(tmp_path / "parts") == figures(tmp_path / "whole")


def test_masks_that_are_not_to_be_seen_are_not(data_dir, tmp_path):
    args = ("fixmatch", "--labelled_photos", "5", "--trust", "0")
    assert gan.main(command(data_dir, tmp_path / "run", *args)) == 0
    split = json.loads((tmp_path / "run" / "config.json").read_text())["split"]
    other = shutil.copytree(data_dir, tmp_path / "other")
    for name in set(split["train"]) - set(split["labelled"]):
        with Image.open(other / "masks" / name) as mask:
            mask.transpose(Image.Transpose.ROTATE_180).save(other / "masks" / name, quality=92)
    assert gan.main(command(other, tmp_path / "again", *args)) == 0
    first, second = (figures(tmp_path / name) for name in ("run", "again"))
    assert [row["loss"] for row in first] == [row["loss"] for row in second]


def test_a_run_does_not_go_on_with_other_photos_without_masks(data_dir, unlabeled, tmp_path, capsys):
    more = Path(shutil.copytree(unlabeled, tmp_path / "more"))
    args = command(data_dir, tmp_path / "run", "gan", "--unlabeled_dir", str(more))
    assert gan.main(args) == 0
    next((more / "images").iterdir()).unlink()
    assert gan.main([*args, "--resume"]) == 2
    assert f"{tmp_path / 'run'} was trained on other photos without masks" in capsys.readouterr().err


def test_an_ordinary_training_does_not_go_on_with_such_a_run(data_dir, tmp_path, capsys):
    args = command(data_dir, tmp_path, "fixmatch", "--labelled_photos", "5", "--epochs", "1")
    assert gan.main(args) == 0
    plain = ["--data_dir", str(data_dir), "--output_dir", str(tmp_path), *SMALL, "--epochs", "1"]
    assert train.main([*plain, "--labelled_photos", "5", "--resume"]) == 2
    assert "--method was fixmatch, is None" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "--unlabeled_dir is None, expected a folder, or some --labelled_photos"),
        (["--labelled_photos", "5", "--trust", "2"], "--trust is 2.0, expected 0 to 1"),
        (["--labelled_photos", "5", "--folds", "5"], "--fold is all, expected one of the --folds"),
        (
            ["--labelled_photos", "12"],
            "every photo has a mask: expected photos without masks in --unlabeled_dir, or fewer --labelled_photos",
        ),
        (["--unlabeled_dir", "nowhere"], "nowhere is not there: expected a folder of photos, or one with images/"),
        (["--labelled_photos", "50"], "--labelled_photos is 50, but the training split has only 12 photos"),
    ],
)
def test_what_cannot_be_is_one_clear_error(data_dir, tmp_path, args, message, capsys):
    assert gan.main(command(data_dir, tmp_path / "run", "gan", *args)) == 2
    assert message in capsys.readouterr().err


def test_views_lie_upon_each_other():
    square = np.full((40, 40, 4), (0, 0, 0, VOID), np.uint8)
    square[10:30, 5:35, :3] = 120
    square[12:20, 8:20, :3] = 250
    square[10:30, 5:35, 3] = 0
    options = {"batch_size": 3, "steps": 2, "seed": 0, "strength": 0.5, "first_epoch": 0}
    seen = next(iter(views.batches([lambda: square] * 3, 40, two_views=True, **options)))
    for image, other, ids in zip(seen.image.numpy(), seen.other.numpy(), seen.ids.numpy(), strict=True):
        inside = ids == 0
        assert inside.any()
        ranks = [np.argsort(np.argsort(view.mean(-1)[inside])) for view in (image, other)]
        assert np.corrcoef(*ranks)[0, 1] > 0.3
    shares = seen.covered.numpy().mean((1, 2))
    assert (shares > 0.04).all()
    assert (shares < 0.4).all()


def colored(*channels: int) -> tf.Tensor:
    """Photos (n, 8, 8, 3), each of one colour."""
    return 255 * tf.one_hot(tf.constant(channels)[:, None, None] * tf.ones((1, 8, 8), tf.int32), 3)


def knowing(kind, **options):
    """A model of a kind that takes the brightest channel for the class, sure of it, and learns nothing but a bias."""
    inputs = keras.Input((8, 8, 3))
    layer = keras.layers.Conv2D(3, 1)
    model = kind(inputs, layer(inputs), **options)
    layer.set_weights([np.eye(3)[None, None] * 0.1, np.zeros(3)])
    model.compile(keras.optimizers.SGD(0.1), KnownPixelCrossentropy(0.0))
    return semisupervised._built(model)


def test_a_piece_of_another_photo_brings_its_mask_along():
    model = knowing(FixMatch)
    image = colored(1, 2)
    covered = np.zeros((2, 8, 8), bool)
    covered[:, 2:6, 1:5] = True
    seen = views.Views(image, tf.zeros((2, 8, 8), tf.uint8), image, tf.constant(covered))
    told = model.train_step(((colored(0), tf.zeros((1, 8, 8), tf.uint8)), seen))
    assert float(told["trusted"]) == 1
    assert float(told["loss"]) < 1e-6, "the model is right everywhere, also where a photo covers the other"


@pytest.mark.parametrize("known", ["truth", "ids"])
def test_masks_are_drawn_to_what_the_judge_takes_for_true(known):
    class Likes:
        """Takes the second class for true and the first for made."""

        variables = ()

        def __call__(self, masks):
            return masks[..., 1] - masks[..., 0]

        def learn(self, true, made, known):
            return tf.reduce_sum(known) * 0

    void = tf.fill((1, 8, 8), np.uint8(VOID))
    given = {"truth": void, "ids": void} | {known: tf.fill((1, 8, 8), np.uint8(2 if known == "truth" else 0))}
    model = knowing(Adversarial, judge=Likes, weight=0.0)
    model.layers[-1].set_weights([np.zeros((1, 1, 3, 3)), np.zeros(3)])
    image = colored(0)
    nothing = tf.zeros((1, 0))
    model.train_step(((image, given["truth"]), views.Views(image, given["ids"], nothing, nothing)))
    bias = model.layers[-1].get_weights()[1]
    assert bias[1] > bias[0] + 1e-6


def test_photos_that_are_to_cover_each_other_are_two_on_each_device(data_dir, tmp_path, capsys):
    args = command(data_dir, tmp_path / "run", "fixmatch", "--labelled_photos", "5", "--batch_size", "1")
    assert gan.main(args) == 2
    assert "--batch_size is 1, expected at least 2: CutMix needs two photos on each device" in capsys.readouterr().err


def test_the_share_of_what_is_trusted():
    ids = tf.constant([[[0, VOID], [1, VOID]], [[VOID, VOID], [VOID, VOID]]], tf.uint8)
    there = tf.constant([[[True, True], [True, False]], [[True, True], [True, True]]])
    assert share(ids, there).numpy().tolist() == pytest.approx([2 / 3, 0.0])


def test_the_method_that_gains_is_the_one_that_is_not_asked_for():
    assert Settings(labelled_photos=5).method == "fixmatch"


def judge_of_a_run(size: int, steps: int) -> Judge:
    """The judge of a run of so many steps in all."""
    small = {"encoder": "plain", "base_filters": 4, "depth": 2, "image_size": size, "precision": "float32"}
    settings = Settings(labelled_photos=5, method="gan", epochs=1, **small)
    keras.utils.set_random_seed(0)
    return semisupervised.SemiSupervised(settings, {}).model(settings, EGGS_AND_PANS, steps).judge


def test_a_judges_learning_rate_does_not_fall_within_a_short_run():
    judge = judge_of_a_run(32, steps=10)
    first = float(judge.optimizer.learning_rate)
    masks = tf.one_hot(tf.zeros((1, 32, 32), tf.int32), 3)
    learn = tf.function(judge.learn)
    for _ in range(10):
        learn(masks, masks, tf.ones((1, 32, 32)))
    assert int(judge.optimizer.iterations) == 10
    assert float(judge.optimizer.learning_rate) > 0.9 * first > 0


def discs(count: int, size: int, seed: int) -> tf.Tensor:
    """True masks (count, size, size, 3): a pan and an egg each."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    ids = np.zeros((count, size, size), np.int32)
    for mask in ids:
        for owner in (2, 1):
            (cy, cx), radius = rng.uniform(0.2, 0.8, 2) * size, rng.uniform(0.1, 0.3) * size
            mask[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = owner
    return tf.one_hot(ids, 3)


def test_a_judge_learns_to_tell_true_masks_from_made_ones_in_a_short_run():
    size, steps = 48, 60
    judge = judge_of_a_run(size, steps)
    learn, known = tf.function(judge.learn), tf.ones((4, size, size))

    def made(seed: int) -> tf.Tensor:
        """Masks whose edges are not certain, 4 pixels to both sides."""
        return tf.nn.avg_pool2d(discs(4, size, seed), 9, 1, "SAME")

    losses = [float(learn(discs(4, size, i), made(1000 + i), known)) for i in range(steps)]
    assert np.mean(losses[:5]) == pytest.approx(np.log(2), abs=0.05), "it guesses at first"
    assert np.mean(losses[-5:]) < 0.4
    assert float(tf.reduce_mean(judge(discs(4, size, 2000)))) > 0 > float(tf.reduce_mean(judge(made(2001))))
