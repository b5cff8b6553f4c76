from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.data_sets import draw
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from eggseg.labelfree import sam
from eggseg.labelfree.clusters import proposals, things
from eggseg.labelfree.clusters.descriptors import describe
from eggseg.labelfree.clusters.proposals import FRAME, Search, cut, regions
from eggseg.labelfree.clusters.segment_anything import MASK


class Colors:
    """Stands in for Segment Anything: under a point lies what has its colour."""

    def __init__(self) -> None:
        self.seen = self.asked = 0

    def embed(self, image: np.ndarray) -> np.ndarray:
        self.seen += 1
        side = max(image.shape[:2])
        square = np.zeros((side, side, 3), np.float32)
        square[: image.shape[0], : image.shape[1]] = image
        embedding = np.zeros((256, 64, 64), np.float32)
        embedding[:3] = cv2.resize(square, (64, 64), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)
        return embedding

    def masks(self, embedding: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.asked += len(points)
        colors = cv2.resize(embedding[:3].transpose(1, 2, 0), (MASK, MASK), interpolation=cv2.INTER_NEAREST)
        x, y = np.minimum(points * MASK, MASK - 1).astype(int).T
        distances = np.abs(colors[None] - colors[y, x][:, None, None]).max(-1)
        return (25 - distances).astype(np.float32), np.full(len(points), 0.95, np.float32)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("few"), 4)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Colors:
    colors = Colors()
    monkeypatch.setattr(things.weights, "fetch", lambda: (None, None))
    monkeypatch.setattr(things, "SegmentAnything", lambda *_: colors)
    return colors


def command(data: Path, output: Path, *args: str) -> list[str]:
    fast = ["--features", "sam", "--clusters", "5", "--points", "8", "--crop_points", "4"]
    return [str(data), "--output_dir", str(output), *fast, *args]


def test_things_are_found_named_and_measured(few, tmp_path, model, capsys):
    assert sam.main(command(few, tmp_path)) == 0
    for path in (few / "images").iterdir():
        with Image.open(path) as photo, Image.open(tmp_path / "masks" / f"{path.name}.png") as mask:
            assert mask.size == photo.size
    assert json.loads((tmp_path / "metrics.json").read_text())["miou"] > 0.5
    assert "miou=" in capsys.readouterr().out


def test_what_was_seen_is_not_looked_at_again(few, tmp_path, model):
    assert sam.main(command(few, tmp_path)) == 0
    seen, asked = model.seen, model.asked
    assert sam.main([*command(few, tmp_path), "--clusters", "4", "--overwrite"]) == 0
    assert (model.seen, model.asked) == (seen, asked), "other clusters of the same things"
    assert sam.main([*command(few, tmp_path), "--points", "9", "--overwrite"]) == 0
    assert model.seen == seen, "other points in what was seen"
    assert model.asked > asked
    shutil.rmtree(tmp_path / "clusters")
    assert sam.main(command(few, tmp_path, "--points", "9")) == 0
    assert model.seen == seen


def test_examples_name_the_clusters_of_other_photos(few, tmp_path, model):
    shutil.copytree(few / "images", tmp_path / "photos")
    assert sam.main(command(tmp_path / "photos", tmp_path / "out", "--examples", str(few))) == 0
    values = [np.unique(np.array(Image.open(path))) for path in (tmp_path / "out" / "masks").iterdir()]
    assert set(np.concatenate(values).tolist()) == {0, 128, 255}


def test_a_network_tells_things_apart(few, tmp_path, model):
    assert sam.main(command(few, tmp_path, "--features", "efficientnet_lite0")) == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["miou"] > 0.5
    assert sam.main(command(few, tmp_path / "other", "--features", "spoon")) == 2


@pytest.mark.full
def test_the_real_model_finds_eggs_and_pans(few, tmp_path):
    assert sam.main(command(few, tmp_path, "--crops", "0")) == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["miou"] > 0.5


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--crops", "9"], "--crops is 9, expected 0 to 8"),
        (["--encoder", "a.onnx"], "expected --encoder and --decoder together"),
        (["--name", "1=egg", "--examples", "x"], "expected --name or --examples, not both"),
    ],
)
def test_settings_that_make_no_sense_are_errors(few, tmp_path, capsys, args, message):
    assert sam.main(command(few, tmp_path, *args)) == 2
    assert message in capsys.readouterr().err


