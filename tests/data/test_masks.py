from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from helpers.formats import by_opencv, chunk, encoded, with_chunks
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from eggseg.data import masks
from eggseg.data.classes import EGGS_AND_PANS, VOID, Class, ClassTable
from eggseg.data.masks import Labels
from eggseg.pictures import exif
from eggseg.pictures.pillow import PictureError

IDS = np.array([[0, 0, 1, 1, 2], [0, 1, 1, 2, 2], [0, 0, 0, 0, 2]], np.uint8)
VALUES = EGGS_AND_PANS.paint(IDS)
COLORS = np.array([(0, 0, 0), (255, 200, 0), (10, 20, 250)], np.uint8)


def table(*values: object) -> ClassTable:
    return ClassTable(tuple(Class(f"class {i}", value, (i, 0, 0)) for i, value in enumerate(values)))


NUMBERED = table(0, 1, 2)
COLORED = table(*(tuple(color.tolist()) for color in COLORS))
PALETTE = [part for color in ((0, 0, 0), (128, 0, 0), (0, 128, 0)) for part in color]
LARGE = np.kron(IDS, np.ones((33, 33), np.uint8))


def palette(ids: np.ndarray, colors: list[int]) -> Image.Image:
    picture = Image.fromarray(ids).convert("P")
    picture.putdata(ids.ravel().tolist())
    picture.putpalette(colors)
    return picture


def grey(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values)


WIDE = VALUES.astype(np.uint16)
LOSSLESS = {
    "PNG, grey": (EGGS_AND_PANS, encoded(grey(VALUES), "PNG")),
    "PNG, three equal channels": (EGGS_AND_PANS, encoded(grey(VALUES).convert("RGB"), "PNG")),
    "PNG, grey with alpha": (EGGS_AND_PANS, encoded(grey(VALUES).convert("LA"), "PNG")),
    "PNG, background transparent": (EGGS_AND_PANS, encoded(
        Image.fromarray(np.dstack([np.where(IDS > 0, VALUES, 77)] * 3 + [np.where(IDS > 0, 255, 0)]).astype(np.uint8)),
        "PNG")),
    "PNG, 16 bits": (EGGS_AND_PANS, by_opencv(WIDE * 257, ".png")),
    "PNG, 16 bits, whose lower 8 are 0": (EGGS_AND_PANS, by_opencv(WIDE * 256, ".png")),
    "PNG, 16 bits that hold values of 8": (EGGS_AND_PANS, by_opencv(WIDE, ".png")),
    "PNG, 16 bits that number the classes": (NUMBERED, by_opencv(IDS.astype(np.uint16), ".png")),
    "PNG, RGB of 16 bits": (EGGS_AND_PANS, by_opencv(np.dstack([WIDE * 257] * 3), ".png")),
    "PNG, RGB of 16 bits that hold values of 8": (EGGS_AND_PANS, by_opencv(np.dstack([WIDE] * 3), ".png")),
    "PNG, RGB of 16 bits that number the classes": (
        NUMBERED, by_opencv(np.dstack([IDS.astype(np.uint16)] * 3), ".png")
    ),
    "PNG, numbers": (NUMBERED, encoded(grey(IDS), "PNG")),
    "PNG, palette, by colour": (EGGS_AND_PANS, encoded(palette(IDS, [0] * 3 + [128] * 3 + [255] * 3), "PNG")),
    "PNG, palette, by index": (NUMBERED, encoded(palette(IDS, PALETTE), "PNG")),
    "PNG, palette of 2 bits, by index": (NUMBERED, encoded(palette(IDS, PALETTE), "PNG", bits=2)),
    "PNG, palette of colours": (COLORED, encoded(palette(IDS, COLORS.ravel().tolist()), "PNG")),
    "PNG, colours": (COLORED, encoded(Image.fromarray(COLORS[IDS]), "PNG")),
    "PNG, colours of 16 bits": (COLORED, by_opencv(COLORS[IDS].astype(np.uint16) * 257, ".png")),
    "BMP": (EGGS_AND_PANS, encoded(grey(VALUES), "BMP")),
    "BMP, palette, by index": (NUMBERED, encoded(palette(IDS, PALETTE), "BMP")),
    "TIFF": (EGGS_AND_PANS, encoded(grey(VALUES), "TIFF")),
    "TIFF, 16 bits": (EGGS_AND_PANS, by_opencv(WIDE * 257, ".tiff")),
    "TIFF, colours": (COLORED, encoded(Image.fromarray(COLORS[IDS]), "TIFF")),
    "WebP, lossless": (EGGS_AND_PANS, encoded(grey(VALUES).convert("RGB"), "WEBP", lossless=True)),
    "GIF": (EGGS_AND_PANS, encoded(grey(VALUES), "GIF")),
}  # fmt: skip


