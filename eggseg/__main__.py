"""Entry point of `eggseg COMMAND`; `python -m MODULE`, with the command's module, runs the same command."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import sys
from collections.abc import Iterator, Sequence

from eggseg import __version__, cli
from eggseg.cli import COMMANDS
from eggseg.errors import InputError

HELP = "\n".join(
    [
        "usage: eggseg COMMAND [OPTIONS]",
        "",
        "Semantic segmentation of eggs and frying pans in kitchen photos.",
        "",
        *(f"  {name:<14} {summary}" for name, summary in COMMANDS.items()),
        "",
        "`eggseg COMMAND --help` lists the options of a command.",
    ]
)


def main(argv: Sequence[str] | None = None) -> int:
    args = list(sys.argv[1:] if argv is None else argv)
    if args and args[0] in COMMANDS:
        return importlib.import_module(cli.module(args[0])).main(args[1:])
    return cli.run(lambda: _answer(args))


def _answer(args: Sequence[str]) -> int:
    """Print the versions or the help and return exit code 0; `InputError` for an unknown command or option."""
    if args and args[0] == "--version":
        print("\n".join(_versions()))
    elif not args or args[0] in ("-h", "--help"):
        print(HELP)
    else:
        raise InputError(f"{args[0]!r} is no command: expected one of {', '.join(COMMANDS)}")
    return 0


def _versions() -> Iterator[str]:
    """The versions of eggseg, Python and the main dependencies, one line each, for bug reports."""
    yield f"eggseg {__version__}"
    yield f"Python {platform.python_version()} on {platform.platform()}"
    for name in ("tensorflow", "keras", "numpy", "pillow"):
        yield f"{name} {importlib.metadata.version(name)}"


if __name__ == "__main__":
    raise SystemExit(main())
