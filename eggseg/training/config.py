"""All settings of a training run: one frozen dataclass from which command line, JSON and help are derived."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, ClassVar, Literal

from eggseg import cli
from eggseg.errors import InputError
from eggseg.pictures.limits import MAX_PIXELS, MOST_PIXELS

NETWORK = ("encoder", "encoder_weights", "image_size", "base_filters", "depth", "stem_stride")
"""Settings that determine which weights a network has."""

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {"image_size": 384, "minutes": 10.0},
    "default": {},
    "best": {"image_size": 512, "epochs": 120, "frozen_levels": 0, "augment": 0.8, "tta": True},
}
"""Presets of settings; `default` changes nothing in `Config`."""

SCENES_NETWORK = ("efficientnet_lite0", "imagenet", 32)
"""`encoder`, `encoder_weights` and `base_filters` of the model that comes with eggseg."""

MOST_MINUTES = 10_000
"""Largest --minutes, a week."""

CONFIG, METRICS, HISTORY = "config.json", "metrics.json", "history.csv"
"""Files of a run folder: how the model was trained, and how good it is."""


# Some defaults read environment variables that SageMaker's containers set.
@dataclasses.dataclass(frozen=True)
class Data(cli.Group):
    """The photos and masks of the run, and the validation split."""

    data_dir: Path = field(default_factory=lambda: Path(os.environ.get("SM_CHANNEL_TRAINING", "data")))
    """Folder with images/ and masks/, paired by name."""
    classes: Path | None = None
    """Class table: a JSON list of {"name": ..., "value": grey value or [r, g, b] in the masks, "color": display
    colour}; the default is background 0, egg 128, pan 255."""
    audit: Literal["refuse", "warn"] = "refuse"
    """On findings that would spoil training: refuse stops with an error, warn prints them and skips unusable files."""
    max_pixels: int = MAX_PIXELS
    """Largest photo that training and the exported model decode, in pixels."""
    tfds: str | None = None
    """Train on a data set of tensorflow-datasets instead of DATA_DIR: NAME, NAME/CONFIG or NAME:SPLIT; each example
    must have one photo and one mask."""
    scenes: int = 0
    """Train on made-up scenes instead of DATA_DIR: the number of scenes per epoch, all new in each epoch."""
    scene_share: Literal["auto"] | float = "auto"
    """Share of each batch that is made-up scenes instead of photos of DATA_DIR, all new in each epoch: 0 to 0.9. They
    show kitchens, pans and eggs that the photos lack. auto is 0.5 for runs that start from scenes, without --classes
    and --scenes, else 0."""
    labelled_photos: int = 0
    """Use the masks of only this many training photos, spread over all of them; 0 uses all. An epoch keeps its number
    of steps."""
    pseudo: Path | None = None
    """Also train on the photos and model-made masks of this folder, which eggseg predict --confidence wrote; it has
    images/, masks/ and confidence/."""
    pseudo_confidence: float = 0.9
    """Pixels of the --pseudo masks with a confidence below this, 0 to 1, count as unknown."""
    split: Literal["blocks", "session", "random"] = "blocks"
    """What to hold out for validation: blocks of neighbouring frames, whole camera sessions (session), or single photos
    (random)."""
    val_fraction: float = 0.2
    """Share of the photos to hold out, 0 to 0.5. 0 trains on all photos, for the final model: no photo is left to
    measure it, or to calibrate its probabilities, so measure the same settings with --folds first."""
    folds: int = 0
    """Cross-validate: split the photos into this many folds and hold out each in turn, in OUTPUT_DIR/fold0 and so
    on."""
    fold: int | Literal["all", "session"] = "all"
    """With --folds, the fold to train now, from 0, or session, the run that holds out a camera session; all trains
    those not done yet."""
    split_seed: int = 0
    """Seed of the split: runs that differ only in --seed hold out the same photos."""


@dataclasses.dataclass(frozen=True)
class Network(cli.Group):
    """The network and its initial weights."""

    encoder: Literal[
        "plain", "efficientnet_lite0", "mobilenet_v3", "efficientnet_v2_b0", "resnet50", "convnext_tiny"
    ] = "efficientnet_lite0"
    """Encoder of the U-Net: plain is the U-Net's own, the others are known backbones."""
    encoder_weights: str = "imagenet"
    """Initial weights of the encoder: imagenet, none, or a weights file."""
    image_size: int = 400
    """Side of the letterboxed square that the network sees, in pixels."""
    base_filters: int = 32
    """Filters of the decoder, and of the plain encoder, at the finest level; each coarser level has twice as many."""
    depth: int = 4
    """How many times the plain encoder halves the picture after its stem."""
    stem_stride: int = 2
    """Stride of the plain encoder's first convolution: 1 as in the U-Net paper, 2 is much faster."""
    dropout: float = 0.0
    """Dropout rate of the coarsest features, 0 to below 1."""
    init: Literal["auto", "scenes", "none"] | Path = "auto"
    """Initial weights of the whole network: those of an earlier run, by its folder or a .weights.h5 file; scenes is the
    model that comes with eggseg, which was trained on made-up scenes; none leaves only the encoder's. auto is scenes
    for the default network without --classes and --scenes, else none."""


