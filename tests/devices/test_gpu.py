"""Training and prediction on a GPU; skipped where TensorFlow finds none."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.data_sets import SMALL, draw
from PIL import Image

from eggseg import evaluate, train
from eggseg.devices import hardware
from eggseg.models.depthwise import FastDepthwiseConv2D
from eggseg.models.normalization import FusedBatchNormalization

GPUS = len(hardware.gpus())

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not GPUS, reason="TensorFlow finds no GPU")]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("gpu"), 24, noise=15)


def masks(model: Path, photos: Path, out: Path, devices: str) -> list[np.ndarray]:
    """The masks of a process that sees `devices`, a value of CUDA_VISIBLE_DEVICES."""
    command = [sys.executable, "-m", "eggseg.predict", photos, "--model", model, "--output_dir", out]
    subprocess.run(list(map(str, command)), check=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": devices})
    return [np.asarray(Image.open(path)) for path in sorted((out / "masks").iterdir())]


@pytest.mark.parametrize("num_gpus", sorted({1, GPUS}))
@pytest.mark.parametrize("encoder", ["plain", "efficientnet_lite0"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_run_learns_and_its_masks_are_those_of_the_processor(
    precision: str, encoder: str, num_gpus: int, data_dir: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    settings = ("--encoder", encoder, "--precision", precision, "--num_gpus", str(num_gpus), "--epochs", "6")
    args = ["--data_dir", str(data_dir), "--output_dir", str(run), "--split", "random", *SMALL, *settings]
    assert train.main(args) == 0
    with (run / "history.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.9 * losses[0]
    assert evaluate.main(["--model", str(run), "--data_dir", str(data_dir), "--split", "val"]) == 0
    on_gpu = masks(run, data_dir / "images", tmp_path / "gpu", "0")
    on_processor = masks(run, data_dir / "images", tmp_path / "processor", "-1")
    pixels = [(np.concatenate([mask.ravel() for mask in side])) for side in (on_gpu, on_processor)]
    assert (pixels[0] != pixels[1]).mean() <= 0.001


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("kind", ["depthwise", "normalization"])
def test_the_gradients_of_custom_layers_are_those_of_the_processor(kind: str, policy: str) -> None:
    """While op determinism is on: TensorFlow raises an error for an operation without a deterministic kernel."""
    x = np.random.default_rng(0).normal(size=(4, 16, 16, 8)).astype(np.float32)
    found = []
    tf.config.experimental.enable_op_determinism()
    for device in ("/CPU:0", "/GPU:0"):
        with tf.device(device):
            keras.utils.set_random_seed(0)
            layer = (
                FastDepthwiseConv2D(3, 2, padding="same", dtype=policy)
                if kind == "depthwise"
                else FusedBatchNormalization(dtype=policy)
            )
            inputs = tf.constant(x)
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                out = tf.cast(layer(inputs, training=True) if kind == "normalization" else layer(inputs), tf.float32)
                loss = tf.reduce_sum(out**2)
            found.append([out, *tape.gradient(loss, [inputs, *(w.value for w in layer.trainable_weights)])])
    for ours, theirs in zip(*found, strict=True):
        scale = np.abs(ours).max()
        np.testing.assert_allclose(ours, theirs, atol=(1e-4 if policy == "float32" else 5e-2) * scale)
