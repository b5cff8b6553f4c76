"""The settings of `eggseg.labelfree.kmeans` and `eggseg.labelfree.sam`."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import tyro

from eggseg.errors import InputError
from eggseg.labelfree.clusters.proposals import Search
from eggseg.pictures.limits import MAX_PIXELS, MOST_PIXELS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of both: cluster what photos show, without labels, and name the clusters."""

    data_dir: tyro.conf.Positional[Path]
    """A folder of photos, or one with images/ and masks/; its masks name and measure the clusters."""
    output_dir: Path = Path("clusters")
    """Folder for clusters/, clusters.png and the fitted clusters; once they have names, also for masks/ and images/."""
    clusters: int = 32
    """Number of clusters, 2 to 254. eggseg sam adds one for pixels outside of all objects."""
    name: tuple[str, ...] = ()
    """Names of clusters, all after one --name: `--name 3=egg 5=pan`; see clusters.png. Others are background."""
    examples: Path | None = None
    """A folder with images/ and masks/ of a few photos; their masks name the clusters."""
    classes: Path | None = None
    """Class table in JSON, as eggseg.train takes it; the default is background 0, egg 128, pan 255."""
    max_pixels: int = MAX_PIXELS
    """Largest photo or mask to decode, in pixels."""
    seed: int = 0
    """Seed of all random choices."""
    overwrite: bool = False
    """Remove results of other settings from OUTPUT_DIR, masks too. Results of the same settings are reused."""

    def __post_init__(self) -> None:
        self.check("clusters", 2 <= self.clusters <= 254, "2 to 254")
        self.check("max_pixels", 1 <= self.max_pixels <= MOST_PIXELS, f"1 to {MOST_PIXELS}")
        self.check("seed", 0 <= self.seed < 2**31, "0 to 2147483647")
        self.check("name", not (self.name and self.examples), "--name or --examples, not both")

    def check(self, name: str, holds: bool, expected: str) -> None:
        """Raise `InputError` for the setting `name` unless its condition `holds`; `expected` says what is allowed."""
        if not holds:
            raise InputError(f"--{name} is {getattr(self, name)}, expected {expected}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfPixels(Settings):
    """Cluster the pixels of photos, without labels: by colour, texture and position, or by a network's features."""

    features: str = "pixels"
    """What to cluster: `pixels`, or a network's features. The network is an encoder, by its name in eggseg.train; a run
    folder; or `sam`, Segment Anything's encoder."""
    encoder_weights: str = "imagenet"
    """Weights of the encoder: imagenet, or a file."""
    size: int = 320
    """Side of the square that photos are letterboxed to, pixels; 1024 suits sam best."""
    position: float = 0.5
    """For pixels: weight of the position in the photo; each colour channel has weight 1."""
    texture: float = 0.5
    """For pixels: weight of the texture."""
    components: int = 32
    """For features of a network: number of principal components to cluster."""
    smooth: bool = False
    """Apply a guided filter: clusters follow the edges of the photo, and specks disappear."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check("size", self.size >= 32, "at least 32 pixels")
        self.check("position", 0 <= self.position < math.inf, "at least 0")
        self.check("texture", 0 <= self.texture < math.inf, "at least 0")
        self.check("components", self.components >= 1, "at least 1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfThings(Settings):
    """Find all objects in photos with Segment Anything, without labels, and cluster objects that are alike.

    OUTPUT_DIR/cache keeps the embeddings and objects: other clusters of the same photos take a fraction of the time."""

    features: str = "efficientnet_lite0"
    """Network whose features describe an object, beside colour and shape: an encoder, by its name in eggseg.train; a
    run folder; or `sam`, Segment Anything's encoder."""
    encoder_weights: str = "imagenet"
    """Weights of that encoder: imagenet, or a file."""
    encoder: Path | None = None
    """ONNX file of Segment Anything's encoder; without --encoder and --decoder, a distilled model is fetched."""
    decoder: Path | None = None
    """ONNX file of Segment Anything's decoder, in the common export."""
    points: int = Search.points
    """Prompt points along the long side of the photo."""
    crops: int = Search.crops
    """Crops along the long side, for small objects; 0 is none, and several times as fast."""
    crop_points: int = Search.crop_points
    """Prompt points along the long side of a crop."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check("points", self.points >= 1, "at least 1")
        self.check("crops", 0 <= self.crops <= 8, "0 to 8")
        self.check("crop_points", self.crop_points >= 1, "at least 1")
        self.check("decoder", (self.encoder is None) == (self.decoder is None), "--encoder and --decoder together")
