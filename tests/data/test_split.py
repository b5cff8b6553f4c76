from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from eggseg.data.split import Photo, few, folds, frames, one_fold, sessions, split
from eggseg.errors import InputError

METHODS = ["blocks", "session", "random"]


def video(count: int, name: str = "frame_{:05}.jpg", size=(640, 480), classes=(0, 1, 2)) -> list[Photo]:
    return [Photo(name.format(i), size, frozenset(classes)) for i in range(count)]


def grouped(names: list[str], size=(640, 480)) -> list[set[str]]:
    """The names of each session."""
    keys = sessions([Photo(name, size, frozenset()) for name in names])
    return [{n for n, k in zip(names, keys, strict=True) if k == key} for key in dict.fromkeys(keys)]


@pytest.mark.parametrize(
    "expected",
    [
        [{"00001.png", "00337.png"}, {"100020.png", "100176.png"}],
        [{"_Color_95.png", "_Color_1010.png"}],
        [{"egg001S(1).JPG", "egg002s(12).JPG"}, {"egg001T(1).JPG", "egg007T(8).JPG"}],
        [{"frame_0000000871.jpg", "frame_0000062671.jpg"}],
        [{"image_1.jpg", "image_17.jpg"}, {"output_003.jpg", "output_049.jpg"}],
        [{"image_39.jpg", "image_39.png", "image_4.PNG"}],
        [{"3 (2).jpg", "3 (15).jpg"}],
        [{"camera_01/7.jpg", "camera_01/12.jpg"}],
    ],
)
def test_a_session_is_names_that_differ_in_their_numbers_only(expected):
    assert grouped([name for names in expected for name in sorted(names)]) == expected


def test_photos_of_different_sizes_are_of_different_sessions():
    photos = [Photo("3 (1).jpg", (3264, 2448), frozenset()), Photo("6 (1).JPG", (4320, 2432), frozenset())]
    assert len(set(sessions(photos))) == 2


def test_a_photo_upright_is_of_the_session_of_those_that_lie():
    photos = [Photo("a_1.jpg", (640, 480), frozenset()), Photo("a_2.jpg", (480, 640), frozenset())]
    assert len(set(sessions(photos))) == 1


@pytest.mark.parametrize("folders", [("kitchen", "garden"), ("camera1", "camera2")])
def test_photos_in_different_folders_are_of_different_sessions(folders):
    assert len(grouped([f"{folder}/{i}.jpg" for folder in folders for i in range(3)])) == 2


@st.composite
def photo_sets(draw):
    """Photos of at most three sessions, each of a size of its own, each photo with some of three classes."""
    photos = []
    for name, size in (("{:05}.png", (640, 480)), ("a_{}.jpg", (1280, 720)), ("b {}.jpg", (816, 612))):
        start = draw(st.integers(0, 90))
        present = draw(st.lists(st.sets(st.integers(1, 2)), max_size=45))
        photos += [Photo(name.format(start + 3 * i), size, frozenset({0, *more})) for i, more in enumerate(present)]
    assume(photos)
    return draw(st.permutations(photos))


seeds = st.integers(0, 2**31)


@settings(max_examples=40)
@given(photo_sets(), st.sampled_from(METHODS), st.integers(2, 6), seeds)
def test_every_photo_is_in_one_fold(photos, method, count, seed):
    fold = folds(photos, method, count, seed)
    assert len(fold) == len(photos)
    assert set(fold) <= set(range(count))
    assert folds(photos, method, count, seed) == fold


