"""Procedural scenes: a function of (seed, index), exact masks, a command that can be run again."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eggseg import synthetic
from eggseg.data.classes import EGGS_AND_PANS, VOID
from eggseg.kitchen import scene_folder, scenes

SMALL = (160, 120)


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scenes") / "out"
    assert synthetic.main([str(out), "--count", "12", "--seed", "5"]) == 0
    return out


@pytest.mark.parametrize(
    ("index", "photo", "ids"),
    [
        (0, "30462d41d6c2a0ff", "6a057db785728011"),
        (2, "547da21c2de98639", "cb15729989be8073"),
        (7, "0ca81a89783ca150", "a932a412276883a5"),
        (8, "d98851514deb8f65", "35a13f18a30f8b6c"),
        (9, "2819f1b808830f7e", "363642ab5e4611f4"),
        (17, "0fd47763d4da478f", "d25a22d759f644f7"),
    ],
)
def test_scenes_are_pinned(index: int, photo: str, ids: str) -> None:
    """The same on every machine; another Pillow may resize otherwise. A change here is a new `scenes.VERSION`."""
    drawn = scenes.draw(0, index, SMALL)
    assert [digest(array) for array in drawn] == [photo, ids]


def test_a_scene_is_a_function_of_seed_and_index() -> None:
    first = scenes.draw(7, 3, SMALL)
    scenes.draw(8, 3, SMALL)
    again = scenes.draw(7, 3, SMALL)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], scenes.draw(8, 3, SMALL)[0])
    assert not np.array_equal(first[0], scenes.draw(7, 23, SMALL)[0])


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (91, 37), (40, 400)])
def test_any_size_can_be_drawn(size: tuple[int, int]) -> None:
    for index in range(len(scenes.CYCLE)):
        photo, ids = scenes.draw(1, index, size)
        assert photo.shape == (size[1], size[0], 3)
        assert ids.shape == (size[1], size[0])
        assert photo.dtype == ids.dtype == np.uint8
        assert ids.max() < len(EGGS_AND_PANS)


@pytest.mark.parametrize("index", [0, 2, 7, 8, 9, 17, 19])
def test_a_scene_is_the_same_at_any_scale(index: int) -> None:
    full, half = (scenes.draw(2, index, size)[1] for size in ((320, 240), (160, 120)))
    assert (full[::2, ::2] == half).mean() > 0.97


def test_names_are_unique_and_sizes_stay_in_a_run() -> None:
    frames = [scenes.frame(0, index) for index in range(400)]
    assert len({frame.name for frame in frames}) == 400
    runs: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for frame in frames:
        runs.setdefault((frame.session, frame.run), set()).add(frame.size)
    assert all(len(sizes) == 1 for sizes in runs.values())
    assert {"image_3.png", "image_3.jpg", "side (2).JPG"} <= {frame.name for frame in frames}
    with pytest.raises(ValueError, match="0 or more"):
        scenes.frame(0, -1)


def test_every_class_has_its_share() -> None:
    shares = [np.bincount(scenes.draw(0, index, SMALL)[1].ravel(), minlength=3) / 19200 for index in range(40)]
    background, egg, pan = np.mean(shares, axis=0)
    assert 0.75 < background < 0.98
    assert 0.01 < egg < 0.12
    assert 0.01 < pan < 0.2
    assert sum(share[1] > 0 for share in shares) > 25
    assert sum(share[2] > 0 for share in shares) > 10


def test_an_egg_shows_where_its_mask_is() -> None:
    """The photo's edges lie on the outline of the mask: a shifted mask fits them worse."""
    photo, ids = scenes.draw(3, 4, (320, 240))
    grey = photo.astype(np.int16).sum(-1)
    edge = np.abs(np.diff(grey, axis=1))
    border = np.diff((ids == 1).astype(np.int8), axis=1) != 0
    assert border.sum() > 20
    assert edge[border].mean() > 1.5 * max(edge[np.roll(border, shift, axis=1)].mean() for shift in (-12, 12))


def test_masks_hold_the_truth(folder: Path) -> None:
    for index in range(12):
        name = scenes.frame(5, index).name
        truth = scenes.draw(5, index)[1]
        with Image.open(folder / "images" / name) as image, Image.open(folder / "masks" / name) as mask:
            assert image.size == mask.size == scenes.frame(5, index).size
            assert image.mode == mask.mode == "RGB"
            assert image.format == mask.format == ("PNG" if name.endswith("png") else "JPEG")
            values = np.asarray(mask)
        assert (values == values[..., :1]).all()
        if name.endswith("png"):
            assert np.array_equal(values[..., 0], EGGS_AND_PANS.paint(truth))
        else:
            snapped = EGGS_AND_PANS.snap(values[..., 0])
            assert (snapped == truth).mean() >= 0.99
            assert (snapped == VOID).mean() < 0.01


