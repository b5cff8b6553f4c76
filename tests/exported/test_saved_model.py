"""The SavedModel: one graph, three ways in, the same bits out."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import eggseg
from eggseg import predict
from eggseg.data.classes import EGGS_AND_PANS
from eggseg.errors import InputError
from eggseg.exported import saved_model
from eggseg.models.unet import unet


@pytest.fixture(scope="module")
def segmenter(run_dir: Path) -> saved_model.Segmenter:
    return eggseg.load(run_dir)


def jpeg(size: tuple[int, int], seed: int = 0, orientation: int = 1) -> bytes:
    """A smooth random photo as JPEG bytes."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), np.uint8)
    exif = Image.Exif()
    exif[274] = orientation
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def mask_of(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_command_line_and_both_signatures_agree_to_the_bit(run_dir: Path, tmp_path: Path, precision: str) -> None:
    photos = {f"{w}x{h}.jpg": jpeg((w, h), seed=w) for w, h in ((1, 1), (64, 37), (3, 200), (641, 479), (49, 49))}
    photos["turned.jpg"] = jpeg((80, 50), orientation=6)
    for name, data in photos.items():
        (tmp_path / name).write_bytes(data)
    out = tmp_path / "out"
    args = [str(tmp_path), "--model", str(run_dir), "--output_dir", str(out), "--precision", precision]
    assert predict.main(args) == 0

    segmenter = eggseg.load(run_dir, precision)
    served = segmenter.signatures["serving_default"](image_bytes=tf.constant(list(photos.values())))
    for i, (name, data) in enumerate(photos.items()):
        by_command = np.asarray(Image.open(out / "masks" / f"{name}.png"))
        ids, probabilities = segmenter(segmenter.decode(data))
        np.testing.assert_array_equal(by_command, mask_of(served["mask_bytes"][i].numpy()))
        np.testing.assert_array_equal(by_command, segmenter.classes.paint(ids))
        np.testing.assert_array_equal(ids, probabilities.argmax(-1))
        np.testing.assert_array_equal(ids, segmenter.class_ids(segmenter.decode(data)))
        np.testing.assert_array_equal(served["class_pixels"][i], np.bincount(ids.ravel(), minlength=3))


def test_signatures_keep_their_names_shapes_and_types(segmenter: saved_model.Segmenter) -> None:
    served = segmenter.signatures["serving_default"](image_bytes=tf.constant([jpeg((30, 20)), jpeg((7, 9))]))
    assert set(served) == {"mask_bytes", "class_pixels"}
    assert served["class_pixels"].dtype == tf.int64
    assert served["class_pixels"].shape == (2, 3)
    assert [mask_of(data).shape for data in served["mask_bytes"].numpy()] == [(20, 30), (9, 7)]
    pixels = segmenter.signatures["pixels"](image=tf.zeros((20, 30, 3), tf.uint8))
    assert {name: (value.dtype, value.shape) for name, value in pixels.items()} == {
        "class_ids": (tf.uint8, (20, 30)),
        "probabilities": (tf.float32, (20, 30, 3)),
    }
    np.testing.assert_allclose(pixels["probabilities"].numpy().sum(-1), 1, atol=1e-5)


def test_a_mask_does_not_depend_on_what_else_is_in_the_request(segmenter: saved_model.Segmenter) -> None:
    photos = [jpeg((40 + 7 * i, 60), seed=i) for i in range(5)]
    serve = segmenter.signatures["serving_default"]
    together = serve(image_bytes=tf.constant(photos))["mask_bytes"].numpy()
    alone = [serve(image_bytes=tf.constant([photo]))["mask_bytes"].numpy()[0] for photo in photos]
    assert list(together) == alone


def test_the_model_turns_a_phone_photo_upright(segmenter: saved_model.Segmenter) -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[5:20, 10:30] = (230, 200, 160)
    buffers = {}
    for name, orientation, stored in (("upright", 1, pixels), ("turned", 8, np.rot90(pixels, -1))):
        exif = Image.Exif()
        exif[274] = orientation
        buffers[name] = io.BytesIO()
        # JPEG codes the turned blocks a little differently: the frames are near, not equal.
        Image.fromarray(np.ascontiguousarray(stored)).save(buffers[name], "JPEG", exif=exif, quality=100, subsampling=0)
    frames = {name: segmenter.decode(buffer.getvalue()) for name, buffer in buffers.items()}
    assert frames["turned"].shape == (40, 60, 3)
    assert np.abs(frames["turned"].astype(int) - frames["upright"]).max() <= 3


def test_it_runs_without_eggseg(run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(jpeg((50, 30)))
    script = (
        "import sys, tensorflow as tf\n"
        "model = tf.saved_model.load(sys.argv[1])\n"
        "data = tf.io.read_file(sys.argv[2])\n"
        "out = model.signatures['serving_default'](image_bytes=data[None])\n"
        "assert not any(name.split('.')[0] == 'eggseg' for name in sys.modules)\n"
        "print(tf.io.decode_png(out['mask_bytes'][0]).shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(run_dir / "saved_model" / "1"), str(tmp_path / "photo.jpg")],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout.strip() == "(30, 50, 1)"


@pytest.mark.parametrize("below", ["", "saved_model", "saved_model/1"])
def test_load_takes_the_run_folder_and_those_in_it(run_dir: Path, below: str) -> None:
    assert eggseg.load(run_dir / below).classes == EGGS_AND_PANS


def test_load_says_what_it_expected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no model: expected a run folder with saved_model/1/"):
        eggseg.load(tmp_path)


def flipped(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 255]) + data[len(data) // 2 + 1 :]


DAMAGE = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "of another kind": lambda data: b"\x89PNG" * 500,
    "gone": None,
}
FILES = ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((name, damage) for name in FILES for damage in DAMAGE.values() if (name, damage) != (FILES[0], None)),
        (FILES[2], flipped),
        *(("assets/eggseg.json", DAMAGE[kind]) for kind in ("empty", "cut", "of another kind")),
        *(
            ("assets/eggseg.json", lambda _, text=text: text)
            for text in (b"{}", b"[]", b"null", b'{"classes": 3, "settings": {}}', b'{"classes": [], "settings": {}}')
        ),
        ("assets/eggseg.json", lambda data: data.replace(b'"settings"', b'"set"')),
        ("assets/eggseg.json", lambda data: data.replace(b'"settings": {', b'"settings": 3, "more": {')),
    ],
)
def test_a_damaged_model_is_an_error_that_names_the_file(run_dir: Path, tmp_path: Path, name: str, damage) -> None:
    folder = shutil.copytree(run_dir / "saved_model" / "1", tmp_path / "1")
    if damage:
        (folder / name).write_bytes(damage((folder / name).read_bytes()))
    else:
        (folder / name).unlink()
    with pytest.raises(InputError, match=re.escape(name)) as error:
        eggseg.load(tmp_path)
    assert "\n" not in str(error.value)


