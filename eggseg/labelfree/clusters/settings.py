"""The settings of `eggseg.labelfree.kmeans` and `eggseg.labelfree.sam`, and what these have in common."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import tyro

from eggseg.errors import InputError
from eggseg.labelfree.clusters.proposals import Search


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Put what is in photos in clusters, without labels, and name these."""

    data_dir: tyro.conf.Positional[Path]
    """A folder of photos; or one with images/ and masks/, whose masks then name the clusters and measure them."""
    output_dir: Path = Path("clusters")
    """Folder for clusters/, clusters.png and the fitted clusters; with names also for masks/, and images/ to them."""
    clusters: int = 32
    """Number of clusters, 2 to 254; of things, what is in none is one more."""
    name: tuple[str, ...] = ()
    """Names of clusters, all after one --name: `--name 3=egg 5=pan`; see clusters.png. The others are background."""
    examples: Path | None = None
    """A folder with images/ and masks/ of a few photos, which name the clusters."""
    classes: Path | None = None
    """Class table in JSON, as eggseg.train takes it; without it background 0, egg 128, pan 255."""
    seed: int = 0
    """Seed of all that is drawn at random."""
    overwrite: bool = False
    """Forget what OUTPUT_DIR holds of other settings, masks too; without it, what is there is taken up."""

    def __post_init__(self) -> None:
        self.check("clusters", 2 <= self.clusters <= 254, "2 to 254")
        self.check("seed", self.seed >= 0, "at least 0")
        self.check("name", not (self.name and self.examples), "--name or --examples, not both")

    def check(self, name: str, holds: bool, expected: str) -> None:
        """`InputError` where a setting is not what was expected."""
        if not holds:
            raise InputError(f"--{name} is {getattr(self, name)}, expected {expected}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfPixels(Settings):
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfThings(Settings):
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
