from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from helpers.formats import encoded, ramp
from PIL import Image, ImageFilter, ImageOps

from eggseg.pictures import pillow
from eggseg.pictures.decoding import decode, decode_turned
from eggseg.pictures.geometry import letterbox


def photo(width: int = 37, height: int = 21) -> Image.Image:
    return Image.fromarray(ramp(width, height))


def turned(picture: Image.Image, tag: int) -> bytes:
    """A JPEG that says which way up it is."""
    exif = Image.Exif()
    exif[0x0112] = tag
    return encoded(picture, "JPEG", quality=90, exif=exif)


def in_map(function, *data):
    return tf.data.Dataset.from_tensors(data).map(function).get_single_element()


@pytest.mark.parametrize("tag", range(1, 9))
def test_decode_turns_a_photo_upright(tag):
    data = turned(photo(), tag)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    np.testing.assert_array_equal(decode(tf.constant(data)), expected)
    np.testing.assert_array_equal(in_map(decode, data), expected)


@pytest.mark.parametrize("tag", range(1, 9))
def test_decode_turns_a_png_upright(tag):
    exif = Image.Exif()
    exif[0x0112] = tag
    data = encoded(photo(), "PNG", exif=exif)
    at = data.index(b"eXIf") - 4
    end = at + 12 + int.from_bytes(data[at : at + 4], "big")
    # Pillow writes it behind the pixels; most others write it before them.
    data = data[:33] + data[at:end] + data[33:at] + data[end:]
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    np.testing.assert_array_equal(decode(tf.constant(data)), expected)
    np.testing.assert_array_equal(in_map(decode, data), expected)
    np.testing.assert_array_equal(pillow.decode(data)[0], expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_a_photo_of_too_many_pixels_is_refused_before_it_is_decoded(kind):
    data = tf.constant(encoded(photo(), kind))
    assert decode(data, max_pixels=37 * 21).shape == (21, 37, 3)
    for run in (decode, tf.function(decode)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="more pixels than"):
            run(data, max_pixels=37 * 21 - 1)


def test_a_gif_with_a_frame_larger_than_itself_is_refused_before_it_is_decoded():
    data = bytearray(encoded(photo().quantize(16), "GIF"))
    at = data.index(b"\x2c\0\0\0\0\x25\0\x15\0")
    data[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(tf.errors.InvalidArgumentError, match="does not fill it"):
        decode(tf.constant(bytes(data)))


def test_a_gif_with_a_comment_before_its_frame_is_read():
    frames = [photo().quantize(16), photo().rotate(180).quantize(16)]
    data = encoded(
        frames[0], "GIF", save_all=True, append_images=frames[1:], comment=b"eggs " * 200, loop=0, duration=9
    )
    np.testing.assert_array_equal(decode(tf.constant(data)), np.asarray(frames[0].convert("RGB")))


def test_a_bmp_whose_first_row_is_the_top_is_read_so():
    data = bytearray(encoded(photo(), "BMP"))
    data[22:26] = (-21).to_bytes(4, "little", signed=True)
    expected = np.asarray(photo())[::-1]
    np.testing.assert_array_equal(decode(tf.constant(bytes(data))), expected)
    np.testing.assert_array_equal(pillow.decode(bytes(data))[0], expected)


def test_a_gif_whose_first_frame_is_a_part_of_it_is_refused():
    data = bytearray(encoded(photo().quantize(16), "GIF"))
    data[6:10] = (40).to_bytes(2, "little") + (30).to_bytes(2, "little")
    with pytest.raises(tf.errors.InvalidArgumentError, match="does not fill it"):
        decode(tf.constant(bytes(data)))
    assert pillow.decode(bytes(data))[0].shape == (30, 40, 3)


BITMAP = encoded(photo(), "BMP")
UNKNOWN = (b"GIF86a" + encoded(photo().quantize(16), "GIF")[6:], BITMAP[:14] + b"\x29" + BITMAP[15:])
"""A GIF of no known version and a BMP of no known header, which Pillow refuses too."""
CUT = (encoded(photo(), "JPEG")[:200], encoded(photo(), "PNG")[:60])


@pytest.mark.parametrize("data", [b"", b"no picture", b"\xff\xd8", b"BM", b"GIF89a", *CUT, *UNKNOWN])
def test_decode_refuses_what_is_no_whole_picture(data):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(tf.constant(data))


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


@pytest.mark.parametrize("tag", range(1, 9))
def test_the_size_of_a_photo_decoded_smaller_is_its_own(tag):
    image, shape, found = decode_turned(tf.constant(turned(photo(320, 240), tag)), 80)
    assert found == tag
    assert tuple(shape) == ((240, 320) if tag < 5 else (320, 240))
    assert tuple(shape // 4) == image.shape[:2]


@pytest.mark.parametrize("cut", [200, 3000])
def test_a_jpeg_that_is_cut_is_refused_at_any_size(cut):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(tf.constant(encoded(photo(320, 240), "JPEG")[:cut]), 80)
