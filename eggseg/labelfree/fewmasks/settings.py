"""The settings of `eggseg.labelfree.gan`: those of a training run, and how to train on photos without masks."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

from eggseg import cli
from eggseg.errors import InputError
from eggseg.training.config import Config


@dataclasses.dataclass(frozen=True)
class Unlabelled(cli.Group):
    """How to train on photos without masks."""

    unlabeled_dir: Path | None = None
    """A folder of photos without masks, or one with images/. Held in memory at --image_size, 4 bytes a pixel."""
    method: Literal["fixmatch", "gan"] = "fixmatch"
    """fixmatch: predict in a strongly augmented view what is certain in a weakly augmented one (Sohn et al. 2020);
    gan: a second network tells true masks from predicted ones, and so where to trust these (Hung et al. 2018)."""
    trust: float | None = None
    """Threshold, 0 to 1, from which the model trains on a pixel of its own masks. fixmatch: the probability of the
    class, 0.95 by default; gan: the second network's probability that the mask is true, 0.2 by default."""
    unlabeled_weight: float | None = None
    """Weight of the loss on those masks; that of true masks is 1. By default 1 with fixmatch and 0.1 with gan."""
    unlabeled_from: float = 0.2
    """Share of all steps after which photos without masks count, 0 to 1."""


@dataclasses.dataclass(frozen=True)
class Settings(Unlabelled, Config):
    """Train a U-Net on photos with masks and photos without, then write masks for those without.

    The masks of UNLABELED_DIR are written to OUTPUT_DIR/pseudo, for `eggseg.train --pseudo`. Training photos of
    DATA_DIR that --labelled_photos leaves out are used without their masks. All other settings are those of
    eggseg.train.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, holds, expected in (
            ("trust", self.trust is None or 0 <= self.trust <= 1, "0 to 1"),
            ("unlabeled_weight", self.unlabeled_weight is None or self.unlabeled_weight >= 0, "at least 0"),
            ("unlabeled_from", 0 <= self.unlabeled_from <= 1, "0 to 1"),
            ("unlabeled_dir", bool(self.unlabeled_dir or self.labelled_photos), "a folder, or some --labelled_photos"),
            ("scenes", not self.scenes, "0: made-up scenes all have masks"),
            (
                "keep",
                not self.folds or self.keep == "last",
                "last with --folds, since each fold would choose its own epoch",
            ),
            ("fold", not self.folds or self.fold != "all", "one of the --folds"),
        ):
            if not holds:
                raise InputError(f"--{name} is {getattr(self, name)}, expected {expected}")
