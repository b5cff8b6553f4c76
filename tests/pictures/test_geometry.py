from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from eggseg.pictures import geometry
from eggseg.pictures.geometry import letterbox, restore, restore_in_bands

sides = st.integers(16, 512)
thin = st.tuples(st.integers(1, 3), st.integers(1, 4001))
photo_sizes = st.one_of(
    st.sampled_from([(1, 1), (1, 2), (3, 4001), (4001, 3)]),
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
    thin,
    thin.map(lambda size: size[::-1]),
)


def in_map(function, picture):
    """Run inside `Dataset.map` on a picture whose size only the running graph knows."""
    picture = tf.convert_to_tensor(picture)

    def parsed(data):
        return function(tf.ensure_shape(tf.io.parse_tensor(data, picture.dtype), (None, None, picture.shape[-1])))

    return tf.data.Dataset.from_tensors(tf.io.serialize_tensor(picture)).map(parsed).get_single_element()


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


def inner_box(height: int, width: int, size: int) -> tuple[int, int, int, int]:
    """Where the photo lies in the square: top, bottom, left, right."""
    return box(letterbox(np.ones((height, width, 1), np.uint8), size, labels=True).numpy()[..., 0])


def box(ids: np.ndarray) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of the pixels that are 1, bottom and right exclusive."""
    rows, columns = np.flatnonzero((ids == 1).any(1)), np.flatnonzero((ids == 1).any(0))
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


@settings(max_examples=60)
@given(photo_sizes, sides, st.booleans())
def test_letterbox_gives_a_uint8_square(photo_size, size, labels):
    square = letterbox(noise(*photo_size), size, labels=labels)
    assert square.shape == (size, size, 3)
    assert square.dtype == tf.uint8


@settings(max_examples=60)
@given(photo_sizes, sides)
def test_restore_gives_float32_scores_of_the_photos_size(photo_size, size):
    scores = restore(tf.cast(letterbox(noise(*photo_size), size), tf.float32), *photo_size)
    assert scores.shape == (*photo_size, 3)
    assert scores.dtype == tf.float32


@st.composite
def rectangles(draw):
    """A square's side, a photo's size, and a rectangle in it that is at least two network pixels wide and high.

    Where the photo is narrower than that, the rectangle is as wide as the photo.
    """
    photo_size, size = draw(photo_sizes), draw(sides)
    least = int(np.ceil(2 * max(1, max(photo_size) / size)))
    spans = []
    for length in photo_size:
        extent = draw(st.integers(min(least, length), length))
        start = draw(st.integers(0, length - extent))
        spans.append((start, start + extent))
    return size, photo_size, spans


@settings(max_examples=150)
@given(rectangles())
def test_the_edges_of_a_rectangle_come_back_within_one_network_pixel(case):
    size, photo_size, ((top, bottom), (left, right)) = case
    ids = np.zeros((*photo_size, 1), np.uint8)
    ids[top:bottom, left:right] = 1
    scores = tf.one_hot(letterbox(ids, size, labels=True)[..., 0], 3)
    back = tf.argmax(restore(scores, *photo_size), axis=-1).numpy()
    off = np.abs(np.subtract(box(back), (top, bottom, left, right)))
    assert off.max() <= max(1, max(photo_size) / size)


@settings(max_examples=60)
@given(photo_sizes, sides, st.floats(-100, 100, width=32, allow_subnormal=False))
def test_what_stands_in_the_padding_stays_out(photo_size, size, constant):
    top, bottom, left, right = inner_box(*photo_size, size)
    scores = np.random.default_rng(0).choice([-1e30, np.inf, np.nan], (size, size, 2)).astype(np.float32)
    scores[top:bottom, left:right] = constant
    np.testing.assert_array_equal(restore(scores, *photo_size), np.full((*photo_size, 2), constant, np.float32))


@settings(max_examples=60)
@given(photo_sizes, sides, st.sampled_from([0, 1, 255]))
def test_labels_are_never_mixed(photo_size, size, pad):
    ids = np.random.default_rng(1).choice(np.array([3, 128, 250], np.uint8), (*photo_size, 1))
    square = letterbox(ids, size, labels=True, pad=pad)
    assert set(np.unique(square)) <= {*np.unique(ids).tolist(), pad}


@settings(max_examples=60)
@given(photo_sizes, sides, st.tuples(*[st.integers(0, 255)] * 3))
def test_a_photo_of_one_colour_keeps_it(photo_size, size, color):
    top, bottom, left, right = inner_box(*photo_size, size)
    square = letterbox(np.full((*photo_size, 3), color, np.uint8), size).numpy()
    assert (square[top:bottom, left:right] == color).all()


@pytest.mark.parametrize(
    ("photo_size", "size", "expected"),
    [
        ((37, 91), 64, (19, 45, 0, 64)),
        ((91, 37), 64, (0, 64, 19, 45)),
        ((2432, 4320), 400, (87, 312, 0, 400)),
        ((480, 640), 400, (50, 350, 0, 400)),
        ((3, 4001), 16, (7, 8, 0, 16)),
        ((50, 50), 33, (0, 33, 0, 33)),
    ],
)
def test_the_long_side_fills_the_square_and_the_short_one_lies_in_the_middle(photo_size, size, expected):
    square = letterbox(np.full((*photo_size, 1), 1, np.uint8), size, pad=9).numpy()[..., 0]
    assert box(square) == expected
    assert set(np.unique(square)) <= {1, 9}


@pytest.mark.parametrize("labels", [False, True])
def test_a_photo_of_the_squares_own_size_is_left_as_it_is(labels):
    photo = noise(65, 65)
    np.testing.assert_array_equal(letterbox(photo, 65, labels=labels), photo)


@settings(max_examples=60)
@given(photo_sizes, sides)
def test_photos_are_resized_as_tensorflow_resizes_them(photo_size, size):
    top, bottom, left, right = inner_box(*photo_size, size)
    expected = tf.round(tf.image.resize(noise(*photo_size), (bottom - top, right - left), antialias=True))
    np.testing.assert_array_equal(letterbox(noise(*photo_size), size)[top:bottom, left:right], expected)


def test_a_photo_is_averaged_when_it_shrinks():
    stripes = np.tile(np.array([[0], [255]], np.uint8), (64, 128))[..., None]
    inside = letterbox(stripes, 16).numpy()[2:-2]
    assert np.abs(inside.astype(int) - 127).max() <= 2


def test_a_photo_of_one_pixel_fills_the_square_and_comes_back():
    photo = np.array([[[12, 200, 77]]], np.uint8)
    square = letterbox(photo, 33)
    assert (square.numpy() == [12, 200, 77]).all()
    np.testing.assert_array_equal(restore(tf.cast(square, tf.float32), 1, 1), photo)


@pytest.mark.parametrize("photo_size", [(1, 1), (37, 91), (91, 37), (3, 401), (401, 3)])
@pytest.mark.parametrize("labels", [False, True])
def test_the_graph_does_what_eager_mode_does(photo_size, labels):
    photo = noise(*photo_size)
    square = in_map(lambda x: letterbox(x, 65, labels=labels, pad=7), photo)
    np.testing.assert_array_equal(square, letterbox(photo, 65, labels=labels, pad=7))

    def there_and_back(x):
        return restore(tf.cast(letterbox(x, 65), tf.float32), tf.shape(x)[0], tf.shape(x)[1])

    np.testing.assert_array_equal(in_map(there_and_back, photo), there_and_back(tf.constant(photo)))


def test_the_square_has_a_static_shape_in_the_graph():
    squares = tf.data.Dataset.from_generator(
        lambda: [noise(5, 9)], output_signature=tf.TensorSpec((None, None, 3), tf.uint8)
    ).map(lambda x: letterbox(x, 33))
    assert squares.element_spec.shape == (33, 33, 3)


def test_a_panorama_of_60000_by_2_goes_there_and_back():
    square = letterbox(noise(2, 60000), 400)
    assert square.shape == (400, 400, 3)
    assert restore(tf.cast(square, tf.float32), 2, 60000).shape == (2, 60000, 3)


PANORAMA = """
import pathlib, re, sys
import tensorflow as tf
from eggseg.pictures import geometry
from eggseg.pictures.geometry import letterbox, restore, restore_in_bands
from eggseg.pictures.decoding import decode

