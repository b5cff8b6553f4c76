"""A folder as it comes off a disk that failed, from people who meant it well, and from some who did not."""

from __future__ import annotations

import os
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers.data_sets import SMALL, draw
from helpers.formats import chunk, encoded, ramp
from PIL import Image

from eggseg import audit, predict, train
from eggseg.pictures.pillow import listed

SOUND = {
    "with space.jpg": (96, 64),
    "new\nline.png": (64, 96),
    "卵とフライパン.png": (77, 51),
    "a [1]*?.jpg": (120, 90),
    os.fsdecode(b"not \xff unicode.png"): (33, 47),
    "one.png": (1, 1),
    "panorama.png": (60000, 2),
    "png called.jpg": (50, 40),
    **{f"plain {i}.jpg": (60 + i, 50) for i in range(16)},
}
DAMAGED = ("empty.jpg", "text.png", "cut.jpg", "cut.png", "bomb.png", "loop.jpg")
"""A fifth of the files."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "data"
    images, masks = folder / "images", folder / "masks"
    for path in (images, masks):
        path.mkdir(parents=True)
    for name, (width, height) in SOUND.items():
        kind = "PNG" if name.startswith("png") or name.endswith("png") else "JPEG"
        (images / name).write_bytes(encoded(Image.fromarray(ramp(width, height)), kind))
    for name in (*SOUND, *DAMAGED):
        width, height = SOUND.get(name, (9, 9))
        values = np.zeros((height, width), np.uint8)
        values[: height // 2] = 128
        values[:, : width // 3] = 255
        (masks / f"{name}.png").write_bytes(encoded(Image.fromarray(values), "PNG"))
    whole = {kind: encoded(Image.fromarray(ramp(90, 60)), kind) for kind in ("JPEG", "PNG")}
    (images / "empty.jpg").write_bytes(b"")
    (images / "text.png").write_text("a shopping list: eggs")
    (images / "cut.jpg").write_bytes(whole["JPEG"][:-400])
    (images / "cut.png").write_bytes(whole["PNG"][:-400])
    (images / "bomb.png").write_bytes(bomb())
    (images / "loop.jpg").symlink_to(images / "loop.jpg")
    # These are no photos, whatever they are called.
    (images / "folder.jpg").mkdir()
    (images / "circle").symlink_to(images)
    os.mkfifo(images / "pipe.jpg")
    (images / "to a pipe.jpg").symlink_to(images / "pipe.jpg")
    (images / ".hidden.jpg").write_bytes(b"")
    return folder


def bomb() -> bytes:
    """A PNG of 50 KB that holds 400 million pixels."""
    side = 20000
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(side * (1 + side // 8))))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def written(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_sound_photos_get_their_masks_and_each_damaged_one_is_named_once(
    folder: Path, run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = [str(folder / "images"), "--model", str(run_dir), "--output_dir", str(tmp_path / "out")]
    assert predict.main(args) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(DAMAGED)
    for name in DAMAGED:
        assert sum(f"{folder / 'images' / name}" in line for line in lines) == 1
    assert any(
        "bomb.png is too large, expected at most 80000000 pixels (--max_pixels): Image size (400000000" in line
        for line in lines
    )
    names = {path.name for path in written(tmp_path)}
    assert names == {f"{name}.png" for name in SOUND} | {"summary.csv", "journal.jsonl"}
    for name, size in SOUND.items():
        with Image.open(tmp_path / "out/masks" / f"{name}.png") as mask:
            assert mask.size == size


def test_training_refuses_and_names_them(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["--data_dir", str(folder), "--output_dir", str(tmp_path / "run"), *SMALL]
    assert train.main(args) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: files: 6 files cannot be used")
    for name in DAMAGED:
        assert error.count(f"{folder / 'images' / name}") == 1
    assert not written(tmp_path)


def test_training_without_them_takes_every_name(folder: Path, tmp_path: Path) -> None:
    args = ["--data_dir", str(folder), "--output_dir", str(tmp_path / "run"), *SMALL, "--epochs", "1"]
    assert train.main([*args, "--audit", "warn", "--split", "random"]) == 0


def test_the_audit_names_them_too(folder: Path, tmp_path: Path) -> None:
    assert audit.main([str(folder), "--output_dir", str(tmp_path)]) == 1
    page = (tmp_path / "audit.html").read_text()
    for name in DAMAGED:
        assert f"images/{name}" in page


def test_pictures_alone_are_listed(folder: Path) -> None:
    assert {path.name for path in listed(folder / "images")} == {*SOUND, *DAMAGED}


def test_a_photo_that_may_not_be_read_is_named(
    folder: Path, run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Path.read_bytes

    def read_bytes(path: Path) -> bytes:  # for the superuser nothing is locked
        if path.name == "plain 1.jpg":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    photos = [str(folder / "images" / f"plain {i}.jpg") for i in range(3)]
    assert predict.main([*photos, "--model", str(run_dir), "--output_dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"error: {photos[1]}: Permission denied\n"
    assert len(list((tmp_path / "masks").iterdir())) == 2


@pytest.mark.full
def test_a_file_that_grows_too_large_costs_nothing_that_was_made(run_dir: Path, tmp_path: Path) -> None:
    """Under a limit on the size of a file small masks go through, and the large overlay does not."""
    data = draw(tmp_path / "data", 2)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)).save(data / "images/z.png")
    command = [sys.executable, "-m", "eggseg.predict", str(data / "images"), "--model", str(run_dir), "--overlay"]
    done = subprocess.run(
        [*command, "--output_dir", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)),
        check=False,
    )
    assert done.returncode == 1
    assert f"error: {tmp_path}/out/overlays/z.png.png: File too large" in done.stderr
    names = {path.relative_to(tmp_path / "out").as_posix() for path in written(tmp_path / "out")}
    small = {f"{kind}/photo_{i}.{end}.png" for kind in ("masks", "overlays") for i, end in ((0, "jpg"), (1, "png"))}
    assert names == small | {"masks/z.png.png", "summary.csv", "journal.jsonl"}, "whole or not at all"