@pytest.mark.parametrize(("classes", "data"), LOSSLESS.values(), ids=LOSSLESS.keys())
def test_every_kind_of_mask_gives_its_class_ids(classes: ClassTable, data: bytes) -> None:
    mask = masks.read(data, classes)
    np.testing.assert_array_equal(mask.ids, IDS)
    assert (mask.ids.dtype, mask.tag) == (np.uint8, 1)
    assert mask.labels == Labels((7, 4, 4), 0, 0, {})


@pytest.mark.parametrize("classes", [EGGS_AND_PANS, COLORED])
def test_a_lossy_mask_is_rounded_and_says_so(classes: ClassTable) -> None:
    exact = Image.fromarray(classes.paint(LARGE)).convert("RGB")
    mask = masks.read(encoded(exact, "JPEG", quality=75, subsampling=0), classes)
    assert (mask.ids != LARGE).mean() < 0.01
    assert mask.labels.rounded > 1000
    assert 0 < mask.labels.distance <= 32
    assert sum(mask.labels.class_pixels) + sum(mask.labels.strays.values()) == LARGE.size


@pytest.mark.parametrize(("stored", "ids"), [([[0, 255]], [[0, 1]]), ([[0, 0]], [[0, 0]])])
def test_a_bit_is_black_and_white_or_a_number(stored: list[list[int]], ids: list[list[int]]) -> None:
    data = encoded(Image.fromarray(np.array(stored, np.uint8)).convert("1"), "PNG")
    for classes in (table(0, 255), table(0, 1)):
        np.testing.assert_array_equal(masks.read(data, classes).ids, ids)


@pytest.mark.parametrize(
    ("data", "classes", "strays"),
    [
        (encoded(grey(np.array([[0, 170, 170, 128]], np.uint8)), "PNG"), EGGS_AND_PANS, {"170": 2}),
        (encoded(Image.fromarray(np.array([[(0, 0, 0), (255, 0, 0)]], np.uint8)), "PNG"), EGGS_AND_PANS,
         {"#ff0000": 1}),
        (encoded(Image.fromarray(np.array([[(0, 0, 0), (90, 0, 9)]], np.uint8)), "PNG"), COLORED, {"#5a0009": 1}),
        (encoded(palette(np.array([[0, 1, 3]], np.uint8), [*PALETTE, 7, 90, 9]), "PNG"), NUMBERED,
         {"3": 1}),
        (by_opencv(np.array([[0, 1, 2, 2]], np.uint16), ".png"), EGGS_AND_PANS, {"1 of 65535": 1, "2 of 65535": 2}),
        (by_opencv(np.array([[0, 170 * 257]], np.uint16), ".png"), EGGS_AND_PANS, {"170": 1}),
        (encoded(grey(np.array([[0, 1, 2, 3]], np.uint8)), "PNG"), NUMBERED, {"3": 1}),
    ],
)  # fmt: skip
def test_what_is_no_class_is_void_and_counted(data: bytes, classes: ClassTable, strays: dict[str, int]) -> None:
    mask = masks.read(data, classes)
    assert mask.labels.strays == strays
    assert np.count_nonzero(mask.ids == VOID) == sum(strays.values())
    assert sum(mask.labels.class_pixels) == mask.ids.size - sum(strays.values())


