from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eggseg import data, pairs
from eggseg.classes import EGGS_AND_PANS, VOID
from eggseg.errors import InputError
from eggseg.pairs import Pair
from eggseg.split import Photo


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
    squares = data.read(listed, 33, EGGS_AND_PANS)
    assert squares.pixels.shape == (2, 33, 33, 4)
    assert squares.pixels.dtype == np.uint8
    landscape, portrait = squares.pixels
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
    squares = data.read(pairs.find(tmp_path), 64, EGGS_AND_PANS)
    assert squares.photos == (Photo("a.jpg", (640, 480), frozenset({0, 2})),)
    assert sum(squares.values[0].values()) == 480 * 640
    pixels = squares.pixels[0]
    inside = pixels[..., 3] != VOID
    bright = pixels[..., 0] > 130
    np.testing.assert_array_equal(bright[inside], (pixels[..., 3] == 2)[inside])
    assert (pixels[~inside][:, :3] == 0).all()


def test_a_large_jpeg_with_a_mask_of_a_fraction_of_its_size_is_an_error(tmp_path):
    save(tmp_path, "a.jpg", 10, mask(80, 60), size=(320, 240))
    with pytest.raises(InputError, match=r"a\.png is 80x60, its photo .*a\.jpg is 320x240"):
        data.read(pairs.find(tmp_path), 65, EGGS_AND_PANS)


def test_what_reading_showed_is_kept(listed):
    squares = data.read(listed, 33, EGGS_AND_PANS)
    assert squares.photos == (
        Photo("a.png", (64, 32), frozenset({0, 2})),
        Photo("b.jpg", (33, 66), frozenset({0, 1})),
    )
    assert squares.values == ({0: 1024, 255: 1024}, {0: 16 * 66, 128: 17 * 66})
    assert squares.report(EGGS_AND_PANS) == ""


def test_squares_in_memory_and_on_disk_are_equal(listed, tmp_path):
    cache = tmp_path / "squares.npy"
    on_disk = data.read(listed, 33, EGGS_AND_PANS, cache)
    np.testing.assert_array_equal(on_disk.pixels, data.read(listed, 33, EGGS_AND_PANS).pixels)
    assert cache.stat().st_size > 2 * 33 * 33 * 4
    batches = [
        list(data.plain_batches(s, [1, 0], batch_size=2)) for s in (on_disk, data.read(listed, 33, EGGS_AND_PANS))
    ]
    np.testing.assert_array_equal(batches[0][0][0], batches[1][0][0])


def test_values_near_a_class_are_rounded_and_reported(tmp_path):
    save(tmp_path, "a.png", 10, mask(8, 4, 240))
    squares = data.read(pairs.find(tmp_path), 16, EGGS_AND_PANS)
    assert set(np.unique(squares.pixels[..., 3])) == {0, 2, VOID}
    report = squares.report(EGGS_AND_PANS)
    assert report == "masks: 16 pixels rounded to the nearest class, by at most 15 grey levels"


def test_a_stray_value_is_void_and_its_file_is_named(tmp_path):
    save(tmp_path, "odd.png", 10, mask(8, 8, 170))
    save(tmp_path, "sound.png", 10, mask(8, 8))
    squares = data.read(pairs.find(tmp_path), 16, EGGS_AND_PANS)
    assert squares.photos[0].classes == {0}
    assert set(np.unique(squares.pixels[0, ..., 3])) == {0, VOID}
    report = squares.report(EGGS_AND_PANS)
    assert "value 170" in report
    assert "odd.png" in report
    assert "sound.png" not in report


def test_many_files_with_a_stray_value_are_counted(tmp_path):
    for i in range(7):
        save(tmp_path, f"{i}.png", 10, mask(8, 8, 170))
    report = data.read(pairs.find(tmp_path), 16, EGGS_AND_PANS).report(EGGS_AND_PANS)
    assert report.endswith("(in 0.png, 1.png, 2.png, 3.png, 4.png and 2 more)")


