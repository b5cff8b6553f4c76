"""The settings of `eggseg.labelfree.gan`: those of a training run, and what is learned from photos without masks."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

from eggseg import cli
from eggseg.errors import InputError
from eggseg.training.config import Config


@dataclasses.dataclass(frozen=True)
class Unlabelled(cli.Group):
    """What is learned from photos without masks."""

    unlabeled_dir: Path | None = None
    """Photos without masks: a folder of them, or one with images/. Held in memory, 4 bytes a pixel of --image_size."""
    method: Literal["fixmatch", "gan"] = "fixmatch"
    """fixmatch: what is certain in a photo is to be found in other light and partly hidden (Sohn et al. 2020);
    gan: a second network learns to tell true masks from made ones, and where to trust these (Hung et al. 2018)."""
    trust: float | None = None
    """What a pixel's mask must reach to be learned from, 0 to 1: of fixmatch the probability of its class, 0.95 if not
    given; of gan the second network's verdict, 0.2 if not given."""
    unlabeled_weight: float | None = None
    """What masks that are so made count, where true ones count 1; if not given, 1 of fixmatch and 0.1 of gan."""
    unlabeled_from: float = 0.2
    """Share of the steps after which photos without masks begin to count."""


@dataclasses.dataclass(frozen=True)
class Settings(Unlabelled, Config):
    """Train a U-Net on photos with masks and photos without, then write masks for those without.

    The masks of UNLABELED_DIR lie in OUTPUT_DIR/pseudo, which `eggseg.train --pseudo` learns from. Of DATA_DIR, the
    training photos that --labelled_photos leaves out are learned from without their masks. All other settings are
    those of eggseg.train.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, holds, expected in (
            ("trust", self.trust is None or 0 <= self.trust <= 1, "0 to 1"),
            ("unlabeled_weight", self.unlabeled_weight is None or self.unlabeled_weight >= 0, "at least 0"),
            ("unlabeled_from", 0 <= self.unlabeled_from <= 1, "0 to 1"),
            ("unlabeled_dir", bool(self.unlabeled_dir or self.labelled_photos), "a folder, or some --labelled_photos"),
            ("scenes", not self.scenes, "0: made-up scenes all have masks"),
            ("keep", not self.folds or self.keep == "last", "last, with --folds: a fold would choose its own epoch"),
            ("fold", not self.folds or self.fold != "all", "one of the --folds"),
        ):
            if not holds:
                raise InputError(f"--{name} is {getattr(self, name)}, expected {expected}")