def test_a_border_that_nobody_labelled_leaves_the_rest_of_a_palette_as_it_is() -> None:
    ids = IDS.copy()
    ids[0, 0] = 255
    colors = PALETTE + [0] * (3 * 252) + [224, 224, 192]
    mask = masks.read(encoded(palette(ids, colors), "PNG"), NUMBERED)
    np.testing.assert_array_equal(mask.ids, np.where(ids == 255, VOID, ids))
    assert mask.labels.strays == {"255": 1}


def test_several_channels_of_16_bits_that_stand_for_nothing_are_refused() -> None:
    with pytest.raises(PictureError, match="equal no 8-bit value"):
        masks.read(by_opencv(np.full((3, 3, 3), 300, np.uint16), ".png"), EGGS_AND_PANS)


def test_channels_that_differ_by_less_than_the_reach_are_grey() -> None:
    data = encoded(Image.fromarray(np.array([[(128, 120, 133), (128, 128, 161)]], np.uint8)), "PNG")
    mask = masks.read(data, EGGS_AND_PANS)
    np.testing.assert_array_equal(mask.ids, [[1, VOID]])
    assert mask.labels.strays == {"#8080a1": 1}


@settings(max_examples=40)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=40))
def test_every_pixel_is_counted_once(values: list[int]) -> None:
    mask = masks.read(encoded(grey(np.array([values], np.uint8)), "PNG"), EGGS_AND_PANS)
    np.testing.assert_array_equal(mask.ids, EGGS_AND_PANS.snap(np.array([values], np.uint8)))
    known = mask.ids[mask.ids != VOID]
    assert mask.labels.class_pixels == tuple(np.bincount(known, minlength=3).tolist())
    exact = sum(value in EGGS_AND_PANS.values for value in values)
    assert mask.labels.rounded == len(known) - exact
    assert set(mask.labels.strays) == {str(v) for v in values if EGGS_AND_PANS.snap(np.uint8(v)) == VOID}


@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 5), st.integers(1, 5))
def test_a_mask_is_turned_by_its_own_tag_or_else_with_its_photo(own: int, tag: int, height: int, width: int) -> None:
    ids = np.arange(height * width, dtype=np.uint8).reshape(height, width)
    mask = masks.Mask(ids, own, Labels((), 0, 0, {}))
    for shape in ((height, width), (width, height), (height + 9, width)):
        found, with_photo = masks.turned(mask, shape, tag)
        fitting = [way for way in (own, tag) if (ids.T if way >= 5 else ids).shape == shape]
        way = (fitting or [own])[0]
        np.testing.assert_array_equal(found, exif.upright(ids[..., None], tf.constant(way))[..., 0])
        assert (found.shape == shape) == bool(fitting)
        assert not (with_photo and own in fitting)


def test_its_own_orientation_comes_with_it() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert masks.read(encoded(grey(VALUES), "PNG", exif=exif), EGGS_AND_PANS).tag == 6


def test_sixteen_bits_in_colour_are_read_past_a_damaged_text() -> None:
    text = chunk(b"tEXt", b"Comment\0eggs")[:-4] + b"\0\0\0\0"
    data = with_chunks(by_opencv(np.dstack([WIDE * 257] * 3), ".png"), text)
    np.testing.assert_array_equal(masks.read(data, EGGS_AND_PANS).ids, IDS)


@pytest.mark.parametrize("data", [b"", b"a list", encoded(grey(VALUES), "PNG")[:60]])
def test_what_is_no_mask_is_refused(data: bytes) -> None:
    with pytest.raises(PictureError):
        masks.read(data, EGGS_AND_PANS)