def test_files_are_pairs_and_a_prefix(folder: Path, tmp_path: Path) -> None:
    images, masks = ({p.name for p in (folder / kind).iterdir()} for kind in ("images", "masks"))
    assert images == masks
    assert len(images) == 12
    assert synthetic.main([str(tmp_path / "few"), "--count", "3", "--seed", "5"]) == 0
    for path in (tmp_path / "few").rglob("*.*"):
        if path.name != scene_folder.RECORD:
            assert path.read_bytes() == (folder / path.relative_to(tmp_path / "few")).read_bytes()


def test_a_second_run_draws_only_what_is_missing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = folder / "masks" / scenes.frame(5, 2).name
    data = gone.read_bytes()
    gone.unlink()
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.*") if p.name != scene_folder.RECORD}
    assert synthetic.main([str(folder), "--count", "12", "--seed", "5"]) == 0
    assert "1 scenes drawn, 11 were there" in capsys.readouterr().out
    assert gone.read_bytes() == data
    assert synthetic.main([str(folder), "--count", "5", "--seed", "5"]) == 0
    twin = folder / "images" / gone.name
    assert all(p.stat().st_mtime_ns == then for p, then in before.items() if p != twin)
    record = {"version": scenes.VERSION, "seed": 5, "run_length": 0, "count": 12}
    assert json.loads((folder / scene_folder.RECORD).read_text()) == record


def test_overwriting_leaves_nothing_of_the_run_before(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert synthetic.main([str(out), "--count", "4"]) == 0
    assert synthetic.main([str(out), "--count", "2", "--seed", "1"]) == 2
    assert synthetic.main([str(out), "--count", "2", "--seed", "1", "--overwrite"]) == 0
    assert len(list((out / "images").iterdir())) == len(list((out / "masks").iterdir())) == 2


@pytest.mark.parametrize(
    ("arrange", "message"),
    [
        (lambda out: out.write_text("x"), "is a file, expected a folder"),
        (lambda out: (out.mkdir(), (out / "photo.png").write_text("x")), "photo.png"),
        (
            lambda out: (out.mkdir(), (out / "scenes.json").write_text("[]")),
            "is damaged, or eggseg synthetic did not write it",
        ),
        (lambda out: (out.parent / "file").write_text("x"), "file"),
    ],
)
def test_what_cannot_be_written_is_one_line_and_code_2(arrange, message, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    arrange(out)
    if (tmp_path / "file").exists():
        out = tmp_path / "file" / "below"
    assert synthetic.main([str(out), "--count", "1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error


@pytest.mark.parametrize("flags", [["--count", "0"], ["--seed", "-1"], ["--run_length", "0"]])
def test_numbers_out_of_range_are_refused(flags: list[str], tmp_path: Path, capsys) -> None:
    assert synthetic.main([str(tmp_path / "out"), *flags]) == 2
    assert capsys.readouterr().err.startswith(f"error: {flags[0]} is {flags[1]}, expected ")
    assert not (tmp_path / "out").exists()


def test_several_processes_draw_the_same(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene_folder, "FEW", 2)
    assert synthetic.main([str(tmp_path / "few"), "--count", "5", "--seed", "5"]) == 0
    paths = [path for path in (tmp_path / "few").rglob("*.*") if path.name != scene_folder.RECORD]
    assert len(paths) == 10
    for path in paths:
        assert path.read_bytes() == (folder / path.relative_to(tmp_path / "few")).read_bytes()


def test_a_run_of_one_makes_each_scene_a_place_of_its_own() -> None:
    as_usual, alone = ({(f.session, f.run) for i in range(60) for f in [scenes.frame(0, i, run)]} for run in (None, 1))
    assert len(alone) == 60 > 2 * len(as_usual)
    assert not np.array_equal(scenes.draw(0, 40, SMALL)[0], scenes.draw(0, 40, SMALL, run_length=1)[0])


def test_scenes_of_an_earlier_version_can_be_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [str(tmp_path / "out"), "--count", "2"]
    assert synthetic.main(command) == 0
    record = tmp_path / "out" / scene_folder.RECORD
    record.write_text(record.read_text().replace(f'"version": {scenes.VERSION}', '"version": 1'))
    for folder in ("images", "masks"):
        (tmp_path / "out" / folder / "of_old.png").write_bytes(b"")
    assert synthetic.main(command) == 2
    assert "of_old" not in capsys.readouterr().err
    assert synthetic.main([*command, "--overwrite"]) == 0
    assert "of_old.png" not in {path.name for path in (tmp_path / "out" / "images").iterdir()}


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    """Spawned processes usually run the main script again."""
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from eggseg.kitchen import scene_folder\n"
        "print('begun')\n"
        f"scene_folder.FEW = 1\nscene_folder.write(scene_folder.Settings(Path({str(tmp_path / 'out')!r}), 3))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("begun") == 1
    assert "3 scenes drawn" in done.stdout
