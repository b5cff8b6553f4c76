"""`eggseg adapt`: adapt a trained model to a new kitchen or camera, from photos without masks."""

from __future__ import annotations

from collections.abc import Sequence

from eggseg import cli
from eggseg.labelfree.fewmasks.settings import Adaptation


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(cli.parse(Adaptation, argv, "eggseg.labelfree.adapt")))


def run(settings: Adaptation) -> int:
    # Imported here so that --help does not wait for TensorFlow.
    from eggseg.labelfree.fewmasks import adaptation

    return adaptation.run(settings)


if __name__ == "__main__":
    raise SystemExit(main())
