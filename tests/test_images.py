from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from eggseg.classes import EGGS_AND_PANS, VOID
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
        image, values = run(decode_pair, turned(photo(37, 21), tag), encoded(mask(21, 37), "PNG"))
        assert image.shape == (37, 21, 3)
        np.testing.assert_array_equal(values[..., 0], np.asarray(mask(21, 37)))

    @pytest.mark.parametrize(("tag", "turn"), [(6, Image.Transpose.ROTATE_270), (8, Image.Transpose.ROTATE_90)])
    def test_a_mask_that_fits_the_stored_photo_is_turned_with_it(self, run, tag, turn):
        image, values = run(decode_pair, turned(photo(37, 21), tag), encoded(mask(37, 21), "PNG"))
        assert image.shape == (37, 21, 3)
        np.testing.assert_array_equal(values[..., 0], np.asarray(mask(37, 21).transpose(turn)))

    @pytest.mark.parametrize("tag", [1, 6])
    def test_a_mask_that_fits_neither_comes_back_as_stored(self, run, tag):
        _, values = run(decode_pair, turned(photo(37, 21), tag), encoded(mask(36, 21), "PNG"))
        np.testing.assert_array_equal(values[..., 0], np.asarray(mask(36, 21)))

    def test_a_coloured_mask_is_one_channel_of_its_values(self, run):
        image, values = run(decode_pair, encoded(photo(37, 21), "PNG"), encoded(mask(37, 21).convert("RGB"), "PNG"))
        np.testing.assert_array_equal(image, np.asarray(photo(37, 21)))
        assert values.shape == (21, 37, 1)
        assert values.dtype == tf.uint8
        np.testing.assert_array_equal(values[..., 0], np.asarray(mask(37, 21)))


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
