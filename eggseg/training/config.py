"""All settings of a training run: one frozen dataclass from which command line, JSON and help are derived."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, ClassVar, Literal

from eggseg import cli
from eggseg.errors import InputError
from eggseg.pictures.pillow import MAX_PIXELS, MOST_PIXELS

NETWORK = ("encoder", "encoder_weights", "image_size", "base_filters", "depth", "stem_stride")
"""Settings that say which weights a network has."""

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {"image_size": 384, "epochs": 20},
    "default": {},
    "best": {"image_size": 512, "epochs": 120, "frozen_levels": 0, "augment": 0.8, "tta": True},
}
"""Named sets of settings; the default one is what `Config` itself says."""

CONFIG, METRICS = "config.json", "metrics.json"
"""Of a run folder: how the model came to be, and how good it is."""


# Defaults that read the environment are what SageMaker's containers set.
@dataclasses.dataclass(frozen=True)
class Data(cli.Group):
    """What is learned from, and which of it is held out for validation."""

    data_dir: Path = field(default_factory=lambda: Path(os.environ.get("SM_CHANNEL_TRAINING", "data")))
    """Folder with images/ and masks/, paired by name."""
    classes: Path | None = None
    """Class table in JSON, a list of {"name": ..., "value": grey value or [r, g, b] in the masks, "color": shown in};
    without it background 0, egg 128, pan 255."""
    audit: Literal["refuse", "warn"] = "refuse"
    """What to do about findings that would spoil training: refuse, or go on without the files that cannot be used."""
    max_pixels: int = MAX_PIXELS
    """Pixels of the largest photo that is decoded, here and by the exported model."""
    tfds: str | None = None
    """Train on a data set of tensorflow-datasets instead of DATA_DIR, as NAME, NAME/CONFIG or NAME:SPLIT; each example
    has one photo and one mask."""
    scenes: int = 0
    """Train on made-up scenes instead of DATA_DIR: so many an epoch, each drawn for it and never seen again."""
    labelled_photos: int = 0
    """Learn from the masks of so many training photos alone, spread over all of them; 0 is all. An epoch has as many
    steps as with all."""
    pseudo: Path | None = None
    """A folder with images/, masks/ and confidence/ of photos whose masks a model made (eggseg predict --confidence),
    to be learned from beside those of DATA_DIR."""
    pseudo_confidence: float = 0.9
    """Confidence, 0 to 1, below which a pixel of those masks counts as unknown."""
    split: Literal["blocks", "session", "random"] = "blocks"
    """What is held out for validation: blocks of neighbouring frames, whole camera sessions, or single photos."""
    val_fraction: float = 0.2
    """Share of the photos held out, above 0, at most 0.5."""
    folds: int = 0
    """Cross-validate: deal the photos into so many folds and hold each out in turn, in OUTPUT_DIR/fold0 and so on."""
    fold: int | Literal["all", "session"] = "all"
    """Of these, the one to train now, from 0, or the run that holds out a camera session; all does what is left."""
    split_seed: int = 0
    """Seed of the split: runs that differ in --seed alone hold out the same photos."""


@dataclasses.dataclass(frozen=True)
class Network(cli.Group):
    """What is trained, and what it begins with."""

    encoder: Literal[
        "plain", "efficientnet_lite0", "mobilenet_v3", "efficientnet_v2_b0", "resnet50", "convnext_tiny"
    ] = "efficientnet_lite0"
    """The network's way down: plain is the U-Net's own, the others are known networks."""
    encoder_weights: str = "imagenet"
    """What the encoder begins with: imagenet, none, or a file of weights."""
    image_size: int = 400
    """Side of the square that the network sees, pixels."""
    base_filters: int = 32
    """Filters of the way back at the finest level, and of the plain way down; each level down has twice as many."""
    depth: int = 4
    """Number of times that the plain encoder halves the picture after its stem."""
    stem_stride: int = 2
    """Stride of the plain encoder's first convolution: 1 is the U-Net of the paper, 2 is much faster."""
    dropout: float = 0.0
    """Share of the features dropped at the bottom of the network, 0 to below 1."""
    init: Path | None = None
    """Start from the weights of an earlier run: its folder, or a .weights.h5 file."""


