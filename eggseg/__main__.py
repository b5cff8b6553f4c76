"""`eggseg COMMAND`, the same as `python -m eggseg.COMMAND`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from eggseg import __version__

COMMANDS = {
    "synthetic": "make up kitchen scenes with exact masks",
    "convert": "turn what labelling tools write into photos and masks, or masks into COCO",
    "audit": "find what is wrong with a folder of photos and masks",
    "train": "train a model on a folder of photos and masks",
    "predict": "write masks of photos, with a trained model",
    "serve": "serve masks over HTTP, as a SageMaker endpoint does",
    "evaluate": "measure a trained model on labelled photos",
}

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
    if not args or args[0] in ("-h", "--help"):
        print(HELP)
        return 0
    if args[0] == "--version":
        print(__version__)
        return 0
    if args[0] not in COMMANDS:
        print(f"error: {args[0]!r} is no command: expected one of {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    return importlib.import_module(f"eggseg.{args[0]}").main(args[1:])


if __name__ == "__main__":
    raise SystemExit(main())
