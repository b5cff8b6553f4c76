"""What the ways to clusters have in common."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import tyro

from eggseg.errors import InputError


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