@dataclasses.dataclass(frozen=True)
class Training(cli.Group):
    """How it is trained."""

    profile: Literal["quick", "default", "best"] = "default"
    """Settings for about 10 or 30 minutes on two processor cores, or for hours or a GPU; other flags overrule them."""
    epochs: int = 40
    """Passes over the training photos."""
    batch_size: int = 8
    """Photos in a step, over all GPUs of all machines together."""
    learning_rate: float = 2e-3
    """Highest learning rate of AdamW, per step."""
    encoder_rate: float = 0.1
    """Learning rate of the encoder, as a share of the others'."""
    frozen_levels: int = 2
    """Levels of a pretrained encoder, from the finest, that stay as they were learned."""
    frozen_epochs: float = 2.0
    """Epochs for which all of a pretrained encoder stays as it was learned; at most a fifth of the run."""
    warmup_epochs: float = 2.0
    """Epochs over which the learning rate rises, before it falls as a cosine; at most a fifth of the run."""
    weight_decay: float = 1e-2
    """Weight decay of AdamW, per step and learning rate."""
    ema_decay: float = 0.99
    """Share of the averaged weights that each step keeps; the averages are what is measured and exported."""
    dice: float = 1.0
    """Weight of the soft Dice term beside the cross-entropy; 0 is the cross-entropy alone."""
    augment: float = 0.6
    """Strength of the augmentation: 0 is none, 1 the full range of turns, zooms, shifts and colours."""
    keep: Literal["last", "best"] = "last"
    """Which epoch is exported; the best by validation mIoU was chosen by the photos that it is then measured on."""
    patience: int = 0
    """Epochs without a better validation mIoU after which training stops; 0 goes on to the end."""
    seed: int = 0
    """Seed of the first weights, the order of the photos, their augmentation, and which of them keep their masks with
    --labelled_photos."""


@dataclasses.dataclass(frozen=True)
class Output(cli.Group):
    """Where the run goes, and what is exported."""

    output_dir: Path = field(default_factory=lambda: Path(os.environ.get("SM_OUTPUT_DATA_DIR", "run")))
    """Run folder: everything that the run makes lies here."""
    overwrite: bool = False
    """Begin anew where the run folder already holds a run (unless it is resumed)."""
    resume: bool = False
    """Go on after the last finished epoch of the run in the run folder; begin where there is none."""
    export_dir: Path | None = field(
        default_factory=lambda: Path(os.environ["SM_MODEL_DIR"]) if "SM_MODEL_DIR" in os.environ else None
    )
    """A second place for the SavedModel, as EXPORT_DIR/1."""
    tta: bool = False
    """Export a model that averages each photo and its mirror image: a little better, half as fast."""
    model_dir: str = ""
    """Ignored. SageMaker's estimator passes an S3 address here."""


@dataclasses.dataclass(frozen=True)
class Machine(cli.Group):
    """What the run computes on."""

    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Precision of the network's arithmetic in training; auto takes what the hardware is fast at."""
    cache: Literal["auto", "memory", "disk"] = "auto"
    """Where the decoded squares are kept; auto is memory where they take at most half of what is free."""
    distribution: Literal["auto", "one", "multi_worker"] = "auto"
    """Whether to train with other machines: auto joins those that TF_CONFIG names, multi_worker fails where it names no
    other, one trains alone."""
    num_gpus: int = field(default_factory=lambda: int(os.environ.get("SM_NUM_GPUS", "-1")))
    """GPUs to train on; -1 takes all there are, 0 the processor."""


