"""Which way is up: on bytes and in the graph, of photos and of masks, by one rule."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf
from helpers.formats import chunk, encoded, png, ramp, segment, tiff, with_chunks
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from eggseg.data import labelled, masks
from eggseg.data.classes import EGGS_AND_PANS
from eggseg.data.pairs import Pair
from eggseg.pictures import decoding, exif, orientation, pillow

BYTES = tf.TensorSpec((), tf.string)
decoded = tf.function(decoding.decode_turned, input_signature=[BYTES], autograph=False)
of_jpeg = tf.function(exif.orientation, input_signature=[BYTES], autograph=False)

SIZES = ((37, 21), (1, 7))


def in_png(picture: Image.Image, before: int, after: int, order: str = "II") -> bytes:
    """A PNG with an EXIF chunk before its pixels, or one behind them, or both; 0 for none."""
    first, last = (chunk(b"eXIf", tiff(tag, order)[6:]) if tag else b"" for tag in (before, after))
    return with_chunks(encoded(picture, "PNG"), first, last)


def in_jpeg(picture: Image.Image, before: int, after: int, order: str = "II") -> bytes:
    """A JPEG with an EXIF segment before its pixels, or one behind them, or both; 0 for none."""
    first, last = (segment(0xE1, tiff(tag, order)) if tag else b"" for tag in (before, after))
    return b"\xff\xd8" + first + encoded(picture, "JPEG", quality=95)[2:] + last


PLACES = [
    *((tag, 0, tag) for tag in range(10)),
    *((0, tag, 1) for tag in range(1, 9)),
    *((tag, tag % 8 + 1, tag) for tag in range(1, 9)),
]
"""The tag before the pixels, that behind them, and the one that counts (0 and 9 are none)."""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("write", [in_png, in_jpeg])
def test_graph_and_pillow_agree_for_every_tag_and_place(write, size) -> None:
    cases = list(zip(PLACES, itertools.cycle(("II", "MM", "MM", "II", "MM")), strict=False))
    files = [write(Image.fromarray(ramp(*size)), before, after, order) for (before, after, _), order in cases]
    mapped = tf.data.Dataset.from_tensor_slices(files).map(lambda data: decoding.decode_turned(data))
    for data, ((_, _, counts), _), (pixels, shape, tag) in zip(files, cases, mapped, strict=True):
        expected = counts if counts in range(1, 9) else 1
        by_pillow, found = pillow.decode(data)
        assert (int(tag), found, masks.read(data, EGGS_AND_PANS).tag) == (expected, expected, expected)
        assert by_pillow.shape == (*shape, 3) == ((*size, 3) if expected >= 5 else (*size[::-1], 3))
        np.testing.assert_array_equal(pixels, by_pillow)
        if write is in_png:
            np.testing.assert_array_equal(pixels, orientation.upright(ramp(*size), expected))


@pytest.mark.parametrize("before", [0, 6])
def test_the_graph_agrees_with_itself_eagerly(before) -> None:
    for write in (in_png, in_jpeg):
        data = tf.constant(write(Image.fromarray(ramp(5, 3)), before, 3))
        for eager, inside in zip(decoding.decode_turned(data), decoded(data), strict=True):
            np.testing.assert_array_equal(eager, inside)


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("tag", [1, 2, 3, 6, 7])
def test_a_photo_and_its_mask_are_turned_alike(tmp_path, place, tag) -> None:
    values = np.zeros((15, 15), np.uint8)  # a square fits its photo whichever way it is turned
    values[:4, :6], values[14, :3] = 128, 255
    photo = np.where(values[..., None] > 0, values[..., None], np.uint8(60)).repeat(3, -1)
    at = {"before": (tag, 0), "after": (0, tag)}[place]
    pair = Pair("a.png", tmp_path / "a.png", tmp_path / "mask.png")
    pair.image.write_bytes(in_png(Image.fromarray(photo), *at))
    pair.mask.write_bytes(in_png(Image.fromarray(values), *at))
    read = labelled.read(pair, EGGS_AND_PANS)
    np.testing.assert_array_equal(read.ids == 0, read.image[..., 0] == 60)
    assert (read.tag, read.mask_tag) == ((tag, tag) if place == "before" else (1, 1))


@pytest.mark.parametrize("tag", range(1, 9))
def test_the_turn_of_arrays_is_that_of_the_graph(tag) -> None:
    pixels = np.random.default_rng(tag).integers(0, 256, (3, 5, 2), np.uint8)
    np.testing.assert_array_equal(orientation.upright(pixels, tag), exif.upright(tf.constant(pixels), tf.constant(tag)))


ENTRY = st.tuples(
    st.sampled_from([0x0112, 0x0112, 0x0100]), st.integers(0, 13), st.integers(0, 3), st.binary(max_size=4)
)


@st.composite
def blocks(draw) -> bytes:
    """EXIF, sound or not: any entries of a directory, cut anywhere, or no directory at all."""
    if draw(st.booleans()):
        return draw(st.sampled_from([b"", b"II*\0", b"MM\0*", b"II*\0\x08\0\0\0\xff\xff"])) + draw(
            st.binary(max_size=80)
        )
    order = draw(st.sampled_from(["little", "big"]))
    entries = draw(st.lists(ENTRY, max_size=4))
    head = (b"II*\0" if order == "little" else b"MM\0*") + (8).to_bytes(4, order)
    count = draw(st.sampled_from([len(entries), len(entries), 0, 65535]))
    body = b"".join(
        tag.to_bytes(2, order) + kind.to_bytes(2, order) + number.to_bytes(4, order) + value.ljust(4, b"\0")
        for tag, kind, number, value in entries
    )
    whole = head + count.to_bytes(2, order) + body
    return whole[: draw(st.integers(0, len(whole)))] if draw(st.booleans()) else whole


@settings(max_examples=100)
@given(blocks(), st.binary(max_size=8), st.booleans())
def test_any_exif_in_a_jpeg_is_read_alike(block, before, sound) -> None:
    start = b"\xff\xd8" + (segment(0xE0, before) if sound else before)
    data = start + segment(0xE1, b"Exif\0\0" + block) + segment(0xE1, tiff(6)) + segment(0xDA, bytes(9))
    assert orientation.of_jpeg(data) == int(of_jpeg(tf.constant(data)))


def test_the_search_ends_at_the_same_segment() -> None:
    for count in (511, 512, 513):
        data = b"\xff\xd8" + segment(0xE0, b"") * count + segment(0xE1, tiff(6)) + segment(0xDA, bytes(9))
        assert orientation.of_jpeg(data) == int(of_jpeg(tf.constant(data))) == (6 if count <= 512 else 1)


PIXELS = {mode: encoded(Image.fromarray(ramp(5, 3)).convert(mode), "PNG") for mode in ("L", "RGB", "RGBA")}
PIXELS["palette of 2 bits"] = encoded(Image.fromarray(ramp(5, 3)).quantize(4), "PNG", bits=2)
PIXELS["grey of 1 bit"] = encoded(Image.fromarray(ramp(5, 3)).convert("1"), "PNG")


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("value", [0, 1, 2, 3, 15, 16, 18, 255, 257, 65535])
def test_of_a_transparent_grey_value_the_low_bits_count(depth: int, value: int) -> None:
    most = 2**depth - 1
    stored = np.arange(24).reshape(4, 6) % (most + 1)
    data = png(stored, depth, 0, chunk(b"tRNS", value.to_bytes(2, "big")))
    shown = np.where(stored == value & most, 0, stored * (255 // most))
    for pixels in (decoded(tf.constant(data))[0], pillow.decode(data)[0]):
        np.testing.assert_array_equal(pixels, np.repeat(shown[..., None], 3, -1))


ANCILLARY = st.tuples(
    st.sampled_from(
        b"eXIf tRNS tRNS tEXt zTXt iTXt iCCP gAMA cHRM sRGB pHYs tIME bKGD sBIT hIST sPLT acTL fcTL fdAT vpAg".split()
    ),
    st.binary(max_size=6) | st.binary(max_size=30) | blocks(),
    st.booleans(),
)
"""Name and content of a chunk, and whether its checksum is right."""


@settings(max_examples=100)
@example([(b"tRNS", b"\0\2", True)], [], "grey of 1 bit")
@given(st.lists(ANCILLARY, max_size=3), st.lists(ANCILLARY, max_size=2), st.sampled_from(list(PIXELS)))
def test_a_png_that_the_graph_reads_is_read_alike_by_pillow_whatever_stands_beside_its_pixels(before, after, mode):
    def written(parts):
        return b"".join(chunk(n, c) if sound else chunk(n, c)[:-4] + b"eggs" for n, c, sound in parts)

    data = with_chunks(PIXELS[mode], written(before), written(after))
    pixels, _, tag = decoded(tf.constant(data))
    by_pillow, found = pillow.decode(data)
    np.testing.assert_array_equal(pixels, by_pillow)
    assert int(tag) == found == masks.read(data, EGGS_AND_PANS).tag
