from __future__ import annotations

import io

import keras
import numpy as np
import pytest
import tensorflow as tf

from eggseg.data.classes import EGGS_AND_PANS
from eggseg.errors import InputError
from eggseg.training.callbacks import AveragedWeights, Pictures, RunRecorder, uncompiled


def network(width: int = 3) -> keras.Model:
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.BatchNormalization()(keras.layers.Dense(width)(inputs)))
    model.compile(keras.optimizers.AdamW(0.1), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def weights(model: keras.Model, seed: int) -> list[np.ndarray]:
    """Random numbers in the shapes of all the model's weights, statistics too."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=w.shape).astype(np.float32) for w in model.weights]


def assert_equal(found, expected, **options):
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, **options)


def train(callback: AveragedWeights, model: keras.Model, epochs: int, steps: int) -> None:
    """Give the model other weights in each step, `weights(model, 1)` first."""
    for step in range(epochs * steps):
        model.set_weights(weights(model, step + 1))
        callback.on_train_batch_end(step % steps)
        if epochs > 1 and (step + 1) % steps == 0:
            callback.on_test_begin()
            callback.on_test_end()


@pytest.mark.parametrize(("decay", "steps"), [(0.99, 4), (0.99, 8), (0.2, 22), (0.0, 4), (0.5, 40)])
def test_averages_are_those_of_a_reference(decay, steps):
    model = network()
    model.set_weights(weights(model, 0))
    callback = AveragedWeights(model, decay)
    train(callback, model, 1, steps)
    expected = weights(model, 0)
    for step in range(4, steps + 1, 4):  # four steps at a time, by the weights of the fourth
        keep = min(decay, (1 + step) / (10 + step)) ** 4
        expected = [keep * a + (1 - keep) * w for a, w in zip(expected, weights(model, step), strict=True)]
    assert len(expected) == 6, "kernel, bias, gamma, beta and the moving statistics"
    assert_equal(callback.averages, expected, rtol=1e-4, atol=1e-5)
    assert_equal(model.get_weights(), weights(model, steps))


def test_a_share_of_the_initial_weights_is_mixed_into_the_averages():
    model = network()
    model.set_weights(weights(model, 0))
    plain, mixed = AveragedWeights(model, 0.9), AveragedWeights(model, 0.9, 0.25)
    for callback in (plain, mixed):
        model.set_weights(weights(model, 0))
        train(callback, model, 2, 11)
    expected = [0.75 * a.numpy() + 0.25 * i for a, i in zip(plain.averages, weights(model, 0), strict=True)]
    assert_equal(mixed.averages, expected, rtol=1e-4, atol=1e-5)
    assert_equal(model.get_weights(), weights(model, 22))


def test_a_resumed_run_mixes_in_the_same_initial_weights(tmp_path):
    model = network()
    model.set_weights(weights(model, 0))
    first = RunRecorder(tmp_path, AveragedWeights(model, 0.5, 0.25))
    first.set_model(model)
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    first.on_epoch_end(0)
    model.set_weights(weights(model, 3))
    second = RunRecorder(tmp_path, AveragedWeights(model, 0.5, 0.25))
    second.set_model(model)
    second.restore()
    assert_equal(second.averaged.initial, weights(model, 0), rtol=0)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 7])
def test_averages_have_learned_from_every_step_when_they_are_tested_or_saved(tmp_path, steps):
    model = network()
    model.set_weights(weights(model, 0))
    callback = recorder(tmp_path, model)
    train(callback.averaged, model, 1, steps)
    callback.averaged.on_test_begin()
    tested = model.get_weights()
    callback.averaged.on_test_end()
    callback.on_epoch_end(0, {"val_miou": 0.5})
    expected = weights(model, 0)
    for last, count in [(4, 4)] * (steps >= 4) + [(steps, steps % 4)]:
        keep = min(0.5, (1 + last) / (10 + last)) ** count
        expected = [keep * a + (1 - keep) * w for a, w in zip(expected, weights(model, last), strict=True)]
    assert_equal(tested, expected, rtol=1e-4, atol=1e-5)
    uncompiled(model).load_weights(tmp_path / "averaged.weights.h5")
    assert_equal(model.get_weights(), tested, rtol=0)


@pytest.mark.parametrize(("epochs", "steps"), [(6, 4), (3, 8), (2, 12)])
def test_averages_do_not_depend_on_the_length_of_an_epoch(epochs, steps):
    model = network()
    one_long, many_short = AveragedWeights(model, 0.9), AveragedWeights(model, 0.9)
    train(one_long, model, 1, epochs * steps)
    train(many_short, model, epochs, steps)
    assert_equal(many_short.averages, one_long.averages, rtol=1e-5)


def test_averages_are_in_the_model_while_it_is_tested():
    model = network()
    callback = AveragedWeights(model, 0.9)
    averages = [np.array(a) for a in callback.averages]
    model.set_weights(weights(model, 1))
    callback.on_test_begin()
    assert_equal(model.get_weights(), averages, rtol=0)
    assert_equal(callback.averages, weights(model, 1), rtol=0)
    callback.on_test_end()
    assert_equal(model.get_weights(), weights(model, 1), rtol=0)
    assert_equal(callback.averages, averages, rtol=0)


def test_averages_of_weights_that_stand_still_are_those_weights():
    model = network()
    callback = AveragedWeights(model, 0.9)
    for step in range(20):
        callback.on_train_batch_end(step)
    assert_equal(callback.averages, model.get_weights(), rtol=0)


def recorder(folder, model=None, **options) -> RunRecorder:
    model = model or network()
    callback = RunRecorder(folder, AveragedWeights(model, 0.5), **options)
    callback.set_model(model)
    return callback


@pytest.mark.parametrize(
    ("mious", "best"),
    [([0.1], 0), ([0.1, 0.3, 0.2], 1), ([0.1, 0.3, 0.3], 1), ([np.nan, 0.2, 0.1], 1), ([0.2, 0.1, 0.4], 2)],
)
def test_the_best_epoch_is_the_first_with_the_highest_miou(tmp_path, mious, best):
    callback = recorder(tmp_path)
    callback.rows = [{"val_miou": miou} for miou in mious]
    assert callback.best == best


@pytest.mark.parametrize(
    ("mious", "patience", "exhausted"),
    [
        ([], 2, False),
        ([0.3, 0.2], 2, False),
        ([0.3, 0.2, 0.1], 2, True),
        ([0.1, 0.3, 0.2, 0.4], 2, False),
        ([0.3, 0.2, 0.1, 0.1, 0.1], 0, False),
    ],
)
def test_patience_ends_after_so_many_epochs_without_a_better_one(tmp_path, mious, patience, exhausted):
    callback = recorder(tmp_path, patience=patience)
    callback.rows = [{"val_miou": miou} for miou in mious]
    assert callback.is_exhausted is exhausted


def test_a_run_is_recorded_after_each_epoch(tmp_path, capsys):
    callback = recorder(tmp_path, keep="best", patience=1)
    callback.on_epoch_end(0, {"loss": 1.5, "val_miou": 0.25})
    best = (tmp_path / "averaged.weights.h5").read_bytes()
    assert not callback.model.stop_training
    callback.on_epoch_end(1, {"loss": 1.0, "val_miou": 0.125})
    assert callback.model.stop_training
    assert (tmp_path / "averaged.weights.h5").read_bytes() == best
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0] == "epoch,learning_rate,loss,val_miou"
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2"]
    assert [line.split(",")[2:] for line in lines[1:]] == [["1.5", "0.25"], ["1.0", "0.125"]]
    assert "\nval_miou=0.2500\n" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "averaged.weights.h5",
        "checkpoint.npz",
        "history.csv",
        "raw.weights.h5",
    ]


@pytest.mark.parametrize(("keep", "kept"), [("last", 2), ("best", 1)])
def test_the_weights_of_the_last_or_of_the_best_epoch_are_kept(tmp_path, keep, kept):
    callback = recorder(tmp_path, keep=keep)
    written = []
    for epoch, miou in enumerate([0.1, 0.3, 0.2]):
        callback.model.set_weights(weights(callback.model, epoch))
        callback.on_epoch_end(epoch, {"val_miou": miou})
        written.append(weights(callback.model, epoch))
    assert callback.kept == kept
    model = network()
    uncompiled(model).load_weights(tmp_path / "raw.weights.h5")
    assert_equal(model.get_weights(), written[kept], rtol=0)


def test_the_two_weight_files_hold_weights_and_averages(tmp_path):
    callback = recorder(tmp_path)
    averages = [np.array(a) for a in callback.averaged.averages]
    callback.model.set_weights(weights(callback.model, 1))
    callback.on_epoch_end(0, {"val_miou": 0.5})
    for name, expected in (("raw", weights(callback.model, 1)), ("averaged", averages)):
        model = network()
        uncompiled(model).load_weights(tmp_path / f"{name}.weights.h5")
        assert_equal(model.get_weights(), expected, rtol=0)
    assert_equal(callback.model.get_weights(), weights(callback.model, 1), rtol=0)


def test_a_checkpoint_brings_everything_back(tmp_path):
    first = recorder(tmp_path)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 2)), rng.normal(size=(8, 3))
    first.model.fit(x, y, batch_size=1, callbacks=[first.averaged], verbose=0)
    first.on_epoch_end(0, {"val_miou": 0.5})
    second = recorder(tmp_path)
    assert second.restore() == 1
    assert second.rows == first.rows
    assert_equal(second.model.get_weights(), first.model.get_weights(), rtol=0)
    assert_equal(second.averaged.averages, first.averaged.averages, rtol=0)
    ours, theirs = ([np.array(v) for v in r.model.optimizer.variables] for r in (second, first))
    assert_equal(ours, theirs, rtol=0)
    assert int(second.averaged.steps) == 8


def test_without_a_checkpoint_nothing_is_done(tmp_path):
    assert recorder(tmp_path).restore() == 0


def test_a_checkpoint_of_another_network_is_an_error(tmp_path):
    recorder(tmp_path).on_epoch_end(0, {"val_miou": 0.5})
    with pytest.raises(InputError, match=r"checkpoint\.npz belongs to another network"):
        recorder(tmp_path, network(width=4)).restore()


def archive(**arrays: object) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: b"\x89PNG" * 500,
        lambda data: data.replace(b"NUMPY", b"NUMQY"),
        lambda data: archive(a=1),
        lambda data: archive(record="[]"),
        lambda data: archive(record="{"),
        lambda data: archive(record='{"rows": []}'),
        lambda data: archive(record=np.array({"rows": []}, object)),
    ],
)
def test_a_damaged_checkpoint_is_an_error_that_names_it(tmp_path, damage):
    recorder(tmp_path).on_epoch_end(0, {"val_miou": 0.5})
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"^\S+/checkpoint\.npz is damaged or of another kind: .+$"):
        recorder(tmp_path).restore()


def test_pictures_are_written_every_few_epochs(tmp_path):
    model = keras.Sequential([keras.Input((9, 7, 3)), keras.layers.Conv2D(3, 1)])
    images, truth = np.zeros((2, 9, 7, 3), np.float32), np.full((2, 9, 7), 255, np.uint8)
    callback = Pictures((images, truth), EGGS_AND_PANS, tmp_path, every=2)
    callback.set_model(model)
    for epoch in range(4):
        callback.on_epoch_begin(epoch)
        callback.on_test_end()
    callback.writer.close()
    (events,) = tmp_path.iterdir()
    records = [
        tf.compat.v1.Event.FromString(record) for record in tf.data.TFRecordDataset(str(events)).as_numpy_iterator()
    ]
    shown = [(event.step, value.tensor.string_val[:2]) for event in records for value in event.summary.value]
    assert [(step, size) for step, size in shown] == [(0, [b"21", b"9"]), (2, [b"21", b"9"])]