@settings(max_examples=40)
@given(st.integers(20, 130), st.integers(2, 6), seeds)
def test_blocks_keep_at_least_ten_neighbours_together(length, count, seed):
    order = np.random.default_rng(seed).permutation(length)
    frames = video(length)
    fold = dict(zip(order.tolist(), folds([frames[i] for i in order], "blocks", count, seed), strict=True))
    runs = [len(list(run)) for _, run in itertools.groupby(fold[i] for i in range(length))]
    assert min(runs) >= 10
    assert len(set(fold.values())) == min(count, length // 10)


def test_blocks_are_of_neighbouring_numbers_not_names():
    frames = video(40, "_Color_{}.png")
    by_name = sorted(frames, key=lambda frame: frame.name)
    fold = dict(zip(by_name, folds(by_name, "blocks", 4, 0), strict=True))
    runs = [len(list(run)) for _, run in itertools.groupby(fold[frame] for frame in frames)]
    assert runs == [10, 10, 10, 10]


@settings(max_examples=40)
@given(photo_sets(), st.integers(2, 6), seeds)
def test_a_session_lies_in_one_fold(photos, count, seed):
    fold = folds(photos, "session", count, seed)
    of_session = {(photo.size, f) for photo, f in zip(photos, fold, strict=True)}
    assert len(of_session) == len({photo.size for photo in photos})


@settings(max_examples=60)
@given(photo_sets(), st.sampled_from(METHODS), st.floats(0.05, 0.5), seeds)
def test_a_split_has_every_class_on_both_sides(photos, method, fraction, seed):
    try:
        parts = split(photos, method, fraction, seed)
    except InputError:
        reject()
    assert sorted(parts.train + parts.val) == list(range(len(photos)))
    for side in (parts.train, parts.val):
        assert set().union(*(photos[i].classes for i in side)) == set().union(*(p.classes for p in photos))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_a_split_holds_out_about_its_fraction(method, fraction):
    photos = [photo for camera in "abcdefghij" for photo in video(20, camera + "_{}.jpg")]
    assert len(split(photos, method, fraction, 0).val) == 200 * fraction


@pytest.mark.parametrize("method", METHODS)
def test_a_split_is_decided_by_its_seed(method):
    photos = [photo for camera in "abcdefghij" for photo in video(20, camera + "_{}.jpg")]
    assert split(photos, method, 0.2, 7) == split(photos, method, 0.2, 7)
    assert len({split(photos, method, 0.2, seed) for seed in range(5)}) > 1


@pytest.mark.parametrize("method", METHODS)
def test_a_class_in_one_photo_only_cannot_be_on_both_sides(method):
    photos = video(30, classes=(0, 2)) + video(1, "egg_{}.jpg", classes=(0, 1))
    with pytest.raises(InputError, match=f"31 photos cannot be split by {method}"):
        split(photos, method, 0.2, 0)


def test_frames_follow_their_numbers():
    names = ["x_95.png", "x_1010.png", "y.png", "x_9.png"]
    photos = [Photo(name, (4, 3), frozenset({0})) for name in names]
    assert list(frames(photos).values()) == [[3, 0, 1], [2]]


def test_one_session_cannot_be_split_by_session():
    with pytest.raises(InputError, match="cannot be split by session"):
        split(video(50), "session", 0.2, 0)


@settings(max_examples=40)
@given(photo_sets(), st.integers(1, 12), seeds)
def test_a_few_are_spread_over_all(photos, count, seed):
    indices = list(range(len(photos)))
    if count > len(indices):
        with pytest.raises(
            InputError, match=f"--labelled_photos is {count}, but the training split has only {len(indices)} photos"
        ):
            few(photos, indices, count, seed)
        return
    try:
        chosen = few(photos, indices, count, seed)
    except InputError:
        assert len(set().union(*(photo.classes for photo in photos))) > 1, "all photos are of background alone"
        return
    assert len(set(chosen)) == count
    assert list(chosen) == sorted(chosen)
    assert chosen == few(photos, indices, count, seed)
    names = sessions(photos)
    order = sorted(indices, key=lambda i: (names[i], [int(n) for n in re.findall(r"\d+", photos[i].name)]))
    drawn = [-1, *(order.index(i) for i in sorted(chosen, key=order.index)), len(order)]
    longest = math.ceil(len(order) / count)
    assert max(np.diff(drawn)) < 2 * longest, "a stretch was passed over"


def test_a_fold_may_lack_a_class_but_not_have_one_that_the_rest_lacks():
    photos = [*video(20, "a_{}.jpg", classes=(0, 1, 2)), *video(20, "b_{}.jpg", classes=(0, 1, 2))]
    photos += video(20, "eggs_{}.jpg", classes=(0, 1))
    held_out = [one_fold(photos, "session", 3, fold, 0).val for fold in range(3)]
    assert sorted(sum(held_out, ())) == list(range(60))
    lonely = [*photos[:20], *photos[40:]]
    refused = 0
    for fold in range(2):
        try:
            one_fold(lonely, "session", 2, fold, 0)
        except InputError as error:
            refused += "the rest lacks a class that it has" in str(error)
    assert refused == 1


def test_a_fraction_of_zero_trains_on_all_photos():
    parts = split(video(12), "blocks", 0, 0)
    assert (parts.train, parts.val) == (tuple(range(12)), (0, 5, 10))
    assert not parts.holds_out
    assert split(video(40), "blocks", 0.2, 0).holds_out


def test_a_fold_without_any_class_cannot_be_held_out():
    photos = [*video(20, "a_{}.jpg"), *video(20, "unknown_{}.jpg", classes=())]
    messages = []
    for fold in range(2):
        try:
            one_fold(photos, "session", 2, fold, 0)
        except InputError as error:
            messages.append(str(error))
    assert any("no pixel of its masks is of a class" in message for message in messages)


@pytest.mark.parametrize("fraction", [0, 0.2])
def test_no_photo_cannot_be_split(fraction):
    with pytest.raises(InputError, match="no photo with a hand-made mask"):
        split([], "blocks", fraction, 0)
