"""`python -m eggseg.pretrained RUN --data_dir DATA`: replace the model that comes with eggseg by the model of a run.

RUN is a run folder of `eggseg train --scenes`. The scores on the photos of DATA are those of the packed
weights, which are rounded to float16.
"""

from __future__ import annotations

import dataclasses
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tyro

from eggseg import cli, files, pretrained
from eggseg.errors import InputError
from eggseg.models import packed
from eggseg.training.config import CONFIG, NETWORK, SCENES_NETWORK, Config


@dataclasses.dataclass(frozen=True)
class Settings:
    """Pack the weights of a network trained on made-up scenes alone, and measure them on real photos."""

    run: tyro.conf.Positional[Path]
    """Run folder of `eggseg train --scenes`."""
    data_dir: Path
    """Folder with images/ and masks/ of real photos."""


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: pack(cli.parse(Settings, argv, "eggseg.pretrained")))


def pack(settings: Settings) -> int:
    """Measure the packed weights, then write weights, settings and scores into this package.

    `InputError` if the run, or a run that it started from, was not trained on made-up scenes alone, or the run does not
    have the default network.
    """
    from eggseg.data import pairs
    from eggseg.data.classes import EGGS_AND_PANS
    from eggseg.evaluation import scoring
    from eggseg.exported import saved_model
    from eggseg.kitchen import scenes
    from eggseg.training import building
    from eggseg.training.callbacks import AVERAGED

    config = Config.from_args(["--config", str(settings.run / CONFIG)])
    network = (config.encoder, config.encoder_weights, config.base_filters)
    if not config.scenes or network != SCENES_NETWORK:
        raise InputError(f"{settings.run} is not a run of eggseg train --scenes with the default network")
    start = config
    while isinstance(start.init, Path):
        start = Config.from_args(["--config", str(start.init / CONFIG)])
        if not start.scenes:
            raise InputError(
                f"{settings.run} started from {start.output_dir}, which is not a run of eggseg train --scenes"
            )
    real_pairs = pairs.find(settings.data_dir)
    model = building.network(config, EGGS_AND_PANS)
    with files.parsing(settings.run / AVERAGED):
        model.load_weights(settings.run / AVERAGED)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **packed.pack(model))
    chosen = {name: getattr(config, name) for name in NETWORK}
    record = {"settings": chosen, "scenes": scenes.VERSION}
    with tempfile.TemporaryDirectory() as temporary:
        weights = Path(temporary, "weights.npz")
        weights.write_bytes(buffer.getvalue())
        pretrained.build(record, Path(temporary), weights)
        scores = scoring.score(saved_model.load(Path(temporary)), real_pairs, [""] * len(real_pairs))
    report = scores.report()
    measured = {"miou": round(report["miou"], 4), "photos": report["photos"]}
    measured |= {"iou": {name: round(value, 4) for name, value in report["pooled"]["iou"].items()}}
    files.write_bytes(pretrained.WEIGHTS, buffer.getvalue())
    files.write_json(pretrained.RECORD, record | {"measured": measured})
    print(f"{pretrained.WEIGHTS} has {pretrained.WEIGHTS.stat().st_size / 1e6:.1f} MB\nmiou={report['miou']:.4f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
