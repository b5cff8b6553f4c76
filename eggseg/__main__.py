"""`eggseg COMMAND`, the same as `python -m eggseg.COMMAND`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from eggseg import __version__, cli
from eggseg.cli import COMMANDS
from eggseg.errors import InputError

HELP = "\n".join(
    [
        "usage: eggseg COMMAND [OPTIONS]",
        "",
        "Semantic segmentation of eggs and frying pans in kitchen photos.",
        "",
        *(f"  {name:<10} {what}" for name, what in COMMANDS.items()),
        "",
        "`eggseg COMMAND --help` tells what each takes.",
    ]
)


def main(argv: Sequence[str] | None = None) -> int:
    args = list(sys.argv[1:] if argv is None else argv)
    if args and args[0] in COMMANDS:
        return importlib.import_module(f"eggseg.{args[0]}").main(args[1:])
    return cli.run(lambda: _answer(args))


def _answer(args: Sequence[str]) -> int:
    """What there is to say without a command."""
    if args and args[0] == "--version":
        print(__version__)
    elif not args or args[0] in ("-h", "--help"):
        print(HELP)
    else:
        raise InputError(f"{args[0]!r} is no command: expected one of {', '.join(COMMANDS)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
