"""Shared by all commands: settings from the command line, safe terminal output, error messages, exit codes."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import os
import sys
import types
import typing
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO, TypeVar, cast

import rich
import tyro
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

from eggseg.devices import startup
from eggseg.errors import InputError, harmless, printable
from eggseg.files import read_json

COMMANDS = {
    "synthetic": "draw made-up kitchen scenes with exact masks",
    "convert": "convert annotations of labelling tools to photos and masks, or masks to COCO",
    "audit": "find faults in a folder of photos and masks",
    "train": "train a model on a folder of photos and masks",
    "average": "average the weights of several runs into one model",
    "predict": "predict the masks of photos with a trained model",
    "serve": "serve masks over HTTP, as a SageMaker endpoint does",
    "evaluate": "measure a trained model on labelled photos",
    "kmeans": "cluster the pixels of photos, without labels",
    "sam": "segment photos with Segment Anything and cluster the segments, without labels",
    "semisupervised": "train a model on photos, only a few of which have masks",
    "adapt": "adapt a trained model to a new kitchen, from photos without masks",
}
"""The commands `eggseg NAME`, each with its description in the help."""

LABELFREE = {"kmeans": "kmeans", "sam": "sam", "semisupervised": "gan", "adapt": "adapt"}
"""Commands whose modules lie in `eggseg.labelfree`, and the names of these modules in the package."""

Settings = TypeVar("Settings")


def module(command: str) -> str:
    """The name of the module whose `main` runs a command."""
    return f"eggseg.labelfree.{LABELFREE[command]}" if command in LABELFREE else f"eggseg.{command}"


class Group:
    """Base of dataclasses whose settings form one group in the help.

    A settings dataclass that inherits from groups, and adds no fields, is shown and parsed group by group.
    """


def parse(
    settings: type[Settings],
    argv: Sequence[str] | None,
    prog: str,
    *,
    with_config: bool = False,
    preset: Callable[[str, Collection[str]], Mapping[str, Any]] | None = None,
) -> Settings:
    """Parse the command line of a module or script, `prog`, into a settings dataclass, whose docstrings are the help.

    Flags may be written with `_` or `-`; a boolean flag stands alone or takes `True` or `False`. With `with_config`,
    `--config FILE` reads settings from JSON; `settings.renamed` maps former names of settings, which the file may
    contain, to present names, and `settings.null` has the values that null stands for. With `preset`, `--profile NAME`
    applies the settings that `preset(NAME, given)` returns; `given` has the names of the settings from flags and file.
    Flags override the file, and the file overrides the profile. `InputError` if the file cannot be used; `SystemExit`
    for invalid flags.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    description = settings.__doc__ or ""
    if with_config:
        args = _take_config(args, settings)
        description += " --config FILE reads settings from JSON, and the command line overrides them."
    if preset:
        finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        finder.add_argument("--profile")
        given = [arg.removeprefix("--").partition("=")[0].replace("-", "_") for arg in args if arg.startswith("--")]
        args = _flags(preset(finder.parse_known_args(args)[0].profile or "", given)) + args
    groups = [base for base in reversed(settings.__mro__) if Group in base.__bases__]
    options: dict[str, Any] = {
        "args": _plain_flags(args),
        "prog": _program(prog),
        "description": description,
        "use_underscores": True,
    }
    if not groups:
        return tyro.cli(settings, **options)
    flat = tyro.conf.configure(tyro.conf.OmitArgPrefixes)
    parts = dataclasses.make_dataclass(settings.__name__, [(group.__name__.lower(), flat(group)) for group in groups])
    taken = vars(tyro.cli(parts, **options)).values()
    return settings(**{name: value for part in taken for name, value in vars(part).items()})


