from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.data_sets import draw
from PIL import Image

from eggseg.data import pairs
from eggseg.errors import InputError
from eggseg.labelfree import kmeans
from eggseg.labelfree.clusters import centers, clustering, features, naming, smoothing
from eggseg.labelfree.clusters.centers import Clusters, fit
from eggseg.training.callbacks import AVERAGED
from eggseg.training.config import CONFIG


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("few"), 6)


def command(data: Path, output: Path, *args: str) -> list[str]:
    return [str(data), "--output_dir", str(output), "--clusters", "5", "--size", "64", *args]


def masks(output: Path) -> dict[str, np.ndarray]:
    return {path.name: np.array(Image.open(path)) for path in sorted((output / "masks").iterdir())}


def test_masks_are_of_the_photos_size_and_are_measured(few, tmp_path, capsys):
    assert kmeans.main(command(few, tmp_path)) == 0
    found = masks(tmp_path)
    for path in (few / "images").iterdir():
        with Image.open(path) as photo:
            assert found[f"{path.name}.png"].shape == photo.size[::-1]
    assert set(np.unique(np.concatenate([mask.ravel() for mask in found.values()]))) <= {0, 128, 255}
    figures = json.loads((tmp_path / "metrics.json").read_text())
    assert figures["miou"] > 0.5, "eggs and pans of these photos are of one colour"
    assert f"miou={figures['miou']:.4f}" in capsys.readouterr().out
    assert (tmp_path / "clusters.png").read_bytes().startswith(b"\x89PNG")


def test_the_limit_of_pixels_that_is_named_can_be_set(few, tmp_path, capsys):
    assert kmeans.main(command(few, tmp_path, "--max_pixels", "1000")) == 2
    assert "expected at most 1000 pixels (--max_pixels)" in capsys.readouterr().err
    assert kmeans.main(command(few, tmp_path, "--max_pixels", "0")) == 2
    assert "error: --max_pixels is 0, expected 1 to " in capsys.readouterr().err


def test_a_run_goes_on_where_it_stopped(few, tmp_path):
    assert kmeans.main(command(few, tmp_path)) == 0
    painted = sorted((tmp_path / "clusters").iterdir())
    before = {path: path.read_bytes() for path in painted}
    kept = painted[0].stat().st_mtime_ns
    painted[-1].unlink()
    assert kmeans.main(command(few, tmp_path)) == 0
    assert {path: path.read_bytes() for path in painted} == before
    assert painted[0].stat().st_mtime_ns == kept


def test_other_settings_begin_anew_only_if_told(few, tmp_path, capsys):
    assert kmeans.main(command(few, tmp_path)) == 0
    other = command(few, tmp_path, "--seed", "1")
    assert kmeans.main(other) == 2
    assert f"{tmp_path} holds clusters of other settings: --overwrite begins anew" in capsys.readouterr().err
    assert kmeans.main([*other, "--overwrite"]) == 0


def test_what_was_made_of_other_settings_is_forgotten(few, tmp_path, capsys):
    assert kmeans.main(command(few, tmp_path)) == 0
    bare = tmp_path / "bare"
    shutil.copytree(few / "images", bare)
    assert kmeans.main([*command(bare, tmp_path), "--overwrite"]) == 0
    assert "no masks yet" in capsys.readouterr().out
    assert not any((tmp_path / name).exists() for name in ("masks", "images", "metrics.json"))


def test_a_first_try_that_failed_does_not_stop_the_second(few, tmp_path, monkeypatch):
    def stops(*_: object) -> None:
        raise InputError("this once")

    with monkeypatch.context() as patch:
        patch.setattr(clustering.Pixels, "fit", stops)
        assert kmeans.main(command(few, tmp_path)) == 2
    assert kmeans.main(command(few, tmp_path, "--seed", "1")) == 0


def test_a_photo_that_was_replaced_is_painted_again(few, tmp_path):
    data = Path(shutil.copytree(few, tmp_path / "data"))
    assert kmeans.main(command(data, tmp_path / "out")) == 0
    first, second = sorted((data / "images").iterdir())[:2]
    small = Image.open(second).resize((50, 30))
    small.save(second)
    mask = data / "masks" / f"{second.stem}.png"
    mask = mask if mask.exists() else next((data / "masks").glob(f"{second.stem}.*"))
    Image.open(mask).resize((50, 30), Image.Resampling.NEAREST).save(mask)
    kept = (tmp_path / "out" / "clusters" / f"{first.name}.png").stat().st_mtime_ns
    assert kmeans.main(command(data, tmp_path / "out")) == 0
    assert masks(tmp_path / "out")[f"{second.name}.png"].shape == (30, 50)
    assert (tmp_path / "out" / "clusters" / f"{first.name}.png").stat().st_mtime_ns == kept


