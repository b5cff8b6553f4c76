from __future__ import annotations

import itertools

import numpy as np
import pytest
from helpers.data_sets import numbered

from eggseg.data import loader
from eggseg.data.squares import Squares


def epochs(squares: Squares, indices: list[int], count: int, batch_size: int = 3, **options) -> list[list[tuple]]:
    """The batches of the first `count` epochs."""
    options = {"seed": 0, "strength": 0.0} | options
    steps = len(indices) // batch_size
    batches = loader.train_batches(squares, indices, batch_size=batch_size, steps=steps, **options)
    taken = list(itertools.islice(batches.as_numpy_iterator(), count * steps))
    return [taken[i * steps : (i + 1) * steps] for i in range(count)]


def order(epoch: list[tuple]) -> list[int]:
    return [round(float(image[0, 0, 0])) for images, _ in epoch for image in images]


def test_training_batches_are_images_and_class_ids():
    batches = loader.train_batches(numbered(5), [0, 1, 2], batch_size=3, steps=1, seed=0, strength=1.0)
    image, ids = batches.element_spec
    assert (image.shape, image.dtype) == ((3, 17, 17, 3), "uint8")
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


@pytest.mark.parametrize("first", [1, 2, 5])
def test_a_run_begun_later_sees_what_the_uninterrupted_one_sees(first):
    squares = Squares(np.random.default_rng(0).integers(0, 3, (8, 17, 17, 4), np.uint8), tuple(range(8)), (), (), ())
    options = {"batch_size": 2, "seed": 3, "strength": 1.0}
    whole = epochs(squares, list(range(7)), first + 2, **options)
    later = epochs(squares, list(range(7)), 2, first_epoch=first, **options)
    for ours, theirs in zip(itertools.chain(*whole[first:]), itertools.chain(*later), strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


def test_another_seed_gives_another_order_and_other_augmentations():
    first, second = (epochs(numbered(16), list(range(16)), 1, seed=seed)[0] for seed in (0, 1))
    assert order(first) != order(second)
    one = numbered(1, 33)
    moved = [epochs(one, [0], 3, batch_size=1, seed=seed, strength=1.0) for seed in (0, 1)]
    views = [batch[0][0].tobytes() for epoch in itertools.chain(*moved) for batch in epoch]
    assert len(set(views)) == len(views) == 6


def test_plain_batches_are_the_photos_in_order():
    batches = list(loader.plain_batches(numbered(16), [3, 1, 15, 2, 8], batch_size=2, steps=3, weight=1.2))
    assert [image.shape[0] for image, *_ in batches] == [2, 2, 2], "one is blank"
    images, ids, _ = (np.concatenate(part)[:5] for part in zip(*batches, strict=True))
    assert (images.dtype, ids.dtype) == (np.uint8, np.uint8)
    assert images.shape[1:] == (17, 17, 3)
    np.testing.assert_array_equal(images[:, 4, 9, 1], [3, 1, 15, 2, 8])
    np.testing.assert_array_equal(ids[:, 4, 9], [0, 1, 0, 2, 2])


def test_photos_that_are_fewer_come_again_as_often_as_each_other_and_augmented_anew():
    squares = Squares(np.random.default_rng(0).integers(0, 3, (9, 33, 33, 4), np.uint8), tuple(range(9)), (), (), ())
    shown = loader.order([2, 5, 8], count=10, seed=0, first_epoch=0)
    index, dice = zip(*itertools.islice(shown.as_numpy_iterator(), 10), strict=True)
    assert sorted(np.bincount(index)[[2, 5, 8]]) in ([3, 3, 4],)
    assert len({tuple(seed) for seed in dice}) == 10
    batches = loader.train_batches(squares, [2, 5, 8], batch_size=5, steps=2, seed=0, strength=1.0)
    views = [image.tobytes() for images, _ in itertools.islice(batches.as_numpy_iterator(), 2) for image in images]
    assert len(set(views)) == 10


def test_joined_batches_are_one_of_each():
    parts = [
        loader.train_batches(numbered(8), indices, batch_size=size, steps=1, seed=0, strength=0.0)
        for indices, size in (([1, 2, 3], 3), ([6], 1))
    ]
    joined = loader.joined(*parts)
    assert [spec.shape for spec in joined.element_spec] == [(4, 17, 17, 3), (4, 17, 17)]
    for images, ids in joined.take(3).as_numpy_iterator():
        assert set(images[:3, 0, 0, 0].tolist()) == {1, 2, 3}
        assert images[3, 0, 0, 0] == 6
        np.testing.assert_array_equal(images[..., 0] % 3, ids)
