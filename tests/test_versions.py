"""The exported model under the oldest and the newest TensorFlow that is supported."""

from __future__ import annotations

import io
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

OLDEST, NEWEST = "2.19", "2.21"

SERVE = """
import pathlib, sys
import tensorflow as tf
model, photos, out = map(pathlib.Path, sys.argv[1:])
serve = tf.saved_model.load(str(model)).signatures["serving_default"]
for photo in sorted(photos.iterdir()):
    mask = serve(image_bytes=tf.constant([photo.read_bytes()]))["mask_bytes"]
    (out / photo.name).write_bytes(mask.numpy()[0])
print(tf.__version__)
"""


@pytest.mark.full
def test_masks_are_the_same_under_another_tensorflow(run_dir: Path, data_dir: Path, tmp_path: Path) -> None:
    here = ".".join(tf.__version__.split(".")[:2])
    other = NEWEST if here == OLDEST else OLDEST
    elsewhere = tmp_path / "venv"
    venv.create(elsewhere, with_pip=True)
    pip = [elsewhere / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, f"tensorflow=={other}.*"], check=True)
    masks = {}
    for version, python in ((here, sys.executable), (other, elsewhere / "bin" / "python")):
        out = tmp_path / version
        out.mkdir()
        command = [python, "-c", SERVE, run_dir / "saved_model/1", data_dir / "images", out]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        assert said.startswith(f"{version}.")
        pictures = [np.array(Image.open(io.BytesIO(path.read_bytes()))).ravel() for path in sorted(out.iterdir())]
        masks[version] = np.concatenate(pictures)
    assert set(np.unique(masks[here])) == {0, 128, 255}, "masks that say nothing would be the same"
    differing = np.mean(masks[here] != masks[other])
    print(f"{differing:.6%} of {masks[here].size} pixels differ between TensorFlow {here} and {other}")
    assert differing <= 1e-4
