from __future__ import annotations

import csv
import errno
import io
import json
import os
import stat
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eggseg.errors import InputError
from eggseg.files import cache, link, parsing, read_json, replacing, write_bytes, write_csv, write_json


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


@pytest.mark.parametrize("letter", ["n", "\U0001f373"])
def test_a_name_as_long_as_names_may_be_can_be_written(tmp_path, letter):
    path = tmp_path / (letter * (251 // len(letter.encode())) + ".png")
    write_bytes(path, b"x")
    assert names(tmp_path) == [path.name]


def test_permissions_follow_the_umask(tmp_path, umask):
    write_bytes(tmp_path / "a", b"x")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask
    assert os.umask(umask) == umask, "the umask is as it was"


def test_files_that_others_make_meanwhile_keep_to_the_umask(tmp_path, umask, monkeypatch):
    """The umask is the whole process's: to read it by setting it opens, for a moment, the files of other threads."""
    done, modes = threading.Event(), set()

    def watch() -> None:
        for i in range(100_000):
            if done.is_set():
                return
            descriptor = os.open(tmp_path / f"other{i}", os.O_CREAT | os.O_WRONLY, 0o666)
            modes.add(stat.S_IMODE(os.fstat(descriptor).st_mode))
            os.close(descriptor)
            (tmp_path / f"other{i}").unlink()

    def changed(_: int) -> int:
        raise AssertionError("the umask was set")

    monkeypatch.setattr(os, "umask", changed)
    with ThreadPoolExecutor(9) as pool:
        watched = pool.submit(watch)
        list(pool.map(lambda i: write_bytes(tmp_path / f"{i}.png", b"x"), range(400)))
        done.set()
        watched.result()
    assert modes == {stat.S_IMODE((tmp_path / "0.png").stat().st_mode)} == {0o666 & ~umask}


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


@pytest.mark.parametrize("text", [None, "", "{", "{'a': 1}", "[" * 100_000, "1" * 5000])
def test_what_is_no_json_is_an_error_that_names_the_file(tmp_path, text):
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json cannot be read as JSON"):
        read_json(tmp_path / "a.json")


def test_rows_become_lines_under_the_columns_of_the_first(tmp_path):
    write_csv(tmp_path / "a.csv", [{"file": "a, b.jpg", "n": 1}, {"n": 2.5, "file": "c"}])
    assert (tmp_path / "a.csv").read_bytes() == b'file,n\n"a, b.jpg",1\nc,2.5\n'


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'quoted'"]


def test_no_text_is_a_formula_and_numbers_are_numbers(tmp_path):
    write_csv(tmp_path / "a.csv", [{"=x": text, "n": -0.5, "m": -3} for text in FORMULAS])
    header, *rows = csv.reader(io.StringIO((tmp_path / "a.csv").read_bytes().decode(), newline=""))
    assert header == ["'=x", "n", "m"]
    assert rows == [[f"'{text}", "-0.5", "-3"] for text in FORMULAS]


NAMES = st.binary().map(lambda data: os.fsdecode(data.replace(b"\0", b"")))
"""File names, in any encoding; no other text holds half of a surrogate pair."""


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")) | NAMES, min_size=1, max_size=3))
def test_text_comes_back_without_the_first_quote(texts):
    with tempfile.TemporaryDirectory() as folder:
        write_csv(Path(folder, "a.csv"), [{"n": 1, "file": text} for text in texts])
        written = Path(folder, "a.csv").read_bytes().decode(errors="surrogateescape")
    rows = list(csv.DictReader(io.StringIO(written, newline="")))
    assert [row["file"].removeprefix("'") for row in rows] == texts


def test_a_carriage_return_ends_no_line(tmp_path):
    write_csv(tmp_path / "a.csv", [{"file": "a\rb.jpg", "n": 1}])
    assert (tmp_path / "a.csv").read_bytes() == b'file,n\n"a\rb.jpg",1\n'


def test_what_fails_on_the_content_of_a_file_names_it(tmp_path):
    path = Path("/run/a.npz")
    for error in (KeyError("settings"), TypeError("no\nlist"), OSError("truncated"), EOFError(), InputError("no")):
        with pytest.raises(InputError, match=r"^/run/a\.npz is damaged or of another kind: .+$"), parsing(path):
            raise error
    with pytest.raises(PermissionError), parsing(path):
        raise PermissionError(13, "Permission denied", str(path))


def test_the_cache_is_in_the_users_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache() == tmp_path / ".cache" / "eggseg"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache() == tmp_path / "x" / "eggseg"


@pytest.fixture(params=["none", "a file"])
def homeless(request, tmp_path, monkeypatch):
    """A machine without a home, or with one that no folder can be made in."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if request.param == "none":

        def home() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "home", home)
    else:
        (tmp_path / "home").write_text("")
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def test_without_a_home_the_cache_is_a_private_folder(homeless):
    assert cache() == cache() == homeless / f"eggseg-{os.getuid()}"
    assert stat.S_IMODE(cache().stat().st_mode) == 0o700


def test_a_cache_that_others_can_write_to_is_refused(homeless):
    cache().chmod(0o777)
    with pytest.raises(InputError, match="can be written by others: set XDG_CACHE_HOME"):
        cache()
