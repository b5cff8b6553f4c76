from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from eggseg.errors import InputError
from eggseg.files import link, read_json, replacing, write_bytes, write_csv, write_json


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_the_place_of_another_when_the_block_ends(tmp_path):
    path = tmp_path / "a.weights.h5"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == tmp_path
        assert temporary.name.endswith(".weights.h5")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.weights.h5"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, error):
    path = tmp_path / "a.png"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.png"]


def test_an_error_makes_no_file_where_none_was(tmp_path):
    with pytest.raises(ValueError, match="no"), replacing(tmp_path / "a.png"):
        raise ValueError("no")
    assert names(tmp_path) == []


def test_a_writer_that_replaces_its_file_is_heard(tmp_path):
    """Some writers make a new file beside the one they were given and rename it."""
    with replacing(tmp_path / "a.npz") as temporary:
        temporary.unlink()
        temporary.write_text("made anew")
    assert (tmp_path / "a.npz").read_text() == "made anew"


def test_missing_folders_are_made(tmp_path):
    write_bytes(tmp_path / "x" / "y" / "a.bin", b"\0\1")
    assert (tmp_path / "x" / "y" / "a.bin").read_bytes() == b"\0\1"


def test_a_name_as_long_as_names_may_be_can_be_written(tmp_path):
    path = tmp_path / ("n" * 251 + ".png")
    write_bytes(path, b"x")
    assert names(tmp_path) == [path.name]


def test_permissions_follow_the_umask(tmp_path, umask):
    write_bytes(tmp_path / "a", b"x")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask
    assert os.umask(umask) == umask, "the umask is as it was"


def test_a_file_that_is_linked_is_there_twice(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"egg")
    (tmp_path / "b").write_bytes(b"old")
    link(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").samefile(tmp_path / "a")

    def another_disk(*_: object) -> None:
        raise OSError(errno.EXDEV, "cross-device link")

    monkeypatch.setattr(os, "link", another_disk)
    link(tmp_path / "a", tmp_path / "new" / "c")
    assert (tmp_path / "new" / "c").read_bytes() == b"egg"
    assert not (tmp_path / "new" / "c").samefile(tmp_path / "a")


def test_json_comes_back_and_not_a_number_is_null(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": float("nan"), "b": [1, (2.5, float("nan"))], "c": {"d": None, 3: "ö"}, "e": True})
    assert json.loads(path.read_text()) == {"a": None, "b": [1, [2.5, None]], "c": {"d": None, "3": "ö"}, "e": True}
    assert read_json(path)["b"] == [1, [2.5, None]]
    assert path.read_text().endswith("}\n")


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", float("inf"))
    assert read_json(tmp_path / "a.json") == 1
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize("text", [None, "", "{", "{'a': 1}"])
def test_what_is_no_json_is_an_error_that_names_the_file(tmp_path, text):
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json cannot be read as JSON"):
        read_json(tmp_path / "a.json")


def test_rows_become_lines_under_the_columns_of_the_first(tmp_path):
    write_csv(tmp_path / "a.csv", [{"file": "a, b.jpg", "n": 1}, {"n": 2.5, "file": "c"}])
    assert (tmp_path / "a.csv").read_bytes() == b'file,n\n"a, b.jpg",1\nc,2.5\n'
