"""Every format that people have, in the graph and through Pillow."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers.formats import FILES, File, encoded, ramp
from PIL import Image, ImageOps

import eggseg
from eggseg import predict
from eggseg.exported.saved_model import Segmenter
from eggseg.pictures import decoding, pillow


def those(kind: str) -> object:
    """The files of which that is true, as a parameter."""
    chosen = {name: file for name, file in FILES.items() if getattr(file, kind)}
    return pytest.mark.parametrize("file", chosen.values(), ids=chosen.keys())


@those("in_graph")
def test_the_graph_gives_the_pixels_that_a_file_holds(file: File) -> None:
    eager = decoding.decode(tf.constant(file.data))
    assert eager.dtype == tf.uint8
    mapped = tf.data.Dataset.from_tensors(file.data).map(decoding.decode).get_single_element()
    np.testing.assert_array_equal(eager, mapped)
    assert eager.shape == file.pixels.shape
    assert np.abs(eager.numpy().astype(int) - file.pixels).mean() <= file.tolerance


@those("by_pillow")
def test_pillow_gives_the_pixels_that_a_file_holds(file: File) -> None:
    pixels, tag = pillow.decode(file.data)
    assert (pixels.dtype, tag) == (np.uint8, 1)
    assert pixels.shape == file.pixels.shape
    assert np.abs(pixels.astype(int) - file.pixels).mean() <= file.tolerance


@pytest.mark.parametrize("name", [name for name, file in FILES.items() if not file.in_graph])
def test_the_graph_refuses_what_it_would_read_wrong(name: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoding.decode(tf.constant(FILES[name].data))


TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
"""How Pillow's `transpose` makes what a camera stores that is held so: the EXIF orientation turns it back."""


KINDS = {"JPEG": {"quality": 95}, "PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}}


@pytest.fixture(scope="module")
def held(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Segmenter]:
    """A folder with one photo as each camera held in each way stores it, the masks that predict gave, and the model."""
    folder = tmp_path_factory.mktemp("held")
    upright = Image.fromarray(ramp(64, 48))
    exif = Image.Exif()
    for tag in range(1, 9):
        stored = upright.transpose(Image.Transpose(TURNS[tag])) if tag > 1 else upright
        exif[0x0112] = tag
        for kind, options in KINDS.items():
            (folder / f"{tag}.{kind.lower()}").write_bytes(encoded(stored, kind, exif=exif, **options))
    assert predict.main([str(folder), "--model", str(run_dir), "--output_dir", str(folder / "out")]) == 0
    return folder, eggseg.load(run_dir)


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("kind", KINDS)
def test_all_ways_to_a_mask_agree_however_the_camera_was_held(
    held: tuple[Path, Segmenter], kind: str, tag: int
) -> None:
    folder, segment = held
    data = (folder / f"{tag}.{kind.lower()}").read_bytes()
    mask = np.asarray(Image.open(folder / "out/masks" / f"{tag}.{kind.lower()}.png"))
    assert mask.shape == (48, 64)
    frame = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    np.testing.assert_array_equal(segment.classes.paint(segment(frame)[0]), mask)
    if kind != "JPEG":
        np.testing.assert_array_equal(segment.classes.paint(segment(ramp(64, 48))[0]), mask)
    if kind in ("JPEG", "PNG"):
        served = segment.signatures["serving_default"](image_bytes=tf.constant([data]))["mask_bytes"][0]
        np.testing.assert_array_equal(tf.io.decode_png(served)[..., 0], mask)
