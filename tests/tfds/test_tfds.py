from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from helpers.data_sets import SMALL, draw
from PIL import Image

from eggseg import train
from eggseg.data import loader, pairs, squares
from eggseg.data.classes import EGGS_AND_PANS
from eggseg.errors import InputError
from eggseg.tfds.eggs_and_pans import Builder, FolderConfig
from eggseg.tfds.folder import write

pytestmark = [
    # tensorflow-datasets' own, on newer versions of what it rests on.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of two sessions; a pixel of one mask is of no class."""
    folder = draw(tmp_path_factory.mktemp("folder") / "data", 10)
    mask = folder / "masks/photo_1.png"
    pixels = np.array(Image.open(mask))
    pixels[0, 0] = 170
    Image.fromarray(pixels).save(mask)
    return folder


@pytest.fixture(scope="module")
def prepared(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TFDS's data_dir with the folder as the config `kitchen`."""
    data_dir = tmp_path_factory.mktemp("prepared")
    config = FolderConfig(name="kitchen", folder=str(folder))
    Builder(config=config, data_dir=data_dir).download_and_prepare()
    return data_dir


class TestEggsAndPans(tfds.testing.DatasetBuilderTestCase):
    """What tensorflow-datasets asks of every data set."""

    DATASET_CLASS = Builder
    SKIP_CHECKSUMS = True

    @classmethod
    def setUpClass(cls) -> None:
        cls.scratch = tempfile.TemporaryDirectory()
        cls.dummy_data = draw(Path(cls.scratch.name) / "data", 8)
        super().setUpClass()

    @classmethod
    def tearDownClass(cls) -> None:
        super().tearDownClass()
        cls.scratch.cleanup()

    SPLITS = {"train": 4, "validation": 4}  # noqa: RUF012


def test_loaded_examples_are_what_the_files_hold(folder: Path, prepared: Path) -> None:
    examples = tfds.as_numpy(tfds.load("eggs_and_pans/kitchen", split="all", data_dir=prepared))
    found = {example["name"].decode(): example for example in examples}
    assert sorted(found) == [pair.name for pair in pairs.find(folder)]
    for pair in pairs.find(folder):
        example = found[pair.name]
        with Image.open(pair.image) as photo:
            np.testing.assert_array_equal(example["image"], np.asarray(photo))
        with Image.open(pair.mask) as mask:
            ids = EGGS_AND_PANS.snap(np.asarray(mask.convert("L")))
        np.testing.assert_array_equal(EGGS_AND_PANS.snap(example["segmentation_mask"][..., 0]), ids)


def test_sessions_are_not_divided(prepared: Path) -> None:
    sides = [
        {
            example["session"]
            for example in tfds.as_numpy(tfds.load("eggs_and_pans/kitchen", split=s, data_dir=prepared))
        }
        for s in ("train", "validation")
    ]
    assert all(sides)
    assert not sides[0] & sides[1]


def test_training_sees_what_it_sees_of_the_folder(folder: Path, prepared: Path, tmp_path: Path) -> None:
    written = write("eggs_and_pans/kitchen", tmp_path / "again", prepared)
    batches = []
    for place in (folder, written):
        read = squares.read(pairs.find(place), 49, EGGS_AND_PANS)
        assert not read.faults
        batch = loader.train_batches(read, list(range(10)), batch_size=4, steps=2, seed=3, strength=1.0)
        batches.append((read, next(iter(batch.as_numpy_iterator()))))
    (first, (image, ids)), (second, (image_again, ids_again)) = batches
    assert first.photos == second.photos
    np.testing.assert_array_equal(image, image_again)
    np.testing.assert_array_equal(ids, ids_again)


def test_a_run_trains_on_a_data_set_by_its_name(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(prepared))
    args = ["--tfds", "eggs_and_pans/kitchen", "--output_dir", str(tmp_path), *SMALL, "--epochs", "1"]
    assert train.main(args) == 0
    record = json.loads((tmp_path / "config.json").read_text())
    assert len(record["split"]["train"]) + len(record["split"]["val"]) == 10


class Pets(tfds.core.GeneratorBasedBuilder):
    """Features as oxford_iiit_pet has them, and names without an ending."""

    VERSION = tfds.core.Version("1.0.0")
    name = "few_pets"

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(),
            "label": tfds.features.ClassLabel(num_classes=3),
            "file_name": tfds.features.Text(),
            "segmentation_mask": tfds.features.Image(shape=(None, None, 1), use_colormap=True),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, 4), "test": self._generate_examples(4, 6)}

    def _generate_examples(self, first, last):
        for i in range(first, last):
            mask = np.full((9, 7, 1), 1 + i % 3, np.uint8)
            yield (
                i,
                {
                    "image": np.full((9, 7, 3), i, np.uint8),
                    "label": 0,
                    "file_name": f"cat_{i}",
                    "segmentation_mask": mask,
                },
            )


def test_other_data_sets_are_taken_by_their_features(tmp_path: Path) -> None:
    Pets(data_dir=tmp_path / "tfds").download_and_prepare()
    written = write("few_pets:test", tmp_path / "out", tmp_path / "tfds")
    found = pairs.find(written)
    assert [pair.name for pair in found] == ["cat_4.png", "cat_5.png"]
    np.testing.assert_array_equal(np.asarray(Image.open(found[1].mask)), np.full((9, 7), 3))


@pytest.mark.parametrize("name", ["no_such_data_set", "eggs_and_pans/nowhere"])
def test_a_data_set_that_is_not_to_be_had_is_one_clear_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"--tfds {name} is not available: ") as error:
        write(name, tmp_path / "out", tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.full
def test_tfds_build_makes_it(folder: Path, tmp_path: Path) -> None:
    for needed in ("apache_beam", "mlcroissant"):
        pytest.importorskip(needed, reason="pip install '.[tfds-build]'")
    script = Path(sys.modules[Builder.__module__].__file__ or "")
    manual = tmp_path / "manual"
    shutil.copytree(folder, manual)
    tool = Path(sys.executable).parent / "tfds"
    args = ["build", str(script), "--manual_dir", str(manual), "--data_dir", str(tmp_path / "out")]
    subprocess.run([str(tool), *args], check=True, capture_output=True)
    loaded = tfds.load("eggs_and_pans/folder", split="train+validation", data_dir=tmp_path / "out")
    assert len(loaded) == 10


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("eggseg.tfds")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    for name in ("eggseg.tfds.folder", "eggseg.tfds.eggs_and_pans"):
        with pytest.raises(InputError, match=r"^--tfds takes an extra: pip install '\.\[tfds\]' in the folder of"):
            importlib.import_module(name)
