"""`python -m eggseg.labelfree.kmeans`: pixels to clusters, and to masks where these have names."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import tyro

from eggseg import cli
from eggseg.errors import InputError


@dataclasses.dataclass(frozen=True)
class Settings:
    """Put the pixels of photos in clusters, without labels: by colour, texture and place, or by what a network sees."""

    data_dir: tyro.conf.Positional[Path]
    """A folder of photos; or one with images/ and masks/, whose masks then name the clusters and measure them."""
    output_dir: Path = Path("clusters")
    """Folder for clusters/, masks/, clusters.png and the fitted clusters."""
    features: str = "pixels"
    """What is clustered: pixels; the features of an encoder that eggseg.train knows, by its name; or of a run folder's
    network."""
    encoder_weights: str = "imagenet"
    """What the encoder has learned: imagenet, or a file of weights."""
    clusters: int = 12
    """Number of clusters, 2 to 255."""
    size: int = 320
    """Side of the square that a photo is seen in, pixels."""
    position: float = 0.5
    """Of pixels: what the place in the photo counts, where each channel of the colour counts 1."""
    texture: float = 0.5
    """Of pixels: what the texture counts."""
    components: int = 32
    """Of networks: principal components that are clustered."""
    smooth: bool = False
    """Let the clusters follow the edges of the photo, and leave out specks: a guided filter."""
    name: tuple[str, ...] = ()
    """Names of clusters: `--name 3=egg 5=pan`; see clusters.png. The others are background."""
    examples: Path | None = None
    """A folder with images/ and masks/ of a few photos, which name the clusters."""
    classes: Path | None = None
    """Class table in JSON, as eggseg.train takes it; without it background 0, egg 128, pan 255."""
    seed: int = 0
    """Seed of the sample and of k-means."""
    overwrite: bool = False
    """Begin anew where OUTPUT_DIR holds clusters of other settings; without it, what is there is taken up."""

    def __post_init__(self) -> None:
        for name, holds, expected in (
            ("clusters", 2 <= self.clusters <= 255, "2 to 255"),
            ("size", self.size >= 32, "at least 32 pixels"),
            ("components", self.components >= 1, "at least 1"),
            ("name", not (self.name and self.examples), "--name or --examples, not both"),
        ):
            if not holds:
                raise InputError(f"--{name} is {getattr(self, name)}, expected {expected}")


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(cli.parse(Settings, argv, "eggseg.labelfree.kmeans")))


def run(settings: Settings) -> int:
    # Only now: whoever asks for --help does not wait for TensorFlow.
    from eggseg.labelfree import clustering

    return clustering.run(settings)


if __name__ == "__main__":
    raise SystemExit(main())
