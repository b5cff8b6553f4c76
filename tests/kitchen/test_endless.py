from __future__ import annotations

import numpy as np
import pytest

from eggseg import train
from eggseg.data.classes import VOID
from eggseg.kitchen import endless, scenes


def taken(count: int, **options: object) -> list[tuple[np.ndarray, np.ndarray]]:
    batches = endless.train_batches(48, **({"batch_size": 2, "steps": 2, "seed": 3, "strength": 0.6} | options))
    return list(batches.take(count).as_numpy_iterator())


def test_batches_are_scenes_that_never_come_again():
    batches = taken(4)
    assert [(image.shape, ids.shape) for image, ids in batches] == [((2, 48, 48, 3), (2, 48, 48))] * 4
    assert (batches[0][0].dtype, batches[0][1].dtype) == ("uint8", "uint8")
    everything = np.concatenate([image for image, _ in batches])
    assert all(not np.array_equal(a, b) for i, a in enumerate(everything) for b in everything[:i])


def test_without_augmentation_they_are_the_scenes_themselves():
    images, ids = taken(1, strength=0.0)[0]
    for i in range(2):
        square = scenes.square(3, i, 48)
        np.testing.assert_allclose(images[i], square[..., :3], atol=1e-3)
        np.testing.assert_array_equal(ids[i], square[..., 3])


def test_a_run_that_goes_on_sees_what_one_that_was_not_stopped_sees():
    for (image, ids), (again, same) in zip(taken(4)[2:], taken(2, first_epoch=1), strict=True):
        np.testing.assert_array_equal(image, again)
        np.testing.assert_array_equal(ids, same)


@pytest.mark.parametrize("index", range(6))
def test_a_scene_lies_in_the_middle_of_its_square(index):
    width, height = scenes.frame(0, index, 1).size
    square = scenes.square(0, index, 64)
    assert (square.shape, square.dtype) == ((64, 64, 4), "uint8")
    known = square[..., 3] != VOID
    rows, columns = np.flatnonzero(known.any(1)), np.flatnonzero(known.any(0))
    assert max(len(rows), len(columns)) == 64
    fitted = [64 * n / max(width, height) for n in (height, width)]
    assert [len(rows), len(columns)] == pytest.approx(fitted, abs=1)
    assert known[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    assert abs((rows[0] + rows[-1]) - 63) <= 1
    assert abs((columns[0] + columns[-1]) - 63) <= 1
    assert (square[~known][:, :3] == 0).all()


@pytest.mark.full
def test_a_network_trains_on_scenes_alone(tmp_path, capsys):
    args = ["--scenes", "8", "--epochs", "2", "--image_size", "48", "--base_filters", "2", "--depth", "2"]
    assert train.main([*args, "--encoder", "plain", "--output_dir", str(tmp_path)]) == 0
    assert "training on 8 made-up scenes an epoch, validating on 80" in capsys.readouterr().out
    assert (tmp_path / "saved_model" / "1" / "saved_model.pb").is_file()
