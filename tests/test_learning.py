from __future__ import annotations

import keras
import numpy as np
import pytest

from eggseg import encoders, learning
from eggseg.classes import EGGS_AND_PANS
from eggseg.config import Config
from eggseg.learning import EncoderAdamW

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
    model = learning.learner(SMALL, EGGS_AND_PANS, 10)
    assert len(model.trainable_variables) == len([w for w in model.weights if "moving" not in w.path])
    assert model.optimizer.slow == set()


def test_a_pretrained_encoder_learns_slowly_and_in_part(monkeypatch):
    monkeypatch.setattr(encoders, "load", lambda *args: None)
    model = learning.learner(Config(encoder="efficientnet_lite0", image_size=64, base_filters=2), EGGS_AND_PANS, 10)
    learning_names = [v.path.split("/")[0] for v in model.trainable_variables]
    slow = {learning_names[i] for i in model.optimizer.slow}
    assert {name.split("_")[0].rstrip("0123456789") for name in slow} == {"block"}
    assert "back0a_conv" in learning_names
    assert not any(name.startswith(("stem", "block0", "block2_")) for name in learning_names)


def test_an_encoder_without_weights_learns_like_the_rest():
    config = Config(encoder="efficientnet_lite0", encoder_weights="none", image_size=64, base_filters=2)
    model = learning.learner(config, EGGS_AND_PANS, 10)
    assert model.optimizer.slow == set()
    assert "stem" in [v.path.split("/")[0] for v in model.trainable_variables]


@pytest.mark.parametrize("weights", ["none", "imagenet"])
def test_the_exported_network_takes_the_weights_that_were_learned(weights, monkeypatch):
    monkeypatch.setattr(encoders, "load", lambda *args: None)
    config = Config(encoder="efficientnet_lite0", encoder_weights=weights, image_size=64, base_filters=2)
    model = learning.learner(config, EGGS_AND_PANS, 10)
    network = learning.network(config, EGGS_AND_PANS)
    network.set_weights(model.get_weights())
    assert network.compute_dtype == "float32"
    assert model(np.zeros((1, 64, 64, 3), np.float32)).shape == network(np.zeros((1, 64, 64, 3), np.float32)).shape
