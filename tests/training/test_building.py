from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from eggseg.data.classes import EGGS_AND_PANS
from eggseg.models import encoders
from eggseg.training import building
from eggseg.training.building import EncoderAdamW, WarmupCosine
from eggseg.training.config import Config

SMALL = Config(image_size=64, base_filters=2, depth=2, precision="float32", encoder="plain")


def two_layers() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="slow"), keras.layers.Dense(1, name="fast")])


def moved(steps: int, **options: object) -> dict[str, float]:
    """How far each layer's kernel goes in so many equal steps."""
    keras.utils.set_random_seed(0)
    model = two_layers()
    before = {layer.name: layer.get_weights()[0] for layer in model.layers}
    slow = model.get_layer("slow").trainable_variables
    optimizer = EncoderAdamW(0.01, weight_decay=0.0, encoder=slow, **options)
    optimizer.build(model.trainable_variables)
    for _ in range(steps):
        optimizer.apply([keras.ops.ones_like(v) for v in model.trainable_variables], model.trainable_variables)
    return {layer.name: float(np.abs(layer.get_weights()[0] - before[layer.name]).max()) for layer in model.layers}


def test_the_encoder_learns_at_its_share_of_the_rate():
    assert moved(5, rate=0.25) == pytest.approx({"slow": 0.0125, "fast": 0.05}, rel=1e-3)


def test_the_encoder_stands_still_at_first():
    assert moved(3, rate=0.5, frozen_steps=3) == pytest.approx({"slow": 0, "fast": 0.03}, rel=1e-3)
    assert moved(5, rate=0.5, frozen_steps=3) == pytest.approx({"slow": 0.01, "fast": 0.05}, rel=1e-3)


def test_without_an_encoder_all_learn_alike():
    keras.utils.set_random_seed(0)
    assert moved(4) == pytest.approx({"slow": 0.04, "fast": 0.04}, rel=1e-3)


def test_the_plain_network_learns_whole():
    model = building.compiled(SMALL, EGGS_AND_PANS, 10)
    assert len(model.trainable_variables) == len([w for w in model.weights if "moving" not in w.path])
    assert model.optimizer.encoder_indices == set()


def test_a_pretrained_encoder_learns_slowly_and_in_part(monkeypatch):
    monkeypatch.setattr(encoders, "load", lambda *args: None)
    model = building.compiled(Config(encoder="efficientnet_lite0", image_size=64, base_filters=2), EGGS_AND_PANS, 10)
    learning_names = [v.path.split("/")[0] for v in model.trainable_variables]
    slow = {learning_names[i] for i in model.optimizer.encoder_indices}
    assert {name.split("_")[0].rstrip("0123456789") for name in slow} == {"block"}
    assert "back0a_conv" in learning_names
    assert not any(name.startswith(("stem", "block0", "block2_")) for name in learning_names)


def test_a_pretrained_encoder_does_not_decay_while_it_stands_still(monkeypatch):
    monkeypatch.setattr(encoders, "load", lambda *args: None)
    settings = {"encoder": "efficientnet_lite0", "image_size": 64, "base_filters": 2, "epochs": 40}
    config = Config(**settings, weight_decay=0.5, precision="float32")
    model = building.compiled(config, EGGS_AND_PANS, 10)
    variables = model.trainable_variables
    before = [np.array(v) for v in variables]
    for _ in range(3):
        model.optimizer.apply([keras.ops.ones_like(v) for v in variables], variables)
    for i, (was, now) in enumerate(zip(before, variables, strict=True)):
        assert np.array_equal(was, now) is (i in model.optimizer.encoder_indices)


def test_everything_that_an_optimizer_keeps_is_there_from_the_start():
    # In float16 it is wrapped; what it made later could not be restored by a resumed run.
    model = building.compiled(dataclasses.replace(SMALL, precision="float16"), EGGS_AND_PANS, 10)
    kept = [variable.path for variable in model.optimizer.variables]
    model.train_on_batch(np.zeros((1, 64, 64, 3), np.float32), np.zeros((1, 64, 64), np.uint8))
    assert [variable.path for variable in model.optimizer.variables] == kept


def test_an_encoder_without_weights_learns_like_the_rest():
    config = Config(encoder="efficientnet_lite0", encoder_weights="none", image_size=64, base_filters=2)
    model = building.compiled(config, EGGS_AND_PANS, 10)
    assert model.optimizer.encoder_indices == set()
    assert "stem" in [v.path.split("/")[0] for v in model.trainable_variables]


@pytest.mark.parametrize("weights", ["none", "imagenet"])
def test_the_exported_network_takes_the_weights_that_were_learned(weights, monkeypatch):
    monkeypatch.setattr(encoders, "load", lambda *args: None)
    config = Config(encoder_weights=weights, image_size=64, base_filters=2, precision="float32")
    model = building.compiled(config, EGGS_AND_PANS, 10)
    network = building.network(config, EGGS_AND_PANS)
    rng = np.random.default_rng(0)
    model.set_weights([np.abs(rng.normal(0, 0.2, w.shape)) for w in model.get_weights()])
    network.set_weights(model.get_weights())
    images = rng.integers(0, 256, (1, 64, 64, 3)).astype(np.float32)
    assert network.compute_dtype == "float32"
    np.testing.assert_allclose(network(images), model(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("epochs", "warmup", "frozen"), [(1, 2, 2), (2, 4, 4), (5, 10, 10), (10, 20, 20), (40, 20, 20)]
)
def test_a_short_run_warms_up_and_freezes_its_encoder_for_a_fifth_at_most(monkeypatch, epochs, warmup, frozen):
    monkeypatch.setattr(encoders, "load", lambda *args: None)
    config = Config(image_size=64, base_filters=2, precision="float32", epochs=epochs)
    optimizer = building.compiled(config, EGGS_AND_PANS, 10).optimizer
    schedule = optimizer._learning_rate
    assert (schedule.warmup, optimizer.frozen_steps, schedule.steps) == (warmup, frozen, 10 * epochs)


def test_a_run_of_one_step_moves_its_weights_at_the_full_rate(monkeypatch):
    monkeypatch.setattr(encoders, "load", lambda *args: None)
    config = Config(image_size=64, base_filters=2, precision="float32", epochs=1)
    optimizer = building.compiled(config, EGGS_AND_PANS, 1).optimizer
    assert optimizer.frozen_steps == 0
    assert float(optimizer.learning_rate) == pytest.approx(config.learning_rate)


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.05), (1, 0.1), (3, 0.2), (4, 0.2), (8, 0.1707107), (12, 0.1), (16, 0.0292893), (20, 0), (99, 0)],
)
def test_the_learning_rate_rises_then_falls_as_a_cosine(step, rate):
    schedule = WarmupCosine(0.2, warmup=4, steps=20)
    assert float(schedule(step)) == pytest.approx(rate, abs=1e-6)
    assert float(tf.function(schedule)(tf.constant(step))) == pytest.approx(rate, abs=1e-6)


@pytest.mark.parametrize(("warmup", "steps", "rates"), [(0, 2, [1, 0.5, 0]), (2, 2, [0.5, 1, 1]), (0, 0, [1, 0])])
def test_the_learning_rate_is_finite_at_the_limits(warmup, steps, rates):
    schedule = WarmupCosine(1.0, warmup, steps)
    assert [float(schedule(i)) for i in range(len(rates))] == pytest.approx(rates, abs=1e-6)


def test_a_schedule_comes_back_from_its_config():
    schedule = WarmupCosine(0.2, 4, 20)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert [float(again(i)) for i in (0, 7, 19)] == [float(schedule(i)) for i in (0, 7, 19)]