@dataclasses.dataclass(frozen=True)
class Config(Machine, Output, Training, Network, Data):
    """Train a U-Net on a folder of photos and masks."""

    renamed: ClassVar[Mapping[str, str]] = {"labels": "labelled_photos"}
    """What settings in the files of earlier versions are called now."""

    def __post_init__(self) -> None:
        for name, holds, expected in (
            ("image_size", self.image_size >= 16, "at least 16 pixels"),
            ("base_filters", self.base_filters >= 1, "at least 1"),
            ("depth", 1 <= self.depth <= 8, "1 to 8"),
            ("stem_stride", 1 <= self.stem_stride <= 4, "1 to 4"),
            ("dropout", 0 <= self.dropout < 1, "0 to below 1"),
            ("val_fraction", 0 < self.val_fraction <= 0.5, "above 0, at most 0.5"),
            ("max_pixels", 1 <= self.max_pixels <= MOST_PIXELS, f"1 to {MOST_PIXELS}"),
            ("scenes", self.scenes >= 0, "at least 0"),
            ("scenes", not (self.scenes and self.tfds), "0 with --tfds"),
            ("scenes", not (self.scenes and self.classes), "0 with --classes: made-up scenes have eggs and pans"),
            ("scenes", not (self.scenes and self.folds), "0 with --folds"),
            ("labelled_photos", self.labelled_photos >= 0, "at least 0"),
            ("labelled_photos", not (self.labelled_photos and self.scenes), "0 with --scenes"),
            ("pseudo", not (self.pseudo and self.scenes), "none with --scenes"),
            ("pseudo_confidence", 0 <= self.pseudo_confidence <= 1, "0 to 1"),
            ("folds", self.folds == 0 or self.folds >= 2, "at least 2, or 0 for a single run"),
            ("fold", self.fold == "all" or self.folds > 0, "all where there are no --folds"),
            ("fold", self.fold != "session" or self.split == "blocks", "a session held out beside --split blocks only"),
            ("fold", isinstance(self.fold, str) or 0 <= self.fold < self.folds, "all, session, or 0 to --folds - 1"),
            ("split_seed", 0 <= self.split_seed < 2**31, "0 to 2147483647"),
            ("seed", 0 <= self.seed < 2**31, "0 to 2147483647"),
            ("epochs", self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("learning_rate", self.learning_rate > 0, "above 0"),
            ("weight_decay", self.weight_decay >= 0, "at least 0"),
            ("warmup_epochs", self.warmup_epochs >= 0, "at least 0"),
            ("ema_decay", 0 <= self.ema_decay < 1, "0 to below 1"),
            ("dice", self.dice >= 0, "at least 0"),
            ("encoder_rate", self.encoder_rate >= 0, "at least 0"),
            ("frozen_levels", 0 <= self.frozen_levels <= 4, "0 to 4"),
            ("frozen_epochs", self.frozen_epochs >= 0, "at least 0"),
            ("augment", 0 <= self.augment <= 2, "0 to 2"),
            ("patience", self.patience >= 0, "at least 0"),
            ("num_gpus", self.num_gpus >= -1, "-1 or more"),
        ):
            if not holds:
                raise InputError(f"--{name} is {getattr(self, name)}, expected {expected}")

    @property
    def run_dir(self) -> Path:
        """Where the run lies: a fold's in a folder of its own, `fold0` or `session`."""
        if self.fold == "all":
            return self.output_dir
        return self.output_dir / (f"fold{self.fold}" if isinstance(self.fold, int) else self.fold)

    @classmethod
    def from_args(cls, argv: Sequence[str] | None = None) -> Config:
        """Settings of a command line; `--config FILE` holds others as JSON, which the command line overrules."""
        return cli.parse(cls, argv, "eggseg.train", with_config=True, profiles=PROFILES)

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON values; a file of them is a valid `--config`."""
        return {
            name: str(value) if isinstance(value, Path) else value for name, value in dataclasses.asdict(self).items()
        }


def decisive(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a run's settings, as JSON values, that a run which goes on from it must share.

    Not those that say where files lie and what the machine does; the precision that came of them is compared apart.
    What an earlier version did not have yet was as the default is, and what it called otherwise is `Config.renamed`.
    """
    places = {"data_dir", "unlabeled_dir", "output_dir", "export_dir", "model_dir", "init", "pseudo"}
    machine = {"cache", "distribution", "num_gpus", "precision"}
    free = places | machine | {"overwrite", "resume", "profile", "fold", "audit", "tta"}
    now = {Config.renamed.get(name, name): value for name, value in settings.items()}
    return {name: value for name, value in (Config().to_json() | now).items() if name not in free}
