from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from eggseg.data import augment
from eggseg.data.classes import VOID

SIZE = 65
COLORS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]], np.uint8)


def scene(size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """An image whose colour says the class, and the class ids; no turn or flip of it looks like another."""
    y, x = np.mgrid[:size, :size]
    ids = np.zeros((size, size), np.uint8)
    ids[(y - 0.4 * size) ** 2 + (x - 0.55 * size) ** 2 < (0.3 * size) ** 2] = 2
    ids[int(0.3 * size) : int(0.6 * size), int(0.6 * size) :] = 1
    return COLORS[ids], ids


def apply(draw: augment.Draw) -> tuple[np.ndarray, np.ndarray]:
    image, ids = scene()
    return augment.apply_to_image(draw, image).numpy(), augment.apply_to_ids(draw, tf.constant(ids)).numpy()


def colorless(draw: augment.Draw, transform: list[list[float]] | None = None) -> augment.Draw:
    """The draw without its changes of colour, with another transform if one is given."""
    one, none = tf.constant(1.0), tf.constant(0.0)
    moved = draw.transform if transform is None else tf.constant(transform, tf.float32)
    return draw._replace(transform=moved, gain=tf.ones(3), gamma=one, saturation=one, noise=none)


@pytest.mark.parametrize("seed", [(0, 0), (3, 5), (-1, 2**31 - 1)])
def test_no_strength_changes_nothing(seed):
    image, ids = apply(augment.draw(seed, SIZE, strength=0))
    np.testing.assert_allclose(image, scene()[0], atol=0.01)
    np.testing.assert_array_equal(ids, scene()[1])


def test_the_results_are_images_and_class_ids():
    image, ids = apply(augment.draw((1, 2), SIZE))
    assert image.shape == (SIZE, SIZE, 3)
    assert image.dtype == np.uint8
    assert ids.shape == (SIZE, SIZE)
    assert ids.dtype == np.uint8
    assert set(np.unique(ids)) <= {0, 1, 2, VOID}


def test_a_seed_decides_everything_and_another_gives_another_result():
    results = [apply(augment.draw(seed, SIZE)) for seed in [(1, 2), (1, 2), (1, 3), (2, 2)]]
    for ours, again in zip(results[0], results[1], strict=True):
        np.testing.assert_array_equal(ours, again)
    for other in results[2:]:
        assert (results[0][0] != other[0]).mean() > 0.5
        assert (results[0][1] != other[1]).any()


@pytest.mark.parametrize("seed", [(i, 7) for i in range(20)])
def test_image_and_ids_move_together(seed):
    image, ids = apply(colorless(augment.draw(seed, SIZE)))
    shown = np.linalg.norm(image[..., None, :] - COLORS.astype(np.float32), axis=-1).argmin(-1)
    known = ids != VOID
    assert known.mean() > 0.1
    assert (shown == ids)[known].mean() >= 0.97


def test_a_shift_brings_void_and_black_in_from_outside():
    ten_to_the_left = [[1, 0, 10], [0, 1, 0]]
    image, ids = apply(colorless(augment.draw((0, 0), SIZE), ten_to_the_left))
    before, ids_before = scene()
    np.testing.assert_array_equal(ids[:, :-10], ids_before[:, 10:])
    np.testing.assert_allclose(image[:, :-10], before[:, 10:], atol=0.01)
    assert (ids[:, -10:] == VOID).all()
    assert (image[:, -10:] == 0).all()


def test_a_flip_is_exact():
    image, ids = apply(colorless(augment.draw((0, 0), SIZE), [[-1, 0, SIZE - 1], [0, 1, 0]]))
    np.testing.assert_array_equal(ids, scene()[1][:, ::-1])
    np.testing.assert_allclose(image, scene()[0][:, ::-1], atol=0.01)


def flat(**light: object) -> np.ndarray:
    """A square of one colour after nothing but these changes of light."""
    draw = colorless(augment.draw((0, 0), SIZE), [[1, 0, 0], [0, 1, 0]])
    changed = draw._replace(**{name: tf.constant(value) for name, value in light.items()})
    return augment.apply_to_image(changed, np.full((SIZE, SIZE, 3), (100, 150, 50), np.uint8)).numpy()


@pytest.mark.parametrize(
    ("light", "expected"),
    [
        ({"gain": [1.1, 0.9, 1.0]}, (110, 135, 50)),
        ({"saturation": 0.0}, (100, 100, 100)),
        ({"gain": [1.1, 0.9, 1.0], "saturation": 0.5}, (104, 117, 74)),  # halfway to the mean of 110, 135 and 50
        ({"gain": [2.0, 2.0, 2.0]}, (200, 255, 100)),
        ({"gamma": 2.0}, (39, 88, 10)),  # 255 * (100 / 255) ** 2
    ],
)
def test_light_and_colour_change_by_the_draw(light, expected):
    np.testing.assert_allclose(flat(**light), np.broadcast_to(expected, (SIZE, SIZE, 3)), atol=1)


def test_the_channels_of_a_pixel_get_the_same_noise_and_each_seed_another():
    noise = [flat(noise=6.0, seed=[4, seed]).astype(int) - (100, 150, 50) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(noise[0], np.repeat(noise[0][..., :1], 3, -1))
    assert 5.5 < noise[0].std() < 6.5
    assert abs(noise[0].mean()) < 0.5
    np.testing.assert_array_equal(noise[0], noise[1])
    assert abs(np.corrcoef(noise[0].ravel(), noise[2].ravel())[0, 1]) < 0.1


def test_both_flips_are_drawn_about_every_other_time():
    weak = np.array([augment.draw((i, 0), SIZE, strength=1e-6).transform for i in range(200)])
    for axis in (0, 1):
        assert 70 <= (weak[:, axis, axis] < 0).sum() <= 130
    np.testing.assert_allclose(np.abs(weak[:, [0, 1], [0, 1]]), 1, atol=1e-4)


def test_scale_and_angle_stay_within_their_ranges():
    transforms = np.array([augment.draw((i, 1), SIZE).transform for i in range(300)])
    zoom = 1 / np.hypot(transforms[:, 0, 0], transforms[:, 0, 1])
    angle = np.degrees(np.arctan2(np.abs(transforms[:, 0, 1]), np.abs(transforms[:, 0, 0])))
    assert 0.75 <= zoom.min() < 0.8
    assert 1.9 < zoom.max() <= 2.0001
    assert 42 < angle.max() <= 45.001


def test_the_graph_does_what_eager_mode_does():
    def both(seed, image, ids):
        draw = augment.draw(seed, SIZE)
        return augment.apply_to_image(draw, image), augment.apply_to_ids(draw, ids)

    mapped = tf.data.Dataset.from_tensors((np.array([4, 9]), *scene())).map(both)
    assert [spec.shape for spec in mapped.element_spec] == [(SIZE, SIZE, 3), (SIZE, SIZE)]
    image, ids = mapped.get_single_element()
    np.testing.assert_allclose(image, apply(augment.draw((4, 9), SIZE))[0], atol=0.01)
    np.testing.assert_array_equal(ids, apply(augment.draw((4, 9), SIZE))[1])