photo = decode(tf.io.read_file(sys.argv[1]))
square = letterbox(photo, 400)
ids = tf.argmax(restore(tf.cast(square, tf.float32), *photo.shape[:2]), axis=-1)
# Not getrusage, which counts what the parent had at the fork.
print(*ids.shape, re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.full
def test_a_panorama_of_60000_by_2_needs_less_than_a_gigabyte(tmp_path):
    path = tmp_path / "panorama.png"
    path.write_bytes(tf.io.encode_png(noise(2, 60000)).numpy())
    ran = subprocess.run([sys.executable, "-c", PANORAMA, path], capture_output=True, text=True, check=True)
    height, width, kibibytes = map(int, ran.stdout.split())
    assert (height, width) == (2, 60000)
    assert kibibytes < 2**20


@settings(max_examples=40)
@given(photo_sizes, sides, st.integers(1, 12))
def test_scores_restored_in_bands_are_those_of_tensorflow_to_the_bit(photo_size, size, bands):
    height, width = photo_size
    scores = np.random.default_rng(2).normal(size=(size, size, 3)).astype(np.float32)
    top, bottom, left, right = inner_box(height, width, size)
    whole = tf.image.resize(scores[top:bottom, left:right], (height, width))

    def each(rows):
        assert rows.shape[0] * width <= max(-(-height * width // bands), width)
        return tf.argmax(rows, -1), tf.reduce_sum(tf.ones_like(rows, tf.int32), (0, 1))[None]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geometry, "BAND", -(-height * width // bands))
        np.testing.assert_array_equal(restore(scores, height, width), whole)
        ids, counts = restore_in_bands(scores, height, width, each, (tf.int64, tf.int32))
    np.testing.assert_array_equal(ids, tf.argmax(whole, -1))
    assert tf.reduce_sum(counts, 0).numpy().tolist() == [height * width] * 3


MASK_OF_50_MEGAPIXELS = """
import pathlib, re
import tensorflow as tf
from eggseg.pictures.geometry import restore_in_bands

def peak():
    # Not getrusage, which counts what the parent had at the fork.
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])

@tf.function
def ids(scores, height, width):
    each = lambda rows: (tf.cast(tf.argmax(rows, -1), tf.uint8),)
    return restore_in_bands(scores, height, width, each, (tf.uint8,))[0]

scores = tf.random.stateless_normal((400, 400, 3), (0, 1))
ids(scores, tf.constant(300), tf.constant(400))
before = peak()
print(*ids(scores, tf.constant(6124), tf.constant(8165)).shape, peak() - before)
"""


@pytest.mark.full
def test_a_mask_of_50_megapixels_needs_little_more_than_itself():
    ran = subprocess.run([sys.executable, "-c", MASK_OF_50_MEGAPIXELS], capture_output=True, text=True, check=True)
    height, width, kibibytes = map(int, ran.stdout.split())
    assert (height, width) == (6124, 8165)
    assert kibibytes < 200 * 2**10, "scores of all pixels would take 600 MB, and their argmax 400"
