from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eggseg.data.classes import VOID
from eggseg.data.squares import Squares
from eggseg.models.unet import unet
from eggseg.training import calibration


def drawn(rng, logits):
    """Classes drawn with the probabilities of `logits`."""
    weights = np.exp(logits)
    return (weights.cumsum(-1) < rng.uniform(size=(len(logits), 1)) * weights.sum(-1, keepdims=True)).sum(-1)


@settings(max_examples=15)
@given(st.floats(0.2, 5), st.integers(0, 99))
def test_the_factor_that_spoiled_the_logits_is_found_and_undone(spoiled, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (20_000, 3))
    truth = drawn(rng, logits)
    assert calibration.best_factor(spoiled * logits, truth) == pytest.approx(1 / spoiled, rel=0.1)


def test_no_pixel_leaves_the_logits_alone():
    assert calibration.best_factor(np.zeros((0, 3)), np.zeros(0, np.uint8)) == 1


def test_logits_that_are_always_right_grow_to_the_end_of_the_range_only():
    factor = calibration.best_factor(np.array([[1.0, 0, 0]]), np.array([0]))
    assert factor == pytest.approx(calibration.RANGE[1])


def test_a_network_is_scaled_and_no_class_changes():
    keras.utils.set_random_seed(0)
    network = unet(32, 3, base_filters=4, depth=2)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (50, 32, 32, 4), dtype=np.uint8)
    ids = network(pixels[..., :3].astype(np.float32)).numpy().argmax(-1)
    pixels[..., 3] = np.where(rng.uniform(size=ids.shape) < 0.4, rng.integers(0, 3, ids.shape), ids)
    pixels[:, :5, :, 3] = VOID
    squares = Squares(pixels, tuple(range(50)), (), (), ())
    before = network(pixels[:2, ..., :3].astype(np.float32)).numpy()
    temperature = calibration.calibrate(network, squares, tuple(range(3, 50)))
    after = network(pixels[:2, ..., :3].astype(np.float32)).numpy()
    assert temperature > 1.2, "the network is right less often than it says"
    np.testing.assert_allclose(after * temperature, before, rtol=1e-3, atol=1e-4)
    assert calibration.calibrate(network, squares, tuple(range(3, 50))) == pytest.approx(1, abs=1e-3)
    assert calibration.calibrate(network, squares, ()) == 1


def test_with_test_time_augmentation_both_views_count():
    keras.utils.set_random_seed(1)
    network = unet(32, 3, base_filters=4, depth=2)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (4, 32, 32, 4), dtype=np.uint8)
    views = pixels[..., :3].astype(np.float32)
    logits = (network(views).numpy() + network(views[:, :, ::-1]).numpy()[:, :, ::-1]) / 2
    pixels[..., 3] = np.where(rng.uniform(size=(4, 32, 32)) < 0.5, logits.argmax(-1), pixels[..., 3] % 3)
    factor = calibration.best_factor(logits.reshape(-1, 3), pixels[..., 3].ravel())
    squares = Squares(pixels, (0, 1, 2, 3), (), (), ())
    assert calibration.calibrate(network, squares, (0, 1, 2, 3), tta=True) == pytest.approx(1 / factor, rel=1e-3)