@dataclasses.dataclass(frozen=True)
class Training(cli.Group):
    """Schedule, optimizer, loss and augmentation."""

    profile: Literal["quick", "default", "best"] = "default"
    """Preset of settings, which other flags override: quick takes 10 minutes, default 30, and best hours or a GPU."""
    minutes: float = 30.0
    """Time for the run, its export and measurement included: the run measures its own steps first, and plans as many
    epochs as fit. Where fewer than 15 would fit, it trains on smaller squares, unless --init names a run. With --folds,
    the time of each run."""
    epochs: int = 0
    """Passes over the training photos, however long they take; 0 is as many as fit into --minutes."""
    batch_size: int = 8
    """Photos and made-up scenes per step, over all GPUs of all machines together."""
    learning_rate: float = 2e-3
    """Peak learning rate of AdamW, per step."""
    encoder_rate: float = 0.1
    """Learning rate of a pretrained encoder, as a share of --learning_rate."""
    frozen_levels: int = 2
    """Backbone levels of a pretrained encoder, from the finest, that stay frozen for the whole run."""
    frozen_epochs: float = 2.0
    """Epochs for which a pretrained encoder is frozen as a whole; at most a fifth of the run."""
    warmup_epochs: float = 2.0
    """Epochs of linear warm-up of the learning rate, before its cosine decay; at most a fifth of the run."""
    weight_decay: float = 1e-2
    """Weight decay of AdamW; each step multiplies it by the learning rate."""
    ema_decay: float = 0.99
    """Decay per step of the moving average of the weights; the averaged weights are measured and exported."""
    init_share: float = 0.0
    """Share of the initial weights in the averaged weights, 0 to 0.9: the model keeps more of what these knew of other
    kitchens, and fits the photos less (WiSE-FT, Wortsman et al. 2022)."""
    dice: float = 1.0
    """Weight of the soft Dice loss, which is added to the cross-entropy; 0 is cross-entropy alone."""
    augment: float = 0.6
    """Strength of the augmentation: 0 is none, 1 the full range of rotations, zooms, shifts and colours."""
    keep: Literal["last", "best"] = "last"
    """Epoch to export: the last, or the best by validation mIoU. The photos that choose the best also measure it."""
    patience: int = 0
    """Stop after this many epochs without a better validation mIoU; 0 never stops early."""
    seed: int = 0
    """Seed of the initial weights, the photo order, the augmentation, and the choice of --labelled_photos."""


@dataclasses.dataclass(frozen=True)
class Output(cli.Group):
    """The run folder and the export."""

    output_dir: Path = field(default_factory=lambda: Path(os.environ.get("SM_OUTPUT_DATA_DIR", "run")))
    """Run folder: all files of the run go here."""
    overwrite: bool = False
    """Start anew where the run folder already holds a run; --resume takes precedence."""
    resume: bool = False
    """Continue the run in the run folder after its last finished epoch; start a new one where there is none."""
    export_dir: Path | None = field(
        default_factory=lambda: Path(os.environ["SM_MODEL_DIR"]) if "SM_MODEL_DIR" in os.environ else None
    )
    """A second place for the SavedModel, as EXPORT_DIR/1."""
    tta: bool = False
    """Export a model with test-time augmentation, which averages each photo and its mirror image: a little better, half
    as fast."""
    model_dir: str = ""
    """Ignored. SageMaker's estimator passes an S3 address here."""


