"""`eggseg kmeans`: cluster the pixels of photos; write masks once the clusters have names."""

from __future__ import annotations

from collections.abc import Sequence

from eggseg import cli
from eggseg.labelfree.clusters.settings import OfPixels


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(cli.parse(OfPixels, argv, "eggseg.labelfree.kmeans")))


def run(settings: OfPixels) -> int:
    # Imported here so that --help does not wait for TensorFlow.
    from eggseg.labelfree.clusters import clustering

    return clustering.run(settings)


if __name__ == "__main__":
    raise SystemExit(main())