def test_descriptors_tell_what_lies_around():
    image = np.zeros((384, 512, 3), np.uint8)
    image[100:200, 100:200] = 255
    masks = np.zeros((2, FRAME, FRAME), bool)
    masks[0, 100:200, 100:200] = True
    masks[1, 300:340, 300:340] = True
    found = describe(masks, image, np.ones((8, 8, 4), np.float32))
    np.testing.assert_allclose(found[:, 10], [-8, 0], atol=1e-3, err_msg="two times 100 of lightness, of 25")
    everything = describe(np.ones((1, FRAME, FRAME), bool), image, np.ones((8, 8, 4), np.float32))
    np.testing.assert_array_equal(everything[0, 10:13], 0)


@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 4))
def test_crops_cover_the_photo(height, width, crops):
    image = np.zeros((height, width, 3), np.uint8)
    whole, *parts = regions(image, Search(crops=crops))
    assert cut(image, whole).shape == image.shape
    for region in parts:
        inner = cut(image, region)
        assert inner.size
        inner += 1
    if parts:
        assert image.min() >= 1
        side = max(max(cut(image, region).shape[:2]) for region in parts)
        assert side <= 1.25 / crops * max(height, width) + 1


def test_masks_of_a_crop_lie_where_the_crop_does():
    logits = np.full((MASK, MASK), -9.0, np.float32)
    logits[64:128, 32:96] = 9
    found = proposals._in_frame(logits, (0.5, 0.25, 0.5, 0.5))
    rows, columns = np.flatnonzero(found.any(1)), np.flatnonzero(found.any(0))
    assert (rows[0], rows[-1] + 1) == (FRAME // 4 + 64, FRAME // 4 + 128)
    assert (columns[0], columns[-1] + 1) == (FRAME // 2 + 32, FRAME // 2 + 96)


@pytest.mark.parametrize(
    ("place", "is_cut"),
    [((100, 100), False), ((0, 100), False), ((100, 0), True), ((100, MASK - 8), False), ((MASK - 8, 100), True)],
)
def test_a_mask_that_ends_with_its_crop_is_cut(place, is_cut):
    # The crop is the upper right quarter: what it cuts off lies to its left and below it.
    mask = np.zeros((MASK, MASK), bool)
    mask[place[0] : place[0] + 8, place[1] : place[1] + 8] = True
    assert proposals._is_cut(mask, (0.5, 0.0, 0.5, 0.5), (0.0, 0.0, 1.0, 1.0)) == is_cut


def test_what_the_decoder_says_of_padding_does_not_count():
    square = np.arange(MASK * MASK).reshape(MASK, MASK)
    assert np.array_equal(proposals._inside(square, (0.0, 0.0, 1.0, 0.5)), square[: MASK // 2])
    assert np.array_equal(proposals._inside(square, (0.5, 0.0, 0.3, 0.6)), square[:, : MASK // 2])
    steady = np.full((2, MASK, MASK), 0.0, np.float32)
    steady[:, 40:80, 100:140] = 9
    steady[:, MASK // 2 :] = [[0.5]], [[-9.0]]  # below the photo: unsure, or sure
    steady[:, : MASK // 2] = np.where(steady[:, : MASK // 2] > 1, 9, -9)

    class Model:
        def masks(self, embedding, points):
            return steady, np.ones(2)

    found = proposals.propose(Model(), np.zeros((1, 256, 64, 64)), [(0.0, 0.0, 1.0, 0.5)], proposals.Search())
    assert [mask.sum() for mask in found] == [80 * 80], "both are the same thing"


def test_of_like_masks_the_first_is_kept():
    masks = np.zeros((4, FRAME, FRAME), bool)
    masks[0, 100:200, 100:200] = True
    masks[1, 100:200, 104:204] = True
    masks[2, 120:160, 120:160] = True
    kept = proposals._distinct(masks, 0.7)
    assert [mask.sum() for mask in kept] == [10000, 1600], "an egg in a pan is another thing, and nothing is none"
    assert len(proposals._distinct(masks[:0], 0.7)) == 0


def test_descriptors_tell_round_from_long():
    masks = np.zeros((2, FRAME, FRAME), np.uint8)
    cv2.circle(masks[0], (250, 150), 60, 1, -1)
    cv2.rectangle(masks[1], (20, 300), (480, 310), 1, -1)
    image = np.full((384, 512, 3), 128, np.uint8)
    seen = np.zeros((16, 16, 256), np.float32)
    seen[..., 7] = 2
    found = describe(masks.astype(bool), image, seen)
    assert found.shape == (2, 269)
    np.testing.assert_allclose(found[:, 7], 4)
    np.testing.assert_allclose(found[:, 262:265], 0, atol=1e-3)
    assert found[0, 266] > 0.85
    assert found[1, 266] < 0.2
    np.testing.assert_allclose(found[:, 267], 1, atol=0.05)
    assert describe(masks[:0].astype(bool), image, seen).shape == (0, 269)
