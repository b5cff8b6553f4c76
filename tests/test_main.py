"""The `eggseg` command."""

from __future__ import annotations

import subprocess
import sys

import pytest

from eggseg import __version__
from eggseg.__main__ import COMMANDS, main


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"eggseg {__version__}"
    assert [line.split()[0] for line in lines[1:]] == ["Python", "tensorflow", "keras", "numpy", "pillow"]


def test_an_unknown_command_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fry"]) == 2
    assert capsys.readouterr().err.startswith(
        "error: 'fry' is no command: expected one of synthetic, convert, audit, train"
    )


@pytest.mark.parametrize("name", list(COMMANDS))
def test_each_command_explains_itself_without_tensorflow(name: str) -> None:
    script = f"import sys\nfrom eggseg.__main__ import main\ntry:\n    main(['{name}', '--help'])\n" + (
        "except SystemExit as end:\n    assert not end.code\nassert 'tensorflow' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: eggseg {name} [-h] ")
    assert "default" in done.stdout


def test_importing_eggseg_takes_no_tensorflow() -> None:
    subprocess.run([sys.executable, "-c", "import eggseg, sys; assert 'tensorflow' not in sys.modules"], check=True)


def test_an_unknown_name_in_the_package_is_an_attribute_error() -> None:
    import eggseg

    with pytest.raises(AttributeError, match="has no attribute 'fry'"):
        eggseg.fry  # noqa: B018
