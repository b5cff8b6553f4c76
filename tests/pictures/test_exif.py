from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from helpers.formats import segment, tiff
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from eggseg.pictures.exif import orientation, upright

BYTES = tf.TensorSpec((), tf.string)
in_graph = tf.function(orientation, input_signature=[BYTES])


def jpeg(*segments: bytes, width: int = 5, height: int = 3) -> bytes:
    """A JPEG with the segments right after its start."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (200, 100, 50)).save(buffer, "JPEG")
    return b"\xff\xd8" + b"".join(segments) + buffer.getvalue()[2:]


def both(data: bytes) -> int:
    """The orientation, after a look that eager mode and graph agree on it."""
    tag = int(orientation(tf.constant(data)))
    assert int(in_graph(tf.constant(data))) == tag
    return tag


@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("tag", range(1, 9))
def test_the_tag_is_read_in_both_byte_orders(tag, order):
    assert both(jpeg(segment(0xE1, tiff(tag, order)))) == tag


@pytest.mark.parametrize("order", ["II", "MM"])
def test_the_tag_is_found_behind_other_tags(order):
    assert both(jpeg(segment(0xE1, tiff(6, order, before=7)))) == 6


@pytest.mark.parametrize(
    "others",
    [
        [segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")],
        [segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"), segment(0xFE, b"a comment \xff\xe1 that misleads")],
        [segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"), segment(0xE2, bytes(60_000))],
    ],
)
def test_other_segments_before_exif_are_passed_over(others):
    assert both(jpeg(*others, segment(0xE1, tiff(8)))) == 8


@pytest.mark.parametrize("count", [1, 2, 5])
def test_fill_bytes_before_a_marker_are_passed_over(count):
    assert both(jpeg(b"\xff" * count + segment(0xE1, tiff(6)))) == 6


@pytest.mark.parametrize(
    "segments",
    [
        [],
        [segment(0xE1, tiff(0))],
        [segment(0xE1, tiff(9))],
        [segment(0xE1, tiff(6, tag=0x0113))],
        [segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")],
        [segment(0xE1, b"Exif\0\0")],
    ],
    ids=["no exif", "value 0", "value 9", "no such tag", "xmp only", "empty"],
)
def test_without_a_valid_tag_a_photo_is_upright(segments):
    assert both(jpeg(*segments)) == 1


def test_what_comes_after_the_pixels_begin_is_not_searched():
    scan = segment(0xDA, bytes(10))
    assert both(b"\xff\xd8" + scan + segment(0xE1, tiff(6))) == 1


@settings(max_examples=80)
@given(st.binary(max_size=300), st.sampled_from([b"", b"II*\0", b"MM\0*", b"II*\0\x08\0\0\0\xff\xff"]))
def test_garbage_for_exif_is_some_orientation(garbage, head):
    assert 1 <= both(jpeg(segment(0xE1, b"Exif\0\0" + head + garbage))) <= 8


@settings(max_examples=80)
@given(st.integers(2, 700), st.sampled_from(["II", "MM"]))
def test_a_file_cut_anywhere_has_some_orientation(length, order):
    assert 1 <= both(jpeg(segment(0xE1, tiff(6, order)))[:length]) <= 8


@settings(max_examples=80)
@given(st.binary(max_size=60))
def test_any_bytes_after_the_start_of_a_jpeg_have_some_orientation(garbage):
    assert 1 <= both(b"\xff\xd8" + garbage) <= 8


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("size", [(5, 3), (3, 5), (1, 7), (4, 4)])
def test_upright_does_what_pillow_does(tag, size):
    pixels = np.random.default_rng(tag).integers(0, 256, (*size, 3), np.uint8)
    picture = Image.fromarray(pixels)
    picture.getexif()[0x0112] = tag
    expected = np.asarray(ImageOps.exif_transpose(picture))
    np.testing.assert_array_equal(upright(tf.constant(pixels), tf.constant(tag)), expected)
    mapped = tf.data.Dataset.from_tensors((pixels, tag)).map(upright)
    np.testing.assert_array_equal(mapped.get_single_element(), expected)


@pytest.mark.parametrize("order", ["II", "MM"])
def test_a_tag_of_four_bytes_is_read_too(order):
    e = "<" if order == "II" else ">"
    entry = struct.pack(f"{e}HHII", 0x0112, 4, 1, 6)
    block = order.encode() + struct.pack(f"{e}HIH", 42, 8, 1) + entry + struct.pack(f"{e}I", 0)
    assert both(jpeg(segment(0xE1, b"Exif\0\0" + block))) == 6
