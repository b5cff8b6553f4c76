"""`eggseg train`: train a model on a folder of photos and masks."""

from __future__ import annotations

from collections.abc import Sequence

from eggseg import callable_command, cli
from eggseg.training.config import Config


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(Config.from_args(argv)))


def run(config: Config) -> int:
    # Imported late, so that --help waits neither for NumPy nor for TensorFlow.
    if config.folds:
        from eggseg.training import cross_validation

        cross_validation.run(config)
    else:
        from eggseg.training.run import train

        train(config)
    return 0


callable_command(__name__)

if __name__ == "__main__":
    raise SystemExit(main())