def test_a_model_that_is_none_of_eggseg_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "1" / "assets").mkdir(parents=True)
    module = tf.Module()
    module.double = tf.function(lambda x: 2 * x, input_signature=[tf.TensorSpec((), tf.float32)])
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"serving_default": module.double})
    record = {"classes": EGGS_AND_PANS.to_json(), "settings": {}}
    (tmp_path / "1" / "assets" / "eggseg.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"1/saved_model\.pb is damaged or of another kind"):
        eggseg.load(tmp_path)


def test_a_command_tells_of_a_damaged_model_in_a_line(run_dir, tmp_path, capsys) -> None:
    folder = shutil.copytree(run_dir / "saved_model" / "1", tmp_path / "1")
    (folder / "saved_model.pb").write_bytes(b"")
    (tmp_path / "photo.jpg").write_bytes(jpeg((9, 9)))
    args = [str(tmp_path / "photo.jpg"), "--model", str(tmp_path), "--output_dir", str(tmp_path / "out")]
    assert predict.main(args) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {folder / 'saved_model.pb'} is damaged or of another kind")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    "frame", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_a_frame_of_another_kind_is_refused(segmenter: saved_model.Segmenter, frame: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected \(height, width, 3\) uint8 RGB"):
        segmenter(frame)


def test_class_table_and_settings_travel_with_the_model(run_dir: Path) -> None:
    settings = json.loads((run_dir / "saved_model/1/assets/eggseg.json").read_text())
    assert [(c["name"], c["value"]) for c in settings["classes"]] == [("background", 0), ("egg", 128), ("pan", 255)]
    assert settings["settings"]["image_size"] == 49


def test_saving_replaces_an_earlier_model_whole(tmp_path: Path) -> None:
    folder = tmp_path / "saved_model" / "1"
    for seed in (1, 2):
        tf.keras.utils.set_random_seed(seed)
        saved_model.save(unet(16, 3, base_filters=2, depth=1), EGGS_AND_PANS, {"image_size": 16}, folder)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["1"]
    assert eggseg.load(folder).settings == {"image_size": 16, "max_pixels": 80_000_000}


def test_the_exported_network_computes_what_was_trained(tmp_path: Path) -> None:
    network = unet(48, 3, base_filters=4, depth=2)
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    saved_model.save(network, EGGS_AND_PANS, {}, tmp_path / "1")
    image = rng.integers(0, 256, (48, 48, 3), np.uint8)
    _, probabilities = eggseg.load(tmp_path, "float32")(image)
    logits = network(image[None].astype(np.float32), training=False)[0]
    np.testing.assert_allclose(probabilities, tf.nn.softmax(logits), atol=1e-4)
    graph = (tmp_path / "1" / "saved_model.pb").read_bytes()
    assert b"FusedBatchNorm" not in graph


def test_only_float32_networks_are_exported(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="computes in float32, this one in bfloat16"):
        saved_model.save(
            unet(16, 3, base_filters=2, depth=1, policy="mixed_bfloat16"), EGGS_AND_PANS, {}, tmp_path / "1"
        )


@pytest.mark.parametrize("tta", [False, True])
def test_with_test_time_augmentation_a_mirrored_photo_has_the_mirrored_scores(tmp_path: Path, tta: bool) -> None:
    keras.utils.set_random_seed(0)
    network = unet(16, 3, base_filters=8, depth=1)
    saved_model.save(network, EGGS_AND_PANS, {}, tmp_path / "1", tta=tta)
    frame = np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)
    segment = saved_model.load(tmp_path, "float32")
    scores, mirrored = segment(frame)[1], segment(np.ascontiguousarray(frame[:, ::-1]))[1]
    assert np.allclose(scores, mirrored[:, ::-1], atol=1e-4) is tta