def run(main: Callable[[], int]) -> int:
    """Run a command and return its exit code; an error that the user can fix is printed on stderr, with exit code 2.

    Ctrl-C gives exit code 130, and a closed pipe 141. Control characters are escaped in everything that Python code
    prints, also in the error messages of libraries.
    """
    with guarded():
        try:
            try:
                return _run(main)
            finally:
                sys.stdout.flush()
        except _ReaderGone:
            for stream in (sys.stdout, sys.stderr):
                # Python flushes the buffers at exit, which would fail again in the closed pipe.
                with contextlib.suppress(OSError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            return 141


def _run(main: Callable[[], int]) -> int:
    try:
        return main()
    except _ReaderGone:
        raise
    except (InputError, OSError) as error:
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{printable(error.filename)}: {error.strerror}"
    return str(error)


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Escape control characters in the output of the block; suppress useless messages of TensorFlow and Pillow."""
    with startup.prepared(), _guarded_streams(), warnings.catch_warnings():
        # Pillow's warnings about damaged metadata name no file; if the file cannot be read, an error names it.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Restore the original standard output and error in the block, so that a library can draw with control codes.

    Only for a library that prints no untrusted text.
    """
    out, err = (stream.beneath if isinstance(stream, _Guarded) else stream for stream in (sys.stdout, sys.stderr))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield


class _ReaderGone(OSError):
    """The reader of standard output or error has closed the pipe, as `head` does after the last line that it prints."""


class _Guarded:
    """A text stream that escapes all control characters except line ends.

    It reports that it is not a terminal, so that libraries write no control codes to it.
    """

    def __init__(self, beneath: TextIO) -> None:
        self.beneath = beneath

    def write(self, text: str) -> int:
        with _closed_pipe():
            self.beneath.write(harmless(text))
        return len(text)

    def writelines(self, lines: Sequence[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        with _closed_pipe():
            self.beneath.flush()

    def isatty(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.beneath, name)


@contextlib.contextmanager
def _closed_pipe() -> Iterator[None]:
    """Turn a broken pipe into `_ReaderGone`."""
    try:
        yield
    except BrokenPipeError as error:
        raise _ReaderGone(*error.args) from None


class _Harmless(RenderHook):
    """Lets rich write its own control codes, for tables and progress, but escapes control characters in texts."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_HarmlessText(renderable) for renderable in renderables]


@dataclasses.dataclass
class _HarmlessText:
    renderable: ConsoleRenderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.renderable, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)


@contextlib.contextmanager
def _guarded_streams() -> Iterator[None]:
    """Escape control characters in standard output and error, and in rich's console, which can still use a terminal."""
    if isinstance(sys.stdout, _Guarded):  # already guarded, because one command runs another
        yield
        return
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # not every locale can encode every character
    console = rich.get_console()
    before = dict(vars(console))
    rich.reconfigure(file=sys.stdout, force_jupyter=console.is_jupyter)
    console.push_render_hook(_Harmless())
    out, err = (cast(TextIO, _Guarded(stream)) for stream in (sys.stdout, sys.stderr))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield
    finally:
        vars(console).update(before)


def _program(name: str) -> str:
    """The command line that runs a module or script, for the help."""
    if name.endswith(".py"):
        return f"python {name}"
    command_of = {module(command): command for command in COMMANDS}
    return f"eggseg {command_of[name]}" if name in command_of else f"python -m {name}"


def _take_config(args: list[str], settings: type) -> list[str]:
    """Replace `--config FILE` by the file's settings as flags, which precede all other flags."""
    positions = [i for i, arg in enumerate(args) if arg == "--config" or arg.startswith("--config=")]
    if not positions:
        return args
    at = positions[-1]
    if "=" in args[at]:
        path, rest = args[at].split("=", 1)[1], args[:at] + args[at + 1 :]
    elif at + 1 < len(args):
        path, rest = args[at + 1], args[:at] + args[at + 2 :]
    else:
        raise InputError("--config takes the name of a JSON file")
    values = read_json(Path(path))
    # The config.json of a run holds its settings under the key `settings`.
    values = values.get("settings", values) if isinstance(values, dict) else None
    if not isinstance(values, dict):
        raise InputError(f"--config {path} holds no JSON object: expected {{setting: value, ...}}")
    renamed, null = getattr(settings, "renamed", {}), getattr(settings, "null", {})
    values = {renamed.get(name, name): null.get(name) if value is None else value for name, value in values.items()}
    kinds = typing.get_type_hints(settings)
    for name, value in values.items():
        if value is None and name in kinds and types.NoneType not in typing.get_args(kinds[name]):
            raise InputError(f"--config {path}: {name} is null, expected a value")
    return _flags(values) + rest


def _flags(values: Mapping[str, Any]) -> list[str]:
    """Settings, as JSON values, written as command-line flags."""
    return [f"--{name}={value}" for name, value in values.items()]


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