@dataclasses.dataclass(frozen=True)
class Machine(cli.Group):
    """Devices, machines, precision and cache."""

    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Arithmetic of the network in training; auto picks what the hardware is fast at."""
    cache: Literal["auto", "memory", "disk"] = "auto"
    """Where to keep the decoded squares; auto is memory where they take at most half of what is free, else disk."""
    distribution: Literal["auto", "one", "multi_worker"] = "auto"
    """Training on several machines: auto joins the workers that TF_CONFIG names, multi_worker fails where it names no
    other, one trains alone."""
    num_gpus: int = field(default_factory=lambda: int(os.environ.get("SM_NUM_GPUS", "-1")))
    """GPUs to train on; -1 is all, 0 the processor."""


@dataclasses.dataclass(frozen=True)
class Config(Machine, Output, Training, Network, Data):
    """Train a U-Net on a folder of photos and masks."""

    renamed: ClassVar[Mapping[str, str]] = {"labels": "labelled_photos"}
    """Old names of settings in config files, and their new names."""

    null: ClassVar[Mapping[str, str]] = {"init": "none"}
    """What null stands for in config files of earlier versions."""

    def __post_init__(self) -> None:
        for name, holds, expected in (
            ("image_size", self.image_size >= 16, "at least 16 pixels"),
            ("base_filters", self.base_filters >= 1, "at least 1"),
            ("depth", 1 <= self.depth <= 8, "1 to 8"),
            ("stem_stride", 1 <= self.stem_stride <= 4, "1 to 4"),
            ("dropout", 0 <= self.dropout < 1, "0 to below 1"),
            ("val_fraction", 0 <= self.val_fraction <= 0.5, "0 to 0.5"),
            ("val_fraction", self.val_fraction or not self.folds, "above 0 with --folds"),
            ("labelled_photos", self.val_fraction or not self.labelled_photos, "0 with --val_fraction 0"),
            ("keep", self.val_fraction or self.keep == "last", "last with --val_fraction 0"),
            ("patience", self.val_fraction or not self.patience, "0 with --val_fraction 0"),
            ("max_pixels", 1 <= self.max_pixels <= MOST_PIXELS, f"1 to {MOST_PIXELS}"),
            ("scenes", self.scenes >= 0, "at least 0"),
            ("scenes", not (self.scenes and self.tfds), "0 with --tfds"),
            ("scenes", not (self.scenes and self.classes), "0 with --classes: made-up scenes have eggs and pans"),
            ("scenes", not (self.scenes and self.folds), "0 with --folds"),
            ("scene_share", 0 <= self.share_of_scenes <= 0.9, "auto, or 0 to 0.9"),
            (
                "scene_share",
                not (self.share_of_scenes and self.scenes),
                "0 with --scenes, which trains on nothing else",
            ),
            (
                "scene_share",
                not (self.share_of_scenes and self.classes),
                "0 with --classes: made-up scenes have eggs and pans",
            ),
            ("init_share", 0 <= self.init_share <= 0.9, "0 to 0.9"),
            (
                "init_share",
                not self.init_share or starts_whole(vars(self)),
                "0 unless --init loads a whole network",
            ),
            ("labelled_photos", self.labelled_photos >= 0, "at least 0"),
            ("labelled_photos", not (self.labelled_photos and self.scenes), "0 with --scenes"),
            ("pseudo", not (self.pseudo and self.scenes), "none with --scenes"),
            ("pseudo_confidence", 0 <= self.pseudo_confidence <= 1, "0 to 1"),
            ("folds", self.folds == 0 or self.folds >= 2, "at least 2, or 0 for a single run"),
            ("fold", self.fold == "all" or self.folds > 0, "all without --folds"),
            ("fold", self.fold != "session" or self.split == "blocks", "all or a number: session needs --split blocks"),
            ("fold", isinstance(self.fold, str) or 0 <= self.fold < self.folds, "all, session, or 0 to --folds - 1"),
            ("split_seed", 0 <= self.split_seed < 2**31, "0 to 2147483647"),
            ("seed", 0 <= self.seed < 2**31, "0 to 2147483647"),
            ("minutes", self.epochs or 0 < self.minutes <= MOST_MINUTES, f"above 0, at most {MOST_MINUTES}"),
            ("epochs", self.epochs >= 0, "at least 1, or 0 for as many as fit into --minutes"),
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
    def starts_from_scenes(self) -> bool:
        """Whether the initial weights are those of the model that comes with eggseg."""
        return _starts_from_scenes(vars(self))

    @property
    def share_of_scenes(self) -> float:
        """`scene_share` as a number."""
        return _share_of_scenes(vars(self))

    @property
    def run_dir(self) -> Path:
        """Run folder: `output_dir`, or `fold0` or `session` in it for a single run of a cross-validation."""
        if self.fold == "all":
            return self.output_dir
        return self.output_dir / (f"fold{self.fold}" if isinstance(self.fold, int) else self.fold)

    @classmethod
    def from_args(cls, argv: Sequence[str] | None = None) -> Config:
        """Parse a command line; `--config FILE` reads settings from JSON, which the command line overrides."""
        return cli.parse(cls, argv, "eggseg.train", with_config=True, preset=preset)

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON values, in the format of a `--config` file."""
        return {
            name: str(value) if isinstance(value, Path) else value for name, value in dataclasses.asdict(self).items()
        }


