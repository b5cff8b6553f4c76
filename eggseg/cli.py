"""What every command shares: settings from the command line, what reaches the terminal, one-line errors, exit codes."""

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO, TypeVar, cast

import rich
import tyro
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

from eggseg.errors import InputError, harmless, printable
from eggseg.files import read_json

COMMANDS = {
    "synthetic": "make up kitchen scenes with exact masks",
    "convert": "turn what labelling tools write into photos and masks, or masks into COCO",
    "audit": "find what is wrong with a folder of photos and masks",
    "train": "train a model on a folder of photos and masks",
    "predict": "write masks of photos, with a trained model",
    "serve": "serve masks over HTTP, as a SageMaker endpoint does",
    "evaluate": "measure a trained model on labelled photos",
    "kmeans": "put the pixels of photos in clusters, without labels",
    "sam": "find everything in photos with Segment Anything, in clusters, without labels",
    "semisupervised": "train a model on photos of which few have masks",
}
"""What `eggseg NAME` does, and `python -m` with its module too."""

LABELFREE = {"kmeans": "kmeans", "sam": "sam", "semisupervised": "gan"}
"""The commands whose modules lie in `eggseg.labelfree`, and the names of these."""

Settings = TypeVar("Settings")


def module(command: str) -> str:
    """The module of a command, whose `main` it is."""
    return f"eggseg.labelfree.{LABELFREE[command]}" if command in LABELFREE else f"eggseg.{command}"


class Group:
    """Base of dataclasses whose settings stand together in the help.

    A settings dataclass that inherits from groups, and has no fields beside theirs, is shown and parsed by them.
    """


def parse(
    settings: type[Settings],
    argv: Sequence[str] | None,
    prog: str,
    *,
    with_config: bool = False,
    profiles: Mapping[str, Mapping[str, Any]] | None = None,
) -> Settings:
    """Parse the command line of a module or script, `prog`, into a settings dataclass, whose docstrings are the help.

    Flags take `_` or `-`; a boolean stands alone or takes `True` or `False`. With `with_config`, `--config FILE` is
    read as a command line written in JSON: what stands on the command line itself overrules it. Names in the file that
    are keys of `settings.renamed` stand for its values. `--profile NAME` stands for the settings of that name in
    `profiles`, which both overrule.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    description = settings.__doc__ or ""
    if with_config:
        args = _take_config(args, settings)
        description += " --config FILE reads settings from JSON, and the command line overrules them."
    if profiles:
        finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        finder.add_argument("--profile")
        args = _flags(profiles.get(finder.parse_known_args(args)[0].profile, {})) + args
    groups = [base for base in reversed(settings.__mro__) if Group in base.__bases__]
    how: dict[str, Any] = {
        "args": _plain_flags(args),
        "prog": _program(prog),
        "description": description,
        "use_underscores": True,
    }
    if not groups:
        return tyro.cli(settings, **how)
    flat = tyro.conf.configure(tyro.conf.OmitArgPrefixes)
    parts = dataclasses.make_dataclass(settings.__name__, [(group.__name__.lower(), flat(group)) for group in groups])
    taken = vars(tyro.cli(parts, **how)).values()
    return settings(**{name: value for part in taken for name, value in vars(part).items()})


def run(main: Callable[[], int]) -> int:
    """Run a command; what the user can mend is one line on stderr and exit code 2.

    What it prints, and the errors of others, reach the terminal without control characters.
    """
    # Before TensorFlow is imported: its start-up remarks on missing GPUs read like errors.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _guarded(), warnings.catch_warnings():
        # Pillow's remarks on damaged metadata name no file; where a file is unreadable for it, an error names it.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        try:
            try:
                return _run(main)
            finally:
                sys.stdout.flush()
        except _NobodyReads:
            for stream in (sys.stdout, sys.stderr):
                # What is still in its buffer would fail once more when Python ends.
                with contextlib.suppress(OSError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            return 141


def _run(main: Callable[[], int]) -> int:
    try:
        return main()
    except _NobodyReads:
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
def drawing() -> Iterator[None]:
    """Standard output and error as they are: for a library that draws by control codes and shows no text of others."""
    out, err = (stream.beneath if isinstance(stream, _Guarded) else stream for stream in (sys.stdout, sys.stderr))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield


class _NobodyReads(OSError):
    """The reader of standard output or error has left, as `head` does once it has its lines."""


class _Guarded:
    """A text stream that lets no control character pass but ends of lines.

    It says that it is no terminal, so that libraries write no control codes to it.
    """

    def __init__(self, beneath: TextIO) -> None:
        self.beneath = beneath

    def write(self, text: str) -> int:
        with _readers():
            self.beneath.write(harmless(text))
        return len(text)

    def writelines(self, lines: Sequence[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        with _readers():
            self.beneath.flush()

    def isatty(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.beneath, name)


@contextlib.contextmanager
def _readers() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise _NobodyReads(*error.args) from None


class _Harmless(RenderHook):
    """Lets rich write its own control codes, for tables and progress, but none that stand in the texts."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_HarmlessText(one) for one in renderables]


@dataclasses.dataclass
class _HarmlessText:
    renderable: ConsoleRenderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.renderable, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)


@contextlib.contextmanager
def _guarded() -> Iterator[None]:
    """Guard standard output and error, and rich's own console, which goes on to know a terminal."""
    if isinstance(sys.stdout, _Guarded):  # one command runs another
        yield
        return
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # not every locale has every character
    console = rich.get_console()
    before = dict(vars(console))
    rich.reconfigure(file=sys.stdout)
    console.push_render_hook(_Harmless())
    out, err = (cast(TextIO, _Guarded(stream)) for stream in (sys.stdout, sys.stderr))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield
    finally:
        vars(console).update(before)


def _program(name: str) -> str:
    """How a module or script is called."""
    if name.endswith(".py"):
        return f"python {name}"
    of_module = {module(command): command for command in COMMANDS}
    return f"eggseg {of_module[name]}" if name in of_module else f"python -m {name}"


def _take_config(args: list[str], settings: type) -> list[str]:
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
    renamed, kinds = getattr(settings, "renamed", {}), typing.get_type_hints(settings)
    values = {renamed.get(name, name): value for name, value in values.items()}
    for name, value in values.items():
        if value is None and name in kinds and types.NoneType not in typing.get_args(kinds[name]):
            raise InputError(f"--config {path}: {name} is null, expected a value")
    return _flags(values) + rest


def _flags(values: Mapping[str, Any]) -> list[str]:
    """A command line that stands for settings as JSON values."""
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
