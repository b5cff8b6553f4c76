from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eggseg.data import pairs, squares
from eggseg.data.classes import EGGS_AND_PANS, VOID
from eggseg.data.masks import Labels
from eggseg.data.pairs import Pair
from eggseg.data.split import Photo


def save(folder: Path, name: str, color: int, mask: np.ndarray, size: tuple[int, int] | None = None) -> None:
    """A photo of one grey, of the mask's size or of `size` (width, height), and its mask."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(exist_ok=True)
    width, height = size or mask.shape[::-1]
    Image.new("RGB", (width, height), (color, color, color)).save(folder / "images" / name)
    Image.fromarray(mask).save((folder / "masks" / name).with_suffix(".png"))


def mask(width: int, height: int, value: int = 255) -> np.ndarray:
    """Background on the left, `value` on the right."""
    values = np.zeros((height, width), np.uint8)
    values[:, width // 2 :] = value
    return values


@pytest.fixture
def listed(tmp_path) -> list[Pair]:
    """A landscape PNG with a pan and a portrait JPEG with an egg."""
    save(tmp_path, "a.png", 10, mask(64, 32))
    save(tmp_path, "b.jpg", 200, mask(33, 66, 128))
    return pairs.find(tmp_path)


def test_photos_become_letterboxed_squares_with_void_padding(listed):
    found = squares.read(listed, 33, EGGS_AND_PANS)
    assert found.pixels.shape == (2, 33, 33, 4)
    assert found.pixels.dtype == np.uint8
    landscape, portrait = found.pixels
    assert (landscape[:8] == (0, 0, 0, VOID)).all()
    assert (landscape[25:] == (0, 0, 0, VOID)).all()
    assert (landscape[8:25, :16] == (10, 10, 10, 0)).all()
    assert (landscape[8:25, 17:] == (10, 10, 10, 2)).all()
    assert (portrait[:, :8] == (0, 0, 0, VOID)).all()
    assert (portrait[:, 8] == (200, 200, 200, 0)).all()
    assert (portrait[:, 23] == (200, 200, 200, 1)).all()


def test_a_large_jpeg_lies_where_its_mask_lies(tmp_path):
    """The photo is decoded at an eighth of its size; the mask is lossy, whole, and turned with it."""
    values = mask(480, 640)
    values[:200] = 0
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = Image.fromarray(np.where(values == 0, 40, 220).astype(np.uint8)).convert("RGB")
    photo.save(tmp_path / "images" / "a.jpg", quality=95, exif=exif)
    Image.fromarray(values).save(tmp_path / "masks" / "a.jpg", quality=95)
    found = squares.read(pairs.find(tmp_path), 64, EGGS_AND_PANS)
    assert found.photos == (Photo("a.jpg", (640, 480), frozenset({0, 2})),)
    assert sum(found.labels[0].class_pixels) == 480 * 640
    pixels = found.pixels[0]
    inside = pixels[..., 3] != VOID
    bright = pixels[..., 0] > 130
    np.testing.assert_array_equal(bright[inside], (pixels[..., 3] == 2)[inside])
    assert (pixels[~inside][:, :3] == 0).all()


def test_a_large_jpeg_with_a_mask_of_a_fraction_of_its_size_is_an_error(tmp_path):
    save(tmp_path, "a.jpg", 10, mask(80, 60), size=(320, 240))
    (fault,) = squares.read(pairs.find(tmp_path), 65, EGGS_AND_PANS).faults
    assert fault == f"{tmp_path}/masks/a.png is 80x60, its photo {tmp_path}/images/a.jpg is 320x240"


def test_what_reading_showed_is_kept(listed):
    found = squares.read(listed, 33, EGGS_AND_PANS)
    assert found.photos == (
        Photo("a.png", (64, 32), frozenset({0, 2})),
        Photo("b.jpg", (33, 66), frozenset({0, 1})),
    )
    assert found.labels == (Labels((1024, 0, 1024), 0, 0, {}), Labels((16 * 66, 17 * 66, 0), 0, 0, {}))


def test_squares_in_memory_and_on_disk_are_equal(listed, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    on_disk = squares.read(listed, 33, EGGS_AND_PANS, cache)
    np.testing.assert_array_equal(on_disk.pixels, squares.read(listed, 33, EGGS_AND_PANS).pixels)
    assert isinstance(on_disk.pixels, np.memmap)
    assert not any(cache.iterdir()), "a file without a name leaves nothing, however the process ends"
    assert squares.read([], 33, EGGS_AND_PANS, cache).pixels.shape == (0, 33, 33, 4)


def test_values_near_a_class_are_rounded_and_counted(tmp_path):
    save(tmp_path, "a.png", 10, mask(8, 4, 240))
    found = squares.read(pairs.find(tmp_path), 16, EGGS_AND_PANS)
    assert set(np.unique(found.pixels[..., 3])) == {0, 2, VOID}
    assert found.labels == (Labels((16, 0, 16), 16, 15, {}),)


def test_a_stray_value_is_void(tmp_path):
    save(tmp_path, "odd.png", 10, mask(8, 8, 170))
    save(tmp_path, "sound.png", 10, mask(8, 8))
    found = squares.read(pairs.find(tmp_path), 16, EGGS_AND_PANS)
    assert found.photos[0].classes == {0}
    assert set(np.unique(found.pixels[0, ..., 3])) == {0, VOID}
    assert [labels.strays for labels in found.labels] == [{"170": 32}, {}]


@pytest.mark.parametrize(
    ("broken", "harm"),
    [
        ("images/b.jpg", lambda whole: whole[:400]),
        ("masks/b.png", lambda whole: whole[:40]),
        ("images/a.png", lambda whole: b""),
        ("masks/a.png", lambda whole: b"no picture"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_fault_and_the_others_are_read(listed, tmp_path, broken, harm):
    path = tmp_path / broken
    path.write_bytes(harm(path.read_bytes()))
    whole = squares.read(listed, 33, EGGS_AND_PANS)
    (fault,) = whole.faults
    assert fault.startswith(f"{path} ")
    (sound,) = whole.pairs
    assert sound.name == ("a.png" if "b." in broken else "b.jpg")
    assert len(whole.pixels) == len(whole.photos) == len(whole.labels) == 1
    assert whole.photos[0].name == sound.name
    np.testing.assert_array_equal(whole.pixels, squares.read([sound], 33, EGGS_AND_PANS).pixels)


def test_all_faults_are_listed(listed, tmp_path):
    for path in (listed[0].image, listed[1].mask):
        path.write_bytes(b"")
    found = squares.read(listed, 33, EGGS_AND_PANS)
    assert found.faults == tuple(f"{path} is empty (0 bytes)" for path in (listed[0].image, listed[1].mask))
    assert found.pixels.shape == (0, 33, 33, 4)


def test_a_file_that_went_away_is_named(listed):
    listed[0].mask.unlink()
    (fault,) = squares.read(listed, 33, EGGS_AND_PANS).faults
    assert fault == f"{listed[0].mask}: No such file or directory"


def test_a_mask_of_another_size_names_both_files_and_sizes(tmp_path):
    save(tmp_path, "a.png", 10, mask(64, 48), size=(64, 49))
    (fault,) = squares.read(pairs.find(tmp_path), 33, EGGS_AND_PANS).faults
    assert fault == f"{tmp_path}/masks/a.png is 64x48, its photo {tmp_path}/images/a.png is 64x49"


def test_so_many_squares_fit_in_memory(monkeypatch):
    class Free:
        available = 8 * 100 * 100 * 4

    monkeypatch.setattr(squares.psutil, "virtual_memory", Free)
    assert squares.fits_in_memory(4, 100)
    assert not squares.fits_in_memory(5, 100)
