from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageFilter, ImageOps

from eggseg.classes import EGGS_AND_PANS, VOID
from eggseg.geometry import letterbox
from eggseg.images import decode, decode_pair, overlay


def photo(width: int = 37, height: int = 21, seed: int = 0) -> Image.Image:
    """Smooth colours with some noise, as a photo has."""
    y, x = np.mgrid[:height, :width]
    ramp = np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], -1)
    noise = np.random.default_rng(seed).integers(-20, 20, ramp.shape)
    return Image.fromarray(np.clip(ramp + noise, 0, 255).astype(np.uint8))


def encoded(picture: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(picture: Image.Image, tag: int) -> bytes:
    """A JPEG that says which way up it is."""
    exif = Image.Exif()
    exif[0x0112] = tag
    return encoded(picture, "JPEG", quality=90, exif=exif)


def in_map(function, *data):
    return tf.data.Dataset.from_tensors(data).map(function).get_single_element()


FILES = {
    "jpeg": encoded(photo(), "JPEG", quality=85),
    "jpeg, whole chroma": encoded(photo(), "JPEG", quality=95, subsampling=0),
    "grey jpeg": encoded(photo().convert("L"), "JPEG"),
    "progressive jpeg": encoded(photo(), "JPEG", progressive=True),
    "png": encoded(photo(), "PNG"),
    "palette png": encoded(photo().quantize(16), "PNG"),
    "grey png": encoded(photo().convert("L"), "PNG"),
    "bmp": encoded(photo(), "BMP"),
    "gif": encoded(photo().quantize(16), "GIF"),
}


@pytest.mark.parametrize("data", FILES.values(), ids=FILES.keys())
def test_decode_gives_the_pixels_that_pillow_gives(data):
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    pixels = decode(tf.constant(data))
    assert pixels.dtype == tf.uint8
    np.testing.assert_array_equal(pixels, expected)
    np.testing.assert_array_equal(in_map(decode, data), expected)


@pytest.mark.parametrize("tag", range(1, 9))
def test_decode_turns_a_photo_upright(tag):
    data = turned(photo(), tag)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    np.testing.assert_array_equal(decode(tf.constant(data)), expected)
    np.testing.assert_array_equal(in_map(decode, data), expected)


def test_the_first_frame_of_an_animation_is_the_photo():
    frames = [Image.new("RGB", (7, 5), color).quantize(4) for color in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode(tf.constant(data)), np.full((5, 7, 3), (255, 0, 0)))


@pytest.mark.parametrize("data", [b"", b"no picture", FILES["jpeg"][:200], FILES["png"][:60], b"\xff\xd8"])
def test_decode_refuses_what_is_no_whole_picture(data):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(tf.constant(data))


def mask(width: int, height: int) -> Image.Image:
    """A mask of which no turn or flip looks like another."""
    values = np.zeros((height, width), np.uint8)
    values[: height // 2, : width // 3] = 128
    values[height - 1, :4] = 255
    return Image.fromarray(values)


def eagerly(function, *data):
    return function(*map(tf.constant, data))


@pytest.mark.parametrize("run", [eagerly, in_map])
class TestDecodePair:
    @pytest.mark.parametrize("tag", [6, 8])
    def test_a_mask_that_fits_the_upright_photo_is_taken_as_it_is(self, run, tag):
        image, values, _ = run(decode_pair, turned(photo(37, 21), tag), encoded(mask(21, 37), "PNG"))
        assert image.shape == (37, 21, 3)
        np.testing.assert_array_equal(values[..., 0], np.asarray(mask(21, 37)))

    @pytest.mark.parametrize(("tag", "turn"), [(6, Image.Transpose.ROTATE_270), (8, Image.Transpose.ROTATE_90)])
    def test_a_mask_that_fits_the_stored_photo_is_turned_with_it(self, run, tag, turn):
        image, values, _ = run(decode_pair, turned(photo(37, 21), tag), encoded(mask(37, 21), "PNG"))
        assert image.shape == (37, 21, 3)
        np.testing.assert_array_equal(values[..., 0], np.asarray(mask(37, 21).transpose(turn)))

    @pytest.mark.parametrize("tag", [1, 6])
    def test_a_mask_that_fits_neither_comes_back_as_stored(self, run, tag):
        _, values, _ = run(decode_pair, turned(photo(37, 21), tag), encoded(mask(36, 21), "PNG"))
        np.testing.assert_array_equal(values[..., 0], np.asarray(mask(36, 21)))

    def test_a_coloured_mask_is_one_channel_of_its_values(self, run):
        image, values, _ = run(decode_pair, encoded(photo(37, 21), "PNG"), encoded(mask(37, 21).convert("RGB"), "PNG"))
        np.testing.assert_array_equal(image, np.asarray(photo(37, 21)))
        assert values.shape == (21, 37, 1)
        assert values.dtype == tf.uint8
        np.testing.assert_array_equal(values[..., 0], np.asarray(mask(37, 21)))


LARGE = {
    "landscape": (encoded(photo(320, 240), "JPEG", quality=90), 4),
    "progressive": (encoded(photo(320, 240), "JPEG", quality=90, progressive=True), 4),
    "grey": (encoded(photo(240, 320).convert("L"), "JPEG"), 4),
    "huge": (encoded(photo(1600, 16), "JPEG"), 8),
    "only just": (encoded(photo(160, 128), "JPEG"), 2),
    "too small for it": (encoded(photo(158, 128), "JPEG"), 1),
    "one side only halves": (encoded(photo(320, 250), "JPEG"), 2),
    "odd": (encoded(photo(321, 240), "JPEG"), 1),
    "png": (encoded(photo(320, 240), "PNG"), 1),
}


@pytest.mark.parametrize(("data", "ratio"), LARGE.values(), ids=LARGE.keys())
def test_a_jpeg_far_larger_than_its_square_is_decoded_smaller(data, ratio):
    whole = decode(tf.constant(data))
    pixels = decode(tf.constant(data), 80)
    assert pixels.shape == (whole.shape[0] // ratio, whole.shape[1] // ratio, 3)
    np.testing.assert_array_equal(in_map(lambda file: decode(file, 80), data), pixels)
    if ratio == 1:
        np.testing.assert_array_equal(pixels, whole)


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("size", [(640, 480), (488, 640), (1200, 24)])
def test_a_photo_decoded_smaller_makes_the_same_square(size, tag):
    picture = photo(*size).filter(ImageFilter.GaussianBlur(2))
    data = tf.constant(turned(picture, tag))
    square, reduced = (letterbox(decode(data, side), 75).numpy().astype(int) for side in (None, 75))
    assert decode(data, 75).shape != decode(data).shape
    np.testing.assert_array_equal(reduced.any(-1), square.any(-1), "the padding is the same")
    assert np.abs(reduced - square).max() <= 8
    assert np.abs(reduced - square).mean() <= 0.6


@pytest.mark.parametrize("tag", [1, 6])
@pytest.mark.parametrize(("width", "height", "turns"), [(320, 240, True), (240, 320, False)])
def test_a_mask_is_whole_and_turned_beside_a_photo_decoded_smaller(tag, width, height, turns):
    data = turned(photo(320, 240), tag)
    image, values, shape = eagerly(lambda *pair: decode_pair(*pair, 80), data, encoded(mask(width, height), "JPEG"))
    upright = (240, 320) if tag == 1 else (320, 240)
    assert tuple(shape) == upright
    assert image.shape == (upright[0] // 4, upright[1] // 4, 3)
    assert values.shape[:2] == (upright if tag == 6 or turns else (height, width))


@pytest.mark.parametrize("cut", [200, 3000])
def test_a_jpeg_that_is_cut_is_refused_at_any_size(cut):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(tf.constant(encoded(photo(320, 240), "JPEG")[:cut]), 80)


def test_overlay_tints_the_classes_and_leaves_the_background():
    image = np.full((7, 9, 3), 100, np.uint8)
    ids = np.zeros((7, 9), np.uint8)
    ids[2:6, 3:8] = 2
    shown = overlay(image, ids, EGGS_AND_PANS, opacity=0.5)
    assert shown.dtype == np.uint8
    assert (shown[0] == 100).all()
    assert (shown[:, 0] == 100).all()
    np.testing.assert_array_equal(shown[4, 5], [93, 140, 166])  # half 100, half the pan's sky blue
    assert (shown[2, 5] != shown[4, 5]).any(), "the outline stands out"


def test_overlay_takes_void():
    shown = overlay(np.full((3, 3, 3), 200, np.uint8), np.full((3, 3), VOID, np.uint8), EGGS_AND_PANS, opacity=0.5)
    assert (shown == 100).all()
