"""`eggseg average`: average the weights of several runs, such as the folds of a cross-validation, into one model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import tyro

from eggseg import cli


@dataclasses.dataclass(frozen=True)
class Settings:
    """Average the weights of several runs into one model, which is as fast as one of them and usually better.

    The runs need the same network and the same initial weights, as the folds of a cross-validation have by default. The
    model has seen all photos of all runs, so only other photos can measure it.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders; the folder of a cross-validation stands for all its folds."""
    output_dir: Path
    """Run folder of the model."""
    overwrite: bool = False
    """Replace the run that OUTPUT_DIR already holds."""


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(cli.parse(Settings, argv, "eggseg.average")))


def run(settings: Settings) -> int:
    # Imported here so that --help does not wait for TensorFlow.
    from eggseg.training import soup

    soup.write(settings.runs, settings.output_dir, settings.overwrite)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