def test_masks_and_their_photos_can_be_learned_from(few, tmp_path):
    assert kmeans.main(command(few, tmp_path)) == 0
    found = pairs.find(tmp_path)
    assert [pair.name for pair in found] == sorted(path.name for path in (few / "images").iterdir())


def test_a_photo_that_is_gone_is_not_learned_from(few, tmp_path):
    photos = Path(shutil.copytree(few / "images", tmp_path / "photos"))
    args = [*command(photos, tmp_path / "out"), "--name", "1=egg"]
    assert kmeans.main(args) == 0
    gone, *others = sorted(photos.iterdir())
    gone.unlink()
    assert kmeans.main(args) == 0
    assert [pair.name for pair in pairs.find(tmp_path / "out")] == [path.name for path in others]


def test_photos_without_masks_are_clustered_beside_those_with(few, tmp_path, capsys):
    data = Path(shutil.copytree(few, tmp_path / "data"))
    for path in sorted((data / "masks").iterdir())[:2]:
        path.unlink()
    assert kmeans.main(command(data, tmp_path / "out")) == 0
    out = capsys.readouterr().out
    assert "measured on the 4 photos with masks: 2 files have no partner:" in out
    assert "miou=" in out
    assert len(masks(tmp_path / "out")) == 6


def test_what_a_run_has_learned_since_is_another_setting(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / CONFIG).write_text("{}")
    (run / AVERAGED).write_bytes(b"one")
    before = naming._identity(str(run))
    assert naming._identity(str(run)) == before
    (run / AVERAGED).write_bytes(b"two")
    assert naming._identity(str(run)) != before
    assert naming._identity(run / AVERAGED) == naming._identity(str(run)).replace(str(run), str(run / AVERAGED))
    assert [naming._identity(value) for value in ("pixels", 0.5, None)] == ["pixels", "0.5", "None"]


def test_clusters_are_no_network(few, tmp_path, capsys):
    assert kmeans.main(command(few, tmp_path / "first")) == 0
    assert kmeans.main([*command(few, tmp_path / "second"), "--features", str(tmp_path / "first")]) == 2
    assert "is no run folder of eggseg.train: its config.json has no settings" in capsys.readouterr().err


def test_what_it_made_in_a_folder_of_photos_is_no_photo(few, tmp_path):
    shutil.copytree(few / "images", tmp_path, dirs_exist_ok=True)
    args = command(tmp_path, tmp_path / "clusters")
    assert kmeans.main(args) == 0
    assert kmeans.main([*args, "--name", "1=egg"]) == 0
    assert len(masks(tmp_path / "clusters")) == 6


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("data", "is the folder of the photos"),
        ("data/images", "is the folder of the photos"),
        ("run", "holds other files than clusters"),
        ("others", "holds other files than clusters"),
    ],
)
def test_nothing_else_is_written_over(few, tmp_path, place, message, capsys):
    shutil.copytree(few, tmp_path / "data")
    shutil.copytree(few, tmp_path / "others")
    folder = tmp_path / place
    if place == "run":
        folder.mkdir()
        (folder / "config.json").write_text('{"settings": {}}')
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert kmeans.main([*command(tmp_path / "data", folder), "--overwrite"]) == 2
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert f"{folder} {message}" in capsys.readouterr().err


def test_without_masks_somebody_names_the_clusters(few, tmp_path, capsys):
    photos, output = tmp_path / "photos", tmp_path / "out"
    shutil.copytree(few / "images", photos)
    assert kmeans.main(command(photos, output)) == 0
    assert "no masks yet: name the clusters with --name or --examples" in capsys.readouterr().out
    assert not (output / "masks").exists()
    assert kmeans.main(command(photos, output, "--name", "2=egg")) == 0
    for path in (output / "clusters").iterdir():
        expected = np.where(np.array(Image.open(path)) == 2, 128, 0)
        np.testing.assert_array_equal(masks(output)[path.name], expected)
    assert kmeans.main(command(photos, output, "--examples", str(few))) == 0
    assert {0, 128, 255} == set(np.unique(np.concatenate([mask.ravel() for mask in masks(output).values()])))


