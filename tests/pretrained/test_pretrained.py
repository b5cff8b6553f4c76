from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eggseg import predict, pretrained
from eggseg.data.classes import EGGS_AND_PANS
from eggseg.errors import InputError
from eggseg.exported import saved_model
from eggseg.models import packed
from eggseg.training import building
from eggseg.training.config import Config


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(pretrained.WEIGHTS) as loaded:
        return dict(loaded)


def test_it_is_small_and_says_what_it_is() -> None:
    assert pretrained.WEIGHTS.stat().st_size < 12e6
    record = pretrained.read()
    assert record["measured"]["photos"] == 295
    assert record["measured"]["miou"] >= 0.6
    assert f"mIoU {record['measured']['miou']:.2f} on 295 real photos" in pretrained.told()


def test_what_is_packed_is_what_comes_out(arrays: dict[str, np.ndarray]) -> None:
    network = building.network(Config(**pretrained.read()["settings"]), EGGS_AND_PANS)
    packed.fill(network, pretrained.WEIGHTS)
    again = packed.pack(network)
    assert again.keys() == arrays.keys()
    for name, array in again.items():
        np.testing.assert_array_equal(array, arrays[name])


def test_the_default_network_starts_from_it(arrays: dict[str, np.ndarray]) -> None:
    network = building.network(Config(image_size=96), EGGS_AND_PANS)
    building.start(network, Config())
    for name, array in packed.pack(network).items():
        np.testing.assert_array_equal(array, arrays[name])


def test_another_network_does_not_fit_it() -> None:
    config = Config(image_size=96, encoder="plain", init="scenes")
    with pytest.raises(InputError, match=r"--init scenes does not fit this network: .*stem_conv/0 is missing"):
        building.check(config, EGGS_AND_PANS)


def test_a_photo_without_a_model_gets_a_mask(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    photo = data_dir / "images" / "photo_1.png"
    assert predict.main([str(photo)]) == 0
    assert "the model that comes with eggseg, trained on made-up scenes alone: mIoU " in capsys.readouterr().out
    with Image.open(photo) as image, Image.open(tmp_path / "predictions" / "masks" / "photo_1.png.png") as mask:
        assert mask.size == image.size
    made = pretrained.model()
    assert list((tmp_path / "cache" / "eggseg").iterdir()) == [made]
    kept = (made / "saved_model" / "1" / "saved_model.pb").stat().st_mtime_ns
    assert saved_model.load(pretrained.model()).settings["image_size"] == pretrained.read()["settings"]["image_size"]
    assert (made / "saved_model" / "1" / "saved_model.pb").stat().st_mtime_ns == kept, "made once"


def test_what_was_cut_short_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(saved_model, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        pretrained.model()
    assert list((tmp_path / "eggseg").iterdir()) == []


def test_of_two_that_make_it_at_once_both_find_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def slowly(_: object, folder: Path) -> None:
        monkeypatch.setattr(pretrained, "build", lambda _, folder: (folder / "saved_model").mkdir(parents=True))
        pretrained.model()  # another, meanwhile
        (folder / "saved_model").mkdir(parents=True)

    monkeypatch.setattr(pretrained, "build", slowly)
    assert (pretrained.model() / "saved_model").is_dir()
