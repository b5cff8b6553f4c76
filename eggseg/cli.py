"""What every command shares: settings from the command line, one-line errors, exit codes."""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro

from eggseg.errors import InputError
from eggseg.files import read_json

# Before TensorFlow is imported: its start-up remarks on missing GPUs read like errors.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Pillow's remarks on damaged metadata name no file; where a file is unreadable for it, an error names it.
warnings.filterwarnings("ignore", module=r"PIL\.")

Settings = TypeVar("Settings")


def parse(
    settings: type[Settings],
    argv: Sequence[str] | None,
    prog: str,
    *,
    with_config: bool = False,
    profiles: Mapping[str, Mapping[str, Any]] | None = None,
) -> Settings:
    """Parse a command line into a settings dataclass, whose docstrings are the help.

    Flags take `_` or `-`; a boolean stands alone or takes `True` or `False`. With `with_config`, `--config FILE` is
    read as a command line written in JSON: what stands on the command line itself overrules it. `--profile NAME`
    stands for the settings of that name in `profiles`, which both overrule.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    description = settings.__doc__ or ""
    if with_config:
        args = _take_config(args)
        description += " --config FILE reads settings from JSON, and the command line overrules them."
    if profiles:
        finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        finder.add_argument("--profile")
        args = _flags(profiles.get(finder.parse_known_args(args)[0].profile, {})) + args
    return tyro.cli(
        settings, args=_plain_flags(args), prog=f"python -m {prog}", description=description, use_underscores=True
    )


def run(main: Callable[[], int]) -> int:
    """Run a command; what the user can mend is one line on stderr and exit code 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # not every file's name can be written
    try:
        return main()
    except (InputError, OSError) as error:
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _take_config(args: list[str]) -> list[str]:
    """Replace `--config FILE` by the flags that the file stands for, in front of all others."""
    given = [i for i, arg in enumerate(args) if arg == "--config" or arg.startswith("--config=")]
    if not given:
        return args
    at = given[-1]
    if "=" in args[at]:
        path, rest = args[at].split("=", 1)[1], args[:at] + args[at + 1 :]
    elif at + 1 < len(args):
        path, rest = args[at + 1], args[:at] + args[at + 2 :]
    else:
        raise InputError("--config takes the name of a JSON file")
    values = read_json(Path(path))
    # A run's own config.json keeps its settings beside other things.
    values = values.get("settings", values) if isinstance(values, dict) else None
    if not isinstance(values, dict):
        raise InputError(f"--config {path} holds no JSON object: expected {{setting: value, ...}}")
    return _flags(values) + rest


def _flags(values: Mapping[str, Any]) -> list[str]:
    """A command line that stands for settings as JSON values."""
    return [part for name, value in values.items() if value is not None for part in (f"--{name}", str(value))]


def _plain_flags(args: list[str]) -> list[str]:
    """Turn `--flag True` and `--flag=False`, as schedulers write them, into `--flag` and `--no_flag`."""
    plain: list[str] = []
    for arg in args:
        flag, _, value = arg.partition("=")
        if value in ("True", "False") and flag.startswith("--"):
            plain.append(flag if value == "True" else f"--no_{flag[2:]}")
        elif arg in ("True", "False") and plain and plain[-1].startswith("--"):
            plain[-1] = plain[-1] if arg == "True" else f"--no_{plain[-1][2:]}"
        else:
            plain.append(arg)
    return plain
