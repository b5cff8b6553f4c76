"""`eggseg semisupervised`: train on photos with masks and photos without, then write masks for the photos without."""

from __future__ import annotations

from collections.abc import Sequence

from eggseg import cli
from eggseg.labelfree.fewmasks.settings import Settings
from eggseg.training.config import preset


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(cli.parse(Settings, argv, "eggseg.labelfree.gan", with_config=True, preset=preset)))


def run(settings: Settings) -> int:
    # Imported here so that --help does not wait for TensorFlow.
    from eggseg.labelfree.fewmasks import semisupervised

    return semisupervised.run(settings)


if __name__ == "__main__":
    raise SystemExit(main())