@pytest.mark.parametrize(
    ("broken", "harm"),
    [
        ("images/b.jpg", lambda whole: whole[:400]),
        ("masks/b.png", lambda whole: whole[:40]),
        ("images/a.png", lambda whole: b""),
        ("masks/a.png", lambda whole: b"no picture"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_alone(listed, tmp_path, broken, harm):
    path = tmp_path / broken
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(InputError) as error:
        data.read(listed, 33, EGGS_AND_PANS)
    assert str(error.value).startswith(f"{path} ")
    assert "\n" not in str(error.value)


def test_all_faults_are_listed_together(listed, tmp_path):
    for path in (listed[0].image, listed[1].mask):
        path.write_bytes(b"")
    with pytest.raises(InputError) as error:
        data.read(listed, 33, EGGS_AND_PANS)
    heading, *lines = str(error.value).splitlines()
    assert heading == "2 files that cannot be used:"
    assert [line.strip() for line in lines] == [
        f"{path} is empty (0 bytes)" for path in (listed[0].image, listed[1].mask)
    ]


def test_a_file_that_went_away_is_named(listed):
    listed[0].mask.unlink()
    with pytest.raises(InputError, match=r"a\.png: No such file"):
        data.read(listed, 33, EGGS_AND_PANS)


def test_a_mask_of_another_size_names_both_files_and_sizes(tmp_path):
    save(tmp_path, "a.png", 10, mask(64, 48), size=(64, 49))
    with pytest.raises(InputError) as error:
        data.read(pairs.find(tmp_path), 33, EGGS_AND_PANS)
    assert str(error.value) == f"{tmp_path}/masks/a.png is 64x48, its photo {tmp_path}/images/a.png is 64x49"


def test_so_many_squares_fit_in_memory(monkeypatch):
    class Free:
        available = 8 * 100 * 100 * 4

    monkeypatch.setattr(data.psutil, "virtual_memory", Free)
    assert data.fits_in_memory(4, 100)
    assert not data.fits_in_memory(5, 100)


def numbered(count: int, size: int = 17) -> data.Squares:
    """Squares whose every pixel is their own number."""
    pixels = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, size, size, 4)).copy()
    pixels[..., 3] %= 3
    return data.Squares(pixels, (), ())


def epochs(squares: data.Squares, indices: list[int], count: int, batch_size: int = 3, **options) -> list[list[tuple]]:
    """The batches of the first `count` epochs."""
    options = {"seed": 0, "strength": 0.0} | options
    batches = data.train_batches(squares, indices, batch_size=batch_size, **options)
    steps = len(indices) // batch_size
    taken = list(itertools.islice(batches.as_numpy_iterator(), count * steps))
    return [taken[i * steps : (i + 1) * steps] for i in range(count)]


def order(epoch: list[tuple]) -> list[int]:
    return [round(float(image[0, 0, 0])) for images, _ in epoch for image in images]


def test_training_batches_are_float_images_and_class_ids():
    batches = data.train_batches(numbered(5), [0, 1, 2], batch_size=3, seed=0, strength=1.0)
    image, ids = batches.element_spec
    assert (image.shape, image.dtype) == ((3, 17, 17, 3), "float32")
    assert (ids.shape, ids.dtype) == ((3, 17, 17), "uint8")


def test_an_epoch_shows_every_photo_at_most_once_and_only_those_asked_for():
    indices = [1, 2, 4, 7, 9, 11, 15]
    shown = [order(epoch) for epoch in epochs(numbered(16), indices, 12)]
    for epoch in shown:
        assert len(set(epoch)) == len(epoch) == 6
    assert set().union(*shown) == set(indices), "those left over differ from epoch to epoch"
    assert len({tuple(epoch) for epoch in shown}) > 8


def test_image_and_ids_of_a_batch_are_of_one_photo():
    for images, ids in epochs(numbered(16), list(range(16)), 1)[0]:
        np.testing.assert_array_equal(np.round(images[..., 0]).astype(int) % 3, ids)


@pytest.mark.parametrize("paste", [0.0, 0.6])
@pytest.mark.parametrize("first", [1, 2, 5])
def test_a_run_begun_later_sees_what_the_uninterrupted_one_sees(first, paste):
    squares = data.Squares(np.random.default_rng(0).integers(0, 3, (8, 17, 17, 4), np.uint8), (), ())
    options = {"batch_size": 2, "seed": 3, "strength": 1.0, "paste": paste}
    whole = epochs(squares, list(range(7)), first + 2, **options)
    later = epochs(squares, list(range(7)), 2, first_epoch=first, **options)
    for ours, theirs in zip(itertools.chain(*whole[first:]), itertools.chain(*later), strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


def test_a_share_of_the_photos_gets_the_objects_of_those_that_are_trained_on():
    # Each photo's upper half is an object; photo 3 is not trained on.
    pixels = np.broadcast_to(10 * np.arange(1, 5, dtype=np.uint8)[:, None, None, None], (4, 16, 16, 4)).copy()
    pixels[..., 3] = np.repeat([1, 0], 8)[:, None]
    pixels[0, :8, :, 3] = 0
    squares = data.Squares(pixels, (), ())
    for paste, least, most in ((0.0, 0, 0), (0.5, 9, 32), (1.0, 28, 52)):
        shown = [batch for epoch in epochs(squares, [0, 1, 2], 30, paste=paste) for batch in epoch]
        images, ids = (np.concatenate(part) for part in zip(*shown, strict=True))
        upper, lower = images[:, 0, 0, 0].round(), images[:, -1, 0, 0].round()
        assert set(upper) | set(lower) == {10, 20, 30}
        pasted = upper != lower
        assert least <= pasted.sum() <= most, "four of nine lend and borrow something new"
        assert (ids[pasted][:, :8] == 1).all()
        assert (ids[:, 8:] == 0).all()


def test_another_seed_gives_another_order_and_other_augmentations():
    first, second = (epochs(numbered(16), list(range(16)), 1, seed=seed)[0] for seed in (0, 1))
    assert order(first) != order(second)
    one = numbered(1, 33)
    moved = [epochs(one, [0], 3, batch_size=1, seed=seed, strength=1.0) for seed in (0, 1)]
    views = [batch[0][0].tobytes() for epoch in itertools.chain(*moved) for batch in epoch]
    assert len(set(views)) == len(views) == 6


def test_plain_batches_are_the_photos_in_order():
    batches = list(data.plain_batches(numbered(16), [3, 1, 15, 2, 8], batch_size=2))
    assert [image.shape[0] for image, _ in batches] == [2, 2, 1]
    images, ids = (np.concatenate(part) for part in zip(*batches, strict=True))
    assert (images.dtype, ids.dtype) == (np.float32, np.uint8)
    assert images.shape[1:] == (17, 17, 3)
    np.testing.assert_array_equal(images[:, 4, 9, 1], [3, 1, 15, 2, 8])
    np.testing.assert_array_equal(ids[:, 4, 9], [0, 1, 0, 2, 2])
