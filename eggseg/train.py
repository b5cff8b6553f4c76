"""`eggseg train`: a folder of photos and masks to a trained model."""

from __future__ import annotations

from collections.abc import Sequence

from eggseg import cli, crossvalidation
from eggseg.config import Config


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(Config.from_args(argv)))


def run(config: Config) -> int:
    if config.folds:
        crossvalidation.run(config)
    else:
        # Only now: whoever asks for --help does not wait for TensorFlow.
        from eggseg import training

        training.run(config)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
