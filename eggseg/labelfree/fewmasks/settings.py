"""The settings of `eggseg.labelfree.gan` and `eggseg.labelfree.adapt`, which train on photos without masks."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import tyro

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
class Adaptation:
    """Adapt a trained model to a new kitchen or camera, from photos of it without masks.

    Training goes on from the weights of a run of eggseg train, on its photos and masks, and on the new photos as in
    eggseg semisupervised. Then the model predicts two views of each new photo. If the views agree less than before, or
    fewer pixels are certain, OUTPUT_DIR gets the model of the run. The masks of the new photos are written to
    OUTPUT_DIR/pseudo. A model that is uncertain of too many pixels is not adapted at all.
    """

    photos: tyro.conf.Positional[Path]
    """A folder of new photos, or one with images/."""
    model: Path
    """The run folder of the model. For a fold of a cross-validation, the result is in OUTPUT_DIR/fold0 and so on."""
    output_dir: Path = Path("adapted")
    """Run folder of the adapted model."""
    data_dir: Path | None = None
    """The photos and masks that the run trained on, if they are no longer where the run found them."""
    minutes: float = 10.0
    """Time for training, its export and measurement included."""
    epochs: int = 0
    """Passes over the photos with masks, however long they take; 0 is as many as fit into --minutes."""
    learning_rate: float = 5e-4
    """Peak learning rate of AdamW, per step."""
    init_share: float = 0.5
    """Share of the run's weights in the adapted ones, 0 to 0.9: more is safer and gains less."""
    min_confident: float = 0.9
    """Share of the pixels of the new photos, 0 to 1, for which the model must have a probability of at least 0.9 before
    it trains on its own masks; 0 adapts any model."""
    trust: float = 0.95
    """Probability from which a pixel of a new photo is trained on with the class that the model predicts."""
    overwrite: bool = False
    """Start anew where the run folder already holds a run; --resume takes precedence."""
    resume: bool = False
    """Continue the run in the run folder after its last finished epoch; start a new one where there is none."""
    num_gpus: int = -1
    """GPUs to train on; -1 is all, 0 the processor."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_confident <= 1:
            raise InputError(f"--min_confident is {self.min_confident}, expected 0 to 1")


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
