from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.data_sets import draw
from PIL import Image

from eggseg.data import pairs, pseudo, squares
from eggseg.data.classes import EGGS_AND_PANS, VOID
from eggseg.data.split import Split
from eggseg.errors import InputError


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder of photos with masks that are certain in the left half, to 204 in 255, and in the right half to 51."""
    folder = draw(tmp_path / "made", 4)
    (folder / "confidence").mkdir()
    for path in (folder / "images").iterdir():
        with Image.open(path) as photo:
            width, height = photo.size
        confidence = np.where(np.arange(width) < width / 2, 204, 51).astype(np.uint8)
        Image.fromarray(np.tile(confidence, (height, 1))).save(folder / "confidence" / f"{path.name}.png")
    return folder


@pytest.mark.parametrize(("least", "left", "right"), [(0.1, True, True), (0.5, True, False), (0.9, False, False)])
def test_what_is_not_certain_is_unknown(made, least, left, right):
    found = squares.read(pseudo.find(made), 33, EGGS_AND_PANS)
    before = found.pixels.copy()
    pseudo.forget_doubtful(found, made, least)
    np.testing.assert_array_equal(found.pixels[..., :3], before[..., :3])
    for half, known in ((np.s_[:, :, :16, 3], left), (np.s_[:, :, 17:, 3], right)):
        expected = before[half] if known else np.full_like(before[half], VOID)
        np.testing.assert_array_equal(found.pixels[half], expected)


def test_true_masks_stay_as_they_are(made, data_dir):
    found = squares.read(pairs.find(data_dir) + pseudo.find(made), 33, EGGS_AND_PANS)
    before = found.pixels.copy()
    pseudo.forget_doubtful(found, made, 0.9)
    np.testing.assert_array_equal(found.pixels[:16], before[:16])
    assert (found.pixels[16:, ..., 3] == VOID).all()


def test_photos_that_are_held_out_are_left_aside(made, data_dir):
    true = pairs.find(data_dir)
    shutil.copyfile(true[3].image, made / "images" / "photo_2.jpg")
    both = true + pseudo.find(made)
    assert [pair.name for pair in both[16:]] == [f"pseudo:photo_{i}.{'png' if i % 2 else 'jpg'}" for i in range(4)]
    parts = pseudo.without_copies(both, Split((0, 1, *range(16, 20)), (2, 3)))
    assert parts == Split((0, 1, 16, 17, 19), (2, 3))
    assert pseudo.without_copies(both, Split((0, 3, 18), (1, 2))) == Split((0, 3, 18), (1, 2))


def test_a_photo_without_confidence_is_an_error(made):
    shutil.rmtree(made / "confidence")
    with pytest.raises(InputError, match=r"photo_0.jpg.png is not there: eggseg.predict --confidence writes it"):
        pseudo.find(made)


def test_a_confidence_of_another_size_is_an_error(made):
    Image.new("L", (5, 4)).save(made / "confidence" / "photo_2.jpg.png")
    found = squares.read(pseudo.find(made), 33, EGGS_AND_PANS)
    with pytest.raises(InputError, match=r"photo_2.jpg.png is 5x4, its photo .*photo_2.jpg is 77x51"):
        pseudo.forget_doubtful(found, made, 0.9)
