from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eggseg.errors import InputError
from eggseg.models import efficientnet_lite, packed
from eggseg.models.efficientnet_lite import efficientnet_lite0

PARAMETERS = 4_652_008 - 1_281_000 - 320 * 1280 - 2 * 1280
"""Of the paper that describes it, without its classifier and the convolution before it."""

OF_FLOAT32 = np.array(
    [
        [-0.426, -2.738, 0.045, -0.100, 7.243],
        [11.632, 20.678, 11.598, 0.283, 11.096],
        [-11.028, 8.796, -13.906, -0.047, 9.912],
        [11.850, 6.474, 8.366, 0.212, 5.778],
        [0.684, -1.257, -2.895, -0.103, 2.663],
    ]
)
"""Of each level's features of `picture()`, by the weights as they were published, in float32: the first three of the
middle pixel, mean and standard deviation."""


def picture() -> np.ndarray:
    y, x, c = np.mgrid[:96, :96, :3].astype(np.float64)
    return (127.5 * (1 + np.sin(x / (5 + c)) * np.cos(y / (9 - c)))).astype(np.float32)[None]


def test_it_has_the_parameters_of_the_paper_that_describes_it():
    assert sum(int(np.prod(w.shape)) for w in efficientnet_lite0(64).trainable_weights) == PARAMETERS


def test_the_weights_that_come_with_it_give_the_features_of_those_that_were_published():
    model = efficientnet_lite0(96)
    efficientnet_lite.load(model)
    for feature, expected in zip(model(picture()), OF_FLOAT32, strict=True):
        feature = feature.numpy()[0]
        middle = feature.shape[0] // 2
        found = [*feature[middle, middle, :3], feature.mean(), feature.std()]
        np.testing.assert_allclose(found, expected, atol=0.01 * expected[-1])


def test_the_weights_are_small_and_their_licence_is_beside_them():
    folder = efficientnet_lite.WEIGHTS.parent
    assert efficientnet_lite.WEIGHTS.stat().st_size < 6e6
    notice = (folder / "NOTICE").read_text()
    assert efficientnet_lite.WEIGHTS.name in notice
    for whose in ("Apache License, Version 2.0", "LICENSE-APACHE", "The TensorFlow Authors", "Changes made for eggseg"):
        assert whose in notice
    assert "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION" in (folder / "LICENSE-APACHE").read_text()


@pytest.mark.parametrize("size", [64, 97])
def test_its_features_halve_the_picture_five_times(size):
    shapes = [feature.shape[1:] for feature in efficientnet_lite0(size).outputs]
    sides = [-(-size // 2**i) for i in range(1, 6)]
    assert shapes == [(side, side, filters) for side, filters in zip(sides, (16, 24, 40, 112, 320), strict=True)]


def test_a_file_of_weights_is_taken_in_their_place_and_one_that_lacks_some_is_refused(tmp_path: Path):
    mine, other = efficientnet_lite0(32), efficientnet_lite0(32)
    arrays = packed.pack(mine)
    np.savez(tmp_path / "mine.npz", **arrays)
    efficientnet_lite.load(other, tmp_path / "mine.npz")
    for name, array in packed.pack(other).items():
        np.testing.assert_array_equal(array, arrays[name])
    del arrays["block3_depthwise_norm/3"]
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(InputError, match=r"mine\.npz holds no weights of efficientnet_lite0: block3_depthwise_norm/3"):
        efficientnet_lite.load(other, tmp_path / "mine.npz")
