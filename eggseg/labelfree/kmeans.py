"""`python -m eggseg.labelfree.kmeans`: pixels to clusters, and to masks where these have names."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from eggseg import cli
from eggseg.labelfree.clusters import settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(settings.Settings):
    """Put the pixels of photos in clusters, without labels: by colour, texture and place, or by what a network sees."""

    features: str = "pixels"
    """What is clustered: pixels; the features of an encoder that eggseg.train knows, by its name; of a run folder's
    network; or sam, of Segment Anything's encoder."""
    encoder_weights: str = "imagenet"
    """What the encoder has learned: imagenet, or a file of weights."""
    size: int = 320
    """Side of the square that a photo is seen in, pixels; sam sees most at 1024."""
    position: float = 0.5
    """Of pixels: what the place in the photo counts, where each channel of the colour counts 1."""
    texture: float = 0.5
    """Of pixels: what the texture counts."""
    components: int = 32
    """Of networks: principal components that are clustered."""
    smooth: bool = False
    """Let the clusters follow the edges of the photo, and leave out specks: a guided filter."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check("size", self.size >= 32, "at least 32 pixels")
        self.check("position", 0 <= self.position < math.inf, "at least 0")
        self.check("texture", 0 <= self.texture < math.inf, "at least 0")
        self.check("components", self.components >= 1, "at least 1")


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(cli.parse(Settings, argv, "eggseg.labelfree.kmeans")))


def run(chosen: Settings) -> int:
    # Only now: whoever asks for --help does not wait for TensorFlow.
    from eggseg.labelfree.clusters import clustering

    return clustering.run(chosen)


if __name__ == "__main__":
    raise SystemExit(main())
