"""`eggseg sam`: cluster the objects that Segment Anything finds; write masks once the clusters have names."""

from __future__ import annotations

from collections.abc import Sequence

from eggseg import cli
from eggseg.labelfree.clusters.settings import OfThings


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(cli.parse(OfThings, argv, "eggseg.labelfree.sam")))


def run(settings: OfThings) -> int:
    # Imported here so that --help does not wait for TensorFlow.
    from eggseg.labelfree.clusters import things

    return things.run(settings)


if __name__ == "__main__":
    raise SystemExit(main())
