"""`eggseg synthetic`: draw a data set of made-up kitchen scenes with exact masks.

eggseg synthetic scenes --count 200 --seed 0
"""

from __future__ import annotations

from collections.abc import Sequence

from eggseg import cli
from eggseg.kitchen.scene_folder import Settings, write


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: write(cli.parse(Settings, argv, "eggseg.synthetic")))


if __name__ == "__main__":
    raise SystemExit(main())
