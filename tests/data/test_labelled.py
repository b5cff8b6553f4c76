from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.formats import chunk, encoded, ramp, with_chunks
from PIL import Image, ImageOps

from eggseg.data import labelled, squares
from eggseg.data.classes import EGGS_AND_PANS, VOID
from eggseg.data.pairs import Pair
from eggseg.errors import InputError

WIDTH, HEIGHT = 37, 21


def mask(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """A mask of which no turn or flip looks like another."""
    values = np.zeros((height, width), np.uint8)
    values[: height // 2, : width // 3] = 128
    values[height - 1, :4] = 255
    return Image.fromarray(values)


def tagged(picture: Image.Image, kind: str, tag: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = tag
    return encoded(picture, kind, exif=exif, **({"quality": 100} if kind == "JPEG" else {}))


def stored(picture: Image.Image, tag: int) -> Image.Image:
    """What a camera stores that is held so: the tag turns it back."""
    back = {5: 5, 6: 8, 7: 7, 8: 6}.get(tag, tag)
    exif = picture.getexif()
    exif[0x0112] = back
    picture.info["exif"] = exif.tobytes()
    return ImageOps.exif_transpose(picture)


def pair(folder: Path, photo: bytes, labels: bytes, photo_name: str = "a.jpg", mask_name: str = "a.png") -> Pair:
    (folder / "image").mkdir(exist_ok=True)
    (folder / "mask").mkdir(exist_ok=True)
    found = Pair(photo_name, folder / "image" / photo_name, folder / "mask" / mask_name)
    found.image.write_bytes(photo)
    found.mask.write_bytes(labels)
    return found


def snapped(picture: Image.Image) -> np.ndarray:
    return EGGS_AND_PANS.snap(np.asarray(picture))


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
class TestOrientation:
    """Photo and mask as a camera stores them that is held in each of eight ways; upright both are 37 wide, 21 high."""

    def photo(self, tag: int) -> bytes:
        return tagged(stored(Image.fromarray(ramp()), tag), "JPEG", tag)

    def check(self, folder: Path, tag: int, labels: bytes, expected: np.ndarray) -> None:
        found = pair(folder, self.photo(tag), labels)
        read = labelled.read(found, EGGS_AND_PANS)
        image, ids = read.image, read.ids
        assert image.shape == (HEIGHT, WIDTH, 3)
        assert np.abs(image.astype(int) - ramp()).mean() < 8, "the photo is upright"
        np.testing.assert_array_equal(ids, expected)
        # The same in the pipeline, whose square is as wide as the photo.
        square = squares.read([found], WIDTH, EGGS_AND_PANS).pixels[0, ..., 3]
        np.testing.assert_array_equal(square[8:29], expected)
        assert (square[:8] == VOID).all()

    def test_a_mask_with_the_tag_of_its_photo_is_turned_by_it(self, tmp_path, kind, tag):
        self.check(tmp_path, tag, tagged(stored(mask(), tag), kind, tag), snapped(mask()))

    def test_a_mask_without_a_tag_that_fits_the_upright_photo_is_taken_as_it_is(self, tmp_path, kind, tag):
        self.check(tmp_path, tag, tagged(mask(), kind, 1), snapped(mask()))

    def test_a_mask_without_a_tag_that_fits_the_stored_photo_alone_is_turned_with_it(self, tmp_path, kind, tag):
        # One that fits both ways up is taken as it is.
        expected = mask() if tag >= 5 else stored(mask(), tag)
        self.check(tmp_path, tag, tagged(stored(mask(), tag), kind, 1), snapped(expected))


@pytest.mark.parametrize("tag", range(1, 9))
def test_a_mask_whose_own_tag_stands_in_the_way_is_turned_with_its_photo(tmp_path, tag):
    other = 6 if tag < 5 else 1
    photo = tagged(stored(Image.fromarray(ramp()), tag), "JPEG", tag)
    found = pair(tmp_path, photo, tagged(stored(mask(), tag), "PNG", other))
    np.testing.assert_array_equal(labelled.read(found, EGGS_AND_PANS).ids, snapped(mask()))


def test_photos_and_masks_that_the_graph_does_not_know_go_through_pillow(tmp_path):
    found = pair(
        tmp_path, encoded(Image.fromarray(ramp()), "WEBP", lossless=True), encoded(mask(), "TIFF"), "a.webp", "a.tif"
    )
    both = labelled.read(found, EGGS_AND_PANS)
    image, ids, labels = both.image, both.ids, both.labels
    np.testing.assert_array_equal(image, ramp())
    np.testing.assert_array_equal(ids, snapped(mask()))
    assert labels.class_pixels == (37 * 21 - 4 - 120, 120, 4)
    read = squares.read([found], WIDTH, EGGS_AND_PANS)
    np.testing.assert_array_equal(read.pixels[0, 8:29, :, :3], ramp())
    np.testing.assert_array_equal(read.pixels[0, 8:29, :, 3], snapped(mask()))
    assert read.labels == (labels,)


def test_a_damaged_text_in_a_png_changes_neither_photo_nor_mask(tmp_path):
    text = chunk(b"tEXt", b"Comment\0eggs")[:-4] + b"\0\0\0\0"
    photo, labels = (with_chunks(encoded(one, "PNG"), text) for one in (Image.fromarray(ramp()), mask()))
    both = labelled.read(pair(tmp_path, photo, labels, "a.png"), EGGS_AND_PANS)
    np.testing.assert_array_equal(both.image, ramp())
    np.testing.assert_array_equal(both.ids, snapped(mask()))


def test_each_file_that_cannot_be_read_is_named(tmp_path):
    found = pair(tmp_path, b"", b"a list")
    with pytest.raises(InputError) as error:
        labelled.read(found, EGGS_AND_PANS)
    first, second = str(error.value).splitlines()
    assert first == f"{found.image} is empty (0 bytes)"
    assert second.startswith(f"{found.mask} is no picture: it begins with b'a list', expected JPEG")


def test_a_mask_that_fits_neither_way_names_both_files_and_sizes(tmp_path):
    found = pair(tmp_path, encoded(Image.fromarray(ramp()), "JPEG"), encoded(mask(36, 21), "PNG"))
    with pytest.raises(InputError) as error:
        labelled.read(found, EGGS_AND_PANS)
    assert str(error.value) == f"{found.mask} is 36x21, its photo {found.image} is 37x21"
