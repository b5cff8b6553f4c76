"""`eggseg COMMAND`, the same as `python -m` with the command's module."""

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
        *(f"  {name:<14} {what}" for name, what in COMMANDS.items()),
        "",
        "`eggseg COMMAND --help` tells what each takes.",
    ]
)


def main(argv: Sequence[str] | None = None) -> int:
    args = list(sys.argv[1:] if argv is None else argv)
    if args and args[0] in COMMANDS:
        return importlib.import_module(cli.module(args[0])).main(args[1:])
    return cli.run(lambda: _answer(args))


def _answer(args: Sequence[str]) -> int:
    """What there is to say without a command."""
    if args and args[0] == "--version":
        print("\n".join(_versions()))
    elif not args or args[0] in ("-h", "--help"):
        print(HELP)
    else:
        raise InputError(f"{args[0]!r} is no command: expected one of {', '.join(COMMANDS)}")
    return 0


def _versions() -> Iterator[str]:
    """The version of eggseg, and those of what it runs on: a line each, for a report of a fault."""
    yield f"eggseg {__version__}"
    yield f"Python {platform.python_version()} on {platform.platform()}"
    for name in ("tensorflow", "keras", "numpy", "pillow"):
        yield f"{name} {importlib.metadata.version(name)}"


if __name__ == "__main__":
    raise SystemExit(main())