def test_features_of_a_trained_network(few, tmp_path, run_dir):
    assert kmeans.main(command(few, tmp_path, "--features", str(run_dir), "--smooth", "--components", "4")) == 0
    assert len(masks(tmp_path)) == 6


@pytest.mark.full
def test_features_of_segment_anything(few, tmp_path):
    assert kmeans.main(command(few, tmp_path, "--features", "sam")) == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["miou"] > 0.4, "of background alone it were 0.31"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--clusters", "1"], "--clusters is 1, expected 2 to 254"),
        (["--features", "spoon"], "--features is spoon, expected a run folder, sam, or an encoder: effic"),
        (["--seed", "-1"], "--seed is -1, expected 0 to 2147483647"),
        (["--seed", "4294967296"], "--seed is 4294967296, expected 0 to 2147483647"),
        (["--texture", "nan"], "--texture is nan, expected at least 0"),
        (["--name", "9=egg"], "--name 9=egg: expected CLUSTER=CLASS, where CLUSTER is a number from 0 to 4"),
    ],
)
def test_settings_that_make_no_sense_are_errors(few, tmp_path, capsys, args, message):
    assert kmeans.main(command(few, tmp_path, *args)) == 2
    assert message in capsys.readouterr().err


def test_a_folder_without_photos_is_an_error(tmp_path, capsys):
    assert kmeans.main(command(tmp_path, tmp_path / "out")) == 2
    assert f"{tmp_path} holds no photo" in capsys.readouterr().err


def test_pixels_are_colour_texture_and_place():
    square = np.zeros((64, 64, 3), np.uint8)
    square[:, 32:] = 255
    found = features.pixels(square)
    assert (found.shape, found.dtype) == ((64, 64, 7), "float32")
    np.testing.assert_allclose(found[0, :, 0], [0] * 32 + [100] * 32, atol=0.1)
    np.testing.assert_allclose(found[:, 0, 5], np.arange(64) / 64 - 0.5)
    np.testing.assert_allclose(found[0, :, 6], np.arange(64) / 64 - 0.5)
    assert found[32, 32, 3] > 3, "an edge has texture"
    assert found[32, 5, 3] == found[32, 60, 3] == 0


def test_clusters_are_found_and_kept(tmp_path):
    rng = np.random.default_rng(0)
    means = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 9]])
    vectors = [rng.normal(mean, 0.3, (200, 3)).astype(np.float32) for mean in means]
    for weights in (np.ones(3, np.float32), None):
        model = fit(vectors, len(vectors), 3, 0, weights, 2)
        of = [np.argmax(model.scores(some), -1) for some in vectors]
        assert [len(set(some.tolist())) for some in of] == [1, 1, 1]
        assert len({int(some[0]) for some in of}) == 3
        model.save(tmp_path / "model.npz")
        np.testing.assert_array_equal(
            Clusters.load(tmp_path / "model.npz").scores(vectors[0]), model.scores(vectors[0])
        )
    whole = (tmp_path / "model.npz").read_bytes()
    for name, data in {"nothing.npz": None, "empty.npz": b"", "cut.npz": whole[:100], "text.npz": b"eggs"}.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=f"{name} holds no clusters"):
            Clusters.load(tmp_path / name)


def test_of_many_photos_few_vectors_each_are_kept(monkeypatch):
    monkeypatch.setattr(centers, "SAMPLES", 11)
    vectors = [np.random.default_rng(i).normal(size=(50, 3)) for i in range(3)]
    with pytest.raises(InputError, match="--clusters is 10, expected at most 9, the number of vectors found"):
        fit(vectors, len(vectors), 10, 0, None, 2)


def test_smoothing_leaves_specks_out_and_edges_where_they_are():
    square = np.zeros((64, 64, 3), np.uint8)
    square[:, 32:] = 200
    scores = np.zeros((64, 64, 2), np.float32)
    scores[:, 32:, 1] = 1
    scores[10, 10, 1] = 1.5
    smooth = smoothing.guided(scores, square)
    assert smooth.shape == scores.shape
    assert smooth[10, 10, 1] < 0.1
    np.testing.assert_array_equal(smooth[..., 1].round(), scores[..., 1] * (scores[..., 1] == 1))
