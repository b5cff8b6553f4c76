"""`python -m eggseg.labelfree.sam`: everything that Segment Anything finds, in clusters, and masks by their names."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from eggseg import cli
from eggseg.labelfree.clusters import settings
from eggseg.labelfree.clusters.proposals import Search


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(settings.Settings):
    """Find everything in photos with Segment Anything, without labels, and put what is alike in clusters.

    What it saw and found is kept in OUTPUT_DIR/cache: other clusters of the same photos take a fraction of the time."""

    features: str = "efficientnet_lite0"
    """What a network sees in a thing, beside its colour and shape: the features of an encoder that eggseg.train knows,
    by its name; of a run folder's network; or sam, of Segment Anything's own."""
    encoder_weights: str = "imagenet"
    """What that encoder has learned: imagenet, or a file of weights."""
    encoder: Path | None = None
    """Another Segment Anything than the one that is fetched: its encoder, ONNX."""
    decoder: Path | None = None
    """Its decoder, ONNX, in the common export."""
    points: int = Search.points
    """Points along the long side of the photo at which it is asked."""
    crops: int = Search.crops
    """Crops along the long side, in which it looks for small things; 0 is none, and several times as fast."""
    crop_points: int = Search.crop_points
    """Points along the long side of a crop."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check("points", self.points >= 1, "at least 1")
        self.check("crops", 0 <= self.crops <= 8, "0 to 8")
        self.check("crop_points", self.crop_points >= 1, "at least 1")
        self.check("decoder", (self.encoder is None) == (self.decoder is None), "--encoder and --decoder together")


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(cli.parse(Settings, argv, "eggseg.labelfree.sam")))


def run(chosen: Settings) -> int:
    # Only now: whoever asks for --help does not wait for ONNX Runtime.
    from eggseg.labelfree.clusters import things

    return things.run(chosen)


if __name__ == "__main__":
    raise SystemExit(main())
