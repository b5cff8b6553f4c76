from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from keras import layers

from eggseg.models.depthwise import FastDepthwiseConv2D


@settings(max_examples=25)
@example(size=1, kernel=5, strides=2, bias=False, precision="bfloat16", seed=0)  # once uninitialised memory
@given(
    size=st.integers(1, 11), kernel=st.sampled_from([3, 5]), strides=st.sampled_from([1, 2]), bias=st.booleans(),
    precision=st.sampled_from(["float32", "bfloat16"]), seed=st.integers(0, 99),
)  # fmt: skip
def test_results_and_gradients_are_those_of_keras(size, kernel, strides, bias, precision, seed):
    options = {"strides": strides, "padding": "same", "use_bias": bias}
    ours = FastDepthwiseConv2D(kernel, **options, dtype="mixed_bfloat16" if precision == "bfloat16" else "float32")
    theirs = layers.DepthwiseConv2D(kernel, **options)
    for layer in (ours, theirs):
        layer.build((None, size, size, 3))
    # Whole numbers whose sums stay below 256: bfloat16 rounds none of them.
    rng = np.random.default_rng(seed)
    weights = [rng.integers(-1, 2, w.shape) for w in ours.get_weights()]
    x = tf.constant(rng.integers(-1, 2, (2, size, size, 3)), tf.float32)
    found = []
    for layer in (ours, theirs):
        layer.set_weights(weights)
        with tf.GradientTape() as tape:
            tape.watch(x)
            out = tf.cast(layer(x), tf.float32)
            loss = tf.reduce_sum(out * tf.stop_gradient(tf.sign(out)))
        found.append([out, *tape.gradient(loss, [x, layer.kernel.value])])
    for mine, keras_ in zip(*found, strict=True):
        np.testing.assert_array_equal(tf.cast(mine, tf.float32), keras_)


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


@pytest.mark.parametrize(
    "options", [{"kernel_size": 1}, {"kernel_size": 4}, {"strides": 3}, {"padding": "valid"}, {"activation": "relu"}]
)
def test_what_the_gradient_does_not_cover_is_refused(options):
    with pytest.raises(ValueError, match="expected an odd kernel size"):
        FastDepthwiseConv2D(**{"kernel_size": 3, "strides": 2, "padding": "same"} | options)
