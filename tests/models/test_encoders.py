from __future__ import annotations

import itertools
import typing

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from eggseg.data.classes import EGGS_AND_PANS
from eggseg.errors import InputError
from eggseg.models import efficientnet_lite, encoders
from eggseg.models.normalization import FusedBatchNormalization
from eggseg.models.unet import unet
from eggseg.training import building
from eggseg.training.config import Config

FILTERS = {
    "efficientnet_lite0": (16, 24, 40, 112, 320),
    "mobilenet_v3": (16, 24, 40, 112, 960),
    "efficientnet_v2_b0": (16, 32, 48, 112, 1280),
    "resnet50": (64, 256, 512, 1024, 2048),
    "convnext_tiny": (96, 192, 384, 768),
}


def test_the_settings_name_all_of_them():
    assert typing.get_args(typing.get_type_hints(Config)["encoder"]) == ("plain", *encoders.NAMES)


def images(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (1, size, size, 3)).astype(np.float32)


@pytest.mark.parametrize("name", encoders.NAMES)
def test_features_of_every_size_and_a_network_around_them(name):
    encoder = encoders.build(name, 97, pretrained=True)
    assert tuple(feature.shape[-1] for feature in encoder.outputs) == FILTERS[name]
    sides = [feature.shape[1] for feature in encoder.outputs]
    assert all(abs(2 * small - large) <= 1 for large, small in itertools.pairwise(sides))
    logits = unet(97, 3, base_filters=4, encoder=encoder)(images(97))
    assert logits.shape == (1, 97, 97, 3)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v3", "resnet50"])
def test_normalisation_is_folded_in_what_has_learned_and_learns_in_what_has_not(name):
    norms = {
        pretrained: [
            layer
            for layer in encoders.build(name, 64, pretrained=pretrained).layers
            if isinstance(layer, layers.BatchNormalization)
        ]
        for pretrained in (True, False)
    }
    assert not norms[True]
    assert norms[False]
    assert {type(layer) for layer in norms[False]} == {FusedBatchNormalization}


def test_a_file_of_weights_gives_the_features_it_was_saved_with(tmp_path):
    theirs = keras.applications.MobileNetV3Large(include_top=False, weights=None, input_shape=(64, 64, 3))
    theirs.save_weights(tmp_path / "w.weights.h5")
    encoder = encoders.build("mobilenet_v3", 64, pretrained=True)
    encoders.load(encoder, "mobilenet_v3", str(tmp_path / "w.weights.h5"))
    np.testing.assert_allclose(encoder(images(64))[-1], theirs(images(64)), rtol=1e-3, atol=1e-3)


def test_resnet_sees_blue_first_and_no_mean():
    built = encoders.build("resnet50", 64, pretrained=False)
    seen = keras.Model(built.input, built.get_layer("rescale").output)
    pixel = np.array([124.68, 118.779, 106.939], np.float32)
    np.testing.assert_allclose(seen(np.broadcast_to(pixel, (1, 64, 64, 3)))[0, 0, 0], [3, 2, 1], atol=1e-4)


def test_the_installed_weights_are_folded_in():
    encoder = encoders.build("efficientnet_lite0", 64, pretrained=True)
    encoders.load(encoder, "efficientnet_lite0", "imagenet")
    bare = efficientnet_lite.efficientnet_lite0(64)
    efficientnet_lite.load(bare)
    for ours, theirs in zip(encoder(images(64)), bare(images(64)), strict=True):
        assert float(np.std(theirs)) > 0.1
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def test_what_cannot_be_downloaded_says_what_to_do(monkeypatch):
    def unreachable(**options: object) -> keras.Model:
        if options["weights"]:
            raise Exception("URL fetch failure on https://example.org/w.h5: None -- Name or service not known")
        return keras.applications.ResNet50(**options)

    halvings = encoders._APPLICATIONS["resnet50"][1]
    monkeypatch.setitem(encoders._APPLICATIONS, "resnet50", (unreachable, halvings))
    encoder = encoders.build("resnet50", 64, pretrained=True)
    with pytest.raises(InputError, match=r"cannot be downloaded \(URL fetch failure.*--encoder_weights FILE"):
        encoders.load(encoder, "resnet50", "imagenet")
    with pytest.raises(InputError, match="cannot be downloaded"):
        encoders.check("resnet50", 64, "imagenet")
    for name, weights in (("resnet50", "none"), ("efficientnet_lite0", "imagenet")):
        encoders.check(name, 64, weights)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v3"])
def test_a_file_of_weights_that_is_not_there_or_does_not_fit(tmp_path, name):
    encoder = encoders.build(name, 64, pretrained=True)
    with pytest.raises(InputError, match=r"gone\.h5 is not there"):
        encoders.load(encoder, name, str(tmp_path / "gone.h5"))
    with pytest.raises(InputError, match=r"gone\.h5 is not there"):
        encoders.check(name, 64, str(tmp_path / "gone.h5"))
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(InputError, match=r"text\.h5"):
        encoders.load(encoder, name, str(tmp_path / "text.h5"))


@pytest.mark.parametrize(("levels", "first"), [(0, "stem"), (1, "block1_expand"), (2, "block3_expand")])
def test_freezing_keeps_the_first_levels_and_all_depthwise_filters(levels, first):
    encoder = encoders.build("efficientnet_lite0", 64, pretrained=True)
    encoders.freeze(encoder, levels)
    learning = [layer.name for layer in encoder.layers if layer.trainable_weights]
    assert learning[0] == first
    assert learning[-1] == "block15_project"
    assert not any(name.endswith("depthwise") for name in learning)


@pytest.mark.parametrize(
    ("name", "size"), [*((name, 97) for name in ("plain", *encoders.NAMES)), ("convnext_tiny", 50)]
)
def test_logits_listen_to_the_pixels_at_their_own_place(name, size):
    keras.utils.set_random_seed(0)
    config = Config(encoder=name, encoder_weights="none", image_size=size, base_filters=4, depth=3)
    network = building.network(config, EGGS_AND_PANS)
    y, x = size * 7 // 8, size * 5 // 8
    image = tf.constant(images(size))
    with tf.GradientTape() as tape:
        tape.watch(image)
        logits = network(image, training=False)[0, y - 2 : y + 3, x - 2 : x + 3]
        heard = tf.reduce_sum(logits * np.random.default_rng(1).normal(size=logits.shape))
    share = np.abs(tape.gradient(heard, image)[0]).sum(-1)
    share /= share.sum()
    # Nearly everything that these logits listen to lies in the middle of what any of the levels sees.
    rows, columns = share.sum(1), share.sum(0)
    assert abs(np.argmax(np.convolve(rows, np.ones(9), "same")) - y) <= 6
    assert abs(np.argmax(np.convolve(columns, np.ones(9), "same")) - x) <= 6
