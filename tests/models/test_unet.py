from __future__ import annotations

import keras
import numpy as np
import pytest

from eggseg.models.unet import unet


@pytest.mark.parametrize(
    ("base_filters", "depth", "stem_stride", "classes", "parameters"),
    [(32, 4, 2, 3, 8_131_779), (16, 4, 2, 3, 2_037_603), (4, 2, 1, 3, 8_199), (4, 2, 3, 2, 8_518)],
)
def test_the_number_of_parameters(base_filters, depth, stem_stride, classes, parameters):
    model = unet(400, classes, base_filters=base_filters, depth=depth, stem_stride=stem_stride)
    assert model.count_params() == parameters


def test_the_default_is_the_network_of_16_filters():
    assert unet(400, 3).count_params() == 2_037_603


@pytest.mark.parametrize("stem_stride", [1, 2, 3])
@pytest.mark.parametrize("size", [33, 65, 101])
def test_logits_cover_an_input_of_any_size(size, stem_stride):
    model = unet(size, 3, base_filters=2, depth=3, stem_stride=stem_stride)
    images = np.random.default_rng(0).integers(0, 256, (2, size, size, 3)).astype(np.float32)
    logits = model(images)
    assert logits.shape == (2, size, size, 3)
    assert logits.dtype == "float32"
    assert np.isfinite(logits).all()
    assert np.ptp(logits, axis=(1, 2)).min() > 0


@pytest.mark.parametrize("stem_stride", [1, 2])
def test_logits_are_float32_whatever_the_policy_and_the_policy_stays_inside(stem_stride):
    before = keras.config.dtype_policy().name
    model = unet(33, 3, base_filters=2, depth=2, stem_stride=stem_stride, policy="mixed_bfloat16")
    assert keras.config.dtype_policy().name == before == "float32"
    assert model.get_layer("head").compute_dtype == "bfloat16"
    assert all(weight.dtype == "float32" for weight in model.weights)
    assert model(np.zeros((1, 33, 33, 3), np.float32)).dtype == "float32"


def test_the_policy_is_put_back_after_an_error():
    with pytest.raises(ValueError, match="filters"):
        unet(33, 3, base_filters=0, policy="mixed_bfloat16")
    assert keras.config.dtype_policy().name == "float32"


def test_weights_fit_every_input_size_and_precision():
    small = unet(33, 3, base_filters=2, depth=2)
    large = unet(65, 3, base_filters=2, depth=2, policy="mixed_bfloat16")
    large.set_weights(small.get_weights())
    for ours, theirs in zip(small.get_weights(), large.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_dropout_works_in_training_only():
    model = unet(33, 3, base_filters=2, depth=2, dropout=0.5)
    images = np.random.default_rng(0).integers(0, 256, (1, 33, 33, 3)).astype(np.float32)
    np.testing.assert_array_equal(model(images), model(images))
    assert [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)] == [0.5]
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in unet(33, 3, base_filters=2, depth=2).layers)


def test_a_new_network_is_inclined_to_background():
    np.testing.assert_array_equal(unet(33, 3, base_filters=2, depth=2).get_layer("head").bias, [3, 0, 0])