def _starts_from_scenes(settings: Mapping[str, Any]) -> bool:
    """`Config.starts_from_scenes` of settings by name."""
    if settings["init"] != "auto":
        return settings["init"] == "scenes"
    network = tuple(settings[name] for name in ("encoder", "encoder_weights", "base_filters"))
    return network == SCENES_NETWORK and not (settings["classes"] or settings["scenes"])


def starts_whole(settings: Mapping[str, Any]) -> bool:
    """Whether --init gives the initial weights of the whole network; `settings` by name, as values or JSON values."""
    return _starts_from_scenes(settings) or str(settings["init"]) not in ("auto", "scenes", "none")


def _share_of_scenes(settings: Mapping[str, Any]) -> float:
    """`Config.share_of_scenes` of settings by name."""
    if settings["scene_share"] != "auto":
        return settings["scene_share"]
    return 0.5 if _starts_from_scenes(settings) and not (settings["classes"] or settings["scenes"]) else 0.0


def preset(profile: str, given: Collection[str]) -> dict[str, Any]:
    """The settings of a profile, empty for an unknown one; `minutes`, where `given`, take the place of its epochs."""
    settings = PROFILES.get(profile, {})
    return {name: value for name, value in settings.items() if not (name == "epochs" and "minutes" in given)}


def asked(record: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as given, before the time budget set some, from the content of a config.json."""
    return record["settings"] | record.get("asked", {})


def decisive(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a resumed run must share with the run that it continues, as JSON values.

    Settings of file locations and of the machine may differ; the resulting precision is compared separately. Settings
    that an earlier version did not have get the value that it acted by, and `Config.renamed` translates old names.
    """
    places = {"data_dir", "unlabeled_dir", "output_dir", "export_dir", "model_dir", "init", "pseudo"}
    machine = {"cache", "distribution", "num_gpus", "precision"}
    free = places | machine | {"overwrite", "resume", "profile", "fold", "audit", "tta"}
    translated = {Config.renamed.get(name, name): value for name, value in settings.items()}
    known = Config().to_json() | {"init": "none", "scene_share": 0.0} | translated
    known |= {"scene_share": _share_of_scenes(known), "starts_from_scenes": _starts_from_scenes(known)}
    if known["epochs"]:
        free.add("minutes")
    return {name: value for name, value in known.items() if name not in free}
