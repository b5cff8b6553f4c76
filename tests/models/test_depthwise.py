from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from eggseg.models.depthwise import FastDepthwiseConv2D


@settings(max_examples=25)
@given(
    size=st.integers(1, 19), kernel=st.sampled_from([3, 5]), strides=st.sampled_from([1, 2]), bias=st.booleans(),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_results_and_gradients_are_those_of_keras(size, kernel, strides, bias, seed):
    options = {"strides": strides, "padding": "same", "use_bias": bias}
    ours, theirs = FastDepthwiseConv2D(kernel, **options), layers.DepthwiseConv2D(kernel, **options)
    for layer in (ours, theirs):
        layer.build((None, size, size, 3))
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=w.shape) for w in ours.get_weights()]
    x = tf.constant(rng.normal(size=(2, size, size, 3)), tf.float32)
    found = []
    for layer in (ours, theirs):
        layer.set_weights(weights)
        with tf.GradientTape() as tape:
            tape.watch(x)
            out = layer(x)
            loss = tf.reduce_sum(out**2)
        found.append([out, *tape.gradient(loss, [x, layer.kernel.value])])
    for mine, keras_ in zip(*found, strict=True):
        np.testing.assert_allclose(mine, keras_, rtol=1e-3, atol=1e-3)


def test_in_bfloat16_inside_a_graph():
    layer = FastDepthwiseConv2D(3, 2, padding="same", dtype="mixed_bfloat16")
    model = keras.Sequential([keras.Input((9, 9, 2)), layer, layers.GlobalAveragePooling2D()])
    model.compile("sgd", "mse")
    before = layer.get_weights()[0]
    model.fit(np.ones((4, 9, 9, 2), np.float32), np.zeros((4, 2), np.float32), verbose=0)
    assert layer.compute_dtype == "bfloat16"
    assert np.abs(layer.get_weights()[0] - before).max() > 0


def test_it_comes_back_from_its_config():
    layer = FastDepthwiseConv2D(5, 2, padding="same", use_bias=False, name="x")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert isinstance(again, FastDepthwiseConv2D)
    assert (again.kernel_size, again.strides, again.use_bias) == ((5, 5), (2, 2), False)


@pytest.mark.parametrize(("size", "half"), [(8, 4), (9, 5), (1, 1)])
def test_a_stride_of_two_halves_and_rounds_up(size, half):
    assert FastDepthwiseConv2D(3, 2, padding="same")(np.zeros((1, size, size, 2), np.float32)).shape[1] == half
