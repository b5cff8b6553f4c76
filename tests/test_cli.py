"""What all commands share: what reaches the terminal, and that importing does nothing."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
import rich
from helpers.data_sets import draw
from hypothesis import given
from hypothesis import strategies as st
from rich.progress import track
from rich.table import Table

from eggseg import audit, cli, evaluate, train
from eggseg.errors import InputError, harmless, printable

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b5n\r\u202egnp.gge\u2066\u2028\udcff"
SHOWN = r"\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b5n\r\u202egnp.gge\u2066\u2028\udcff"


def steering(text: str) -> set[str]:
    """What of a text steers a terminal."""
    return {c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}


def table() -> int:
    shown = Table(title=HOSTILE)
    shown.add_column(HOSTILE)
    shown.add_row(HOSTILE)
    rich.get_console().print(shown)
    rich.print(HOSTILE)
    return 0


def progress() -> int:
    for _ in track(range(2), "working"):
        print(HOSTILE)
        print(HOSTILE, file=sys.stderr)
    return 0


def printed() -> int:
    print("one\ntwo", HOSTILE)
    sys.stdout.writelines([HOSTILE, "\n"])
    print("one\ntwo", HOSTILE, file=sys.stderr)
    return 0


def unusable() -> int:
    raise InputError(f"{HOSTILE} is empty\nand so is b.png")


def unreadable() -> int:
    raise PermissionError(13, "Permission denied", HOSTILE + "\nerror: all is well")


@given(st.text())
def test_text_that_is_shown_steers_nothing_and_keeps_its_lines(text: str) -> None:
    assert steering(harmless(text)) == set()
    assert harmless(text).count("\n") == text.count("\n")
    assert "\n" not in printable(text)
    assert harmless(harmless(text)) == harmless(text)


@pytest.mark.parametrize(
    "name",
    ["a b.png", "Ei \U0001f373.jpg", "卵\u3000.png", "3.40\u202fPM.png", "\N{HEBREW LETTER BET}.png", 'it\'s \\ "x"'],
)
def test_names_of_every_script_are_shown_as_they_are(name: str) -> None:
    assert printable(name) == name


def test_what_steers_is_shown_as_escapes() -> None:
    assert printable(HOSTILE) == SHOWN
    assert printable(Path("a\nb\tc")) == r"a\nb\tc"


@pytest.mark.parametrize("command", [table, progress, printed, unusable, unreadable])
def test_no_control_character_of_others_is_printed(command: Callable[[], int], capsys: pytest.CaptureFixture) -> None:
    cli.run(command)
    shown = "".join(capsys.readouterr())
    assert steering(shown) == set()
    assert "owned" in shown


def test_names_of_files_are_harmless_in_what_a_command_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    folder = draw(tmp_path / "data\x1b[2J", 4)
    for kind in ("images", "masks"):
        for i in (1, 3):
            (folder / kind / f"photo_{i}.png").rename(folder / kind / f"\x1b]0;{i}\x07[red]\u202e_{i}.png")
    (folder / "images" / "\x1b]0;1\x07[red]\u202e_1.png").write_bytes(b"no picture")
    (folder / "masks" / "photo_0.jpg").unlink()
    assert audit.main([str(folder), "--output_dir", str(tmp_path / "out\x1b[2J")]) == 1
    told = "".join(capsys.readouterr())
    assert steering(told) == set()
    assert r"data\x1b[2J" in told
    assert r"\x1b]0;1\x07[red]\u202e_1.png" in told


def test_an_error_keeps_its_lines_and_a_name_stays_in_its_line(capsys: pytest.CaptureFixture) -> None:
    assert cli.run(unusable) == 2
    assert capsys.readouterr().err == f"error: {SHOWN} is empty\nand so is b.png\n"
    assert cli.run(unreadable) == 2
    assert capsys.readouterr().err == f"error: {SHOWN}\\nerror: all is well: Permission denied\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("command", [table, progress, printed])
def test_on_a_terminal_the_only_codes_are_those_of_tables_and_progress(
    command: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "300")
    assert cli.run(command) == 0
    codes = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[[0-9]*[AK]|\r")
    shown = terminal.getvalue()
    assert (codes.search(shown) is not None) is (command is not printed), "rich knows the terminal"
    assert steering(codes.sub("", shown)) == set()
    assert "\x1b[31m" not in shown
    assert isinstance(sys.stdout, Terminal), "the streams are what they were"


def test_a_library_that_draws_gets_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, Terminal())
    seen = []

    def command() -> int:
        seen.append(sys.stdout.isatty())
        with cli.drawing():
            seen.append(sys.stdout.isatty())
            print("\r50 %")
            print("\r60 %", file=sys.stderr)
        seen.append(sys.stdout.isatty())
        return 0

    cli.run(command)
    assert seen == [False, True, False]
    assert (sys.stdout.getvalue(), sys.stderr.getvalue()) == ("\r50 %\n", "\r60 %\n")
    with cli.drawing():
        assert sys.stdout.isatty(), "and without a command too"


def test_a_command_changes_nothing_for_what_comes_after_it(capsys: pytest.CaptureFixture) -> None:
    before = dict(vars(rich.get_console()))
    assert cli.run(lambda: cli.run(printed)) == 0
    after = vars(rich.get_console())
    assert {name for name in before if before[name] is not after[name]} == set()
    capsys.readouterr()
    print(HOSTILE[0])
    assert capsys.readouterr().out == "\x1b\n"


def test_class_names_that_steer_a_terminal_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "classes.json").write_text('[{"name": "background", "value": 0}, {"name": "\\u001b[2J", "value": 9}]')
    assert train.main(["--classes", str(tmp_path / "classes.json"), "--output_dir", str(tmp_path / "run")]) == 2
    assert r"class names must not contain control characters: background, \x1b[2J" in capsys.readouterr().err


def test_a_value_of_a_foreign_config_is_harmless(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "config.json").write_text('{"epochs": "\\u001b[2J"}')
    with pytest.raises(SystemExit):
        train.main(["--config", str(tmp_path / "config.json")])
    assert steering(capsys.readouterr().err) == set()


@pytest.mark.parametrize(
    ("record", "told"),
    [("{}", "it has no 'split'"), ("[]", "list indices"), ('{"split": {"val": [1]}}', "no attribute 'startswith'")],
)
def test_a_record_without_what_is_needed_is_named(tmp_path: Path, record: str, told: str) -> None:
    (tmp_path / "config.json").write_text(record)
    settings = evaluate.Settings(tmp_path, tmp_path, split="val")
    with pytest.raises(InputError, match=rf"config\.json is damaged or of another kind: .*{told}"):
        evaluate._wanted(settings)


@pytest.mark.parametrize("args", [["--help"], ["train", "--help"]])
def test_a_reader_that_leaves_is_no_error(args: list[str]) -> None:
    """As `head` does, before the first line is written or after."""
    command = subprocess.Popen(
        [sys.executable, "-m", "eggseg", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    command.stdout.close()
    with command.stderr:
        assert command.stderr.read() == ""
    assert command.wait() == 141


def test_a_broken_pipe_of_another_kind_is_told(capsys: pytest.CaptureFixture) -> None:
    def command() -> int:
        raise BrokenPipeError(32, "Broken pipe")

    assert cli.run(command) == 2
    assert capsys.readouterr().err == "error: [Errno 32] Broken pipe\n"


IMPORTS = """
import matplotlib, os, signal, sys, warnings
for name in sys.argv[1].split():
    __import__(name)

def state():
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    return dict(os.environ), list(warnings.filters), dict.__getitem__(matplotlib.rcParams, "backend"), handlers

before = state()
for name in sys.argv[2:]:
    __import__(name)
for was, now in zip(before, state(), strict=True):
    assert was == now, [one for one in now if one not in was] or (was, now)
"""


FOLDER = Path(cli.__file__).parent
MODULES = [".".join(path.relative_to(FOLDER.parent).with_suffix("").parts) for path in FOLDER.rglob("*.py")]


@pytest.mark.parametrize(
    ("others", "names"),
    [
        ("", ["eggseg.training.config", "eggseg.evaluation.plots", "eggseg.train", "eggseg.__main__"]),
        pytest.param("cv2 keras tensorflow tensorflow_datasets", MODULES, marks=pytest.mark.full),
    ],
    ids=["some", "all"],
)
def test_importing_changes_nothing(others: str, names: list[str]) -> None:
    """`others` do change something: what they change is left aside."""
    # Without what a command before has set in this process.
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", IMPORTS, others, *names]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ran.returncode == 0, ran.stderr
