from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from eggseg.models.normalization import FusedBatchNormalization, folded, fused


def randomise(model: keras.Model, seed: int = 0) -> keras.Model:
    """Give a model weights of its own, variances above 0 among them."""
    rng = np.random.default_rng(seed)
    model.set_weights([np.abs(rng.normal(0.5, 0.4, w.shape)) + 0.05 for w in model.get_weights()])
    return model


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def pair(**options: object) -> tuple[layers.Layer, layers.Layer]:
    """Our layer and Keras', with the same weights."""
    ours, theirs = FusedBatchNormalization(**options), layers.BatchNormalization(**options)
    for layer in (ours, theirs):
        layer.build((None, 5, 7, 3))
    rng = np.random.default_rng(0)
    values = [np.abs(rng.normal(1, 0.3, 3)).astype(np.float32) for _ in range(4)]
    ours.set_weights(values)
    theirs.set_weights(values)
    return ours, theirs


@pytest.mark.parametrize("training", [False, True])
def test_it_computes_what_keras_does(training):
    ours, theirs = pair(epsilon=1e-3, momentum=0.9)
    x = images(4, 5, 7, 3)
    np.testing.assert_allclose(ours(x, training=training), theirs(x, training=training), atol=1e-5)
    if training:
        n = 4 * 5 * 7  # the fused kernel's variance is the unbiased one
        np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, rtol=1e-5)
        np.testing.assert_allclose(ours.moving_variance, theirs.moving_variance, rtol=0.2 / n)


def test_it_stands_still_when_it_is_frozen():
    ours, theirs = pair()
    ours.trainable = theirs.trainable = False
    before = ours.get_weights()
    np.testing.assert_allclose(ours(images(4, 5, 7, 3), training=True), theirs(images(4, 5, 7, 3)), atol=1e-5)
    for was, now in zip(before, ours.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_statistics_are_float32_in_any_precision(dtype):
    layer = FusedBatchNormalization(dtype=dtype)
    out = layer(images(2, 4, 4, 3), training=True)
    assert out.dtype == dtype.removeprefix("mixed_")
    assert {weight.dtype for weight in layer.weights} == {"float32"}


def small(norm: type[layers.Layer] = layers.BatchNormalization) -> keras.Model:
    """Convolutions of each kind, foldable and not."""
    inputs = keras.Input((9, 9, 3))
    x = norm(name="first")(inputs)  # behind no convolution
    x = layers.Conv2D(4, 3, name="bare")(x)
    x = layers.ReLU()(norm(name="a")(x))
    x = layers.DepthwiseConv2D(3, use_bias=False, padding="same", name="depth")(x)
    x = norm(name="b")(x)
    y = layers.Conv2D(4, 1, use_bias=False, name="shared")(x)  # its plain result is used too
    x = layers.Add()([norm(name="c")(y), y])
    x = layers.Conv2D(4, 1, activation="relu", name="active")(x)
    return keras.Model(inputs, norm(scale=False, center=False, name="d")(x))


def test_a_folded_model_computes_the_same():
    model = randomise(small())
    less = folded(model)
    x = images(2, 9, 9, 3)
    np.testing.assert_allclose(less(x), model(x), rtol=1e-4, atol=1e-4)
    norms = [layer.name for layer in less.layers if isinstance(layer, layers.BatchNormalization)]
    assert norms == ["first", "c", "d"]
    assert less.get_layer("depth").use_bias


def test_folding_leaves_the_model_as_it_was():
    model = randomise(small())
    before = model.get_weights()
    less = folded(model)
    less.set_weights([np.zeros_like(w) for w in less.get_weights()])
    for was, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)


def test_several_outputs_stay_in_order():
    inputs = keras.Input((8, 8, 3))
    a = layers.BatchNormalization(name="na")(layers.Conv2D(2, 3, strides=2, name="a")(inputs))
    b = layers.BatchNormalization(name="nb")(layers.Conv2D(5, 3, strides=2, name="b")(a))
    model = randomise(keras.Model(inputs, [a, b]))
    x = images(1, 8, 8, 3)
    for ours, theirs in zip(folded(model)(x), model(x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_a_fused_model_keeps_weights_and_results():
    model = randomise(small())
    copy = fused(model)
    x = images(2, 9, 9, 3)
    np.testing.assert_allclose(copy(x), model(x), rtol=1e-4, atol=1e-4)
    kinds = {type(layer) for layer in copy.layers if isinstance(layer, layers.BatchNormalization)}
    assert kinds == {FusedBatchNormalization}
