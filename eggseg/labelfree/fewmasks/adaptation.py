"""Adapt a trained model to photos of a new kitchen or camera that have no masks."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from pathlib import Path

from eggseg import cli
from eggseg.devices import hardware
from eggseg.errors import InputError
from eggseg.exported import saved_model
from eggseg.files import parsing, read_json, write_bytes, write_json
from eggseg.labelfree.clusters import naming
from eggseg.labelfree.fewmasks import consistency, semisupervised
from eggseg.labelfree.fewmasks.settings import Adaptation, Settings
from eggseg.training.callbacks import AVERAGED, CHECKPOINT, RAW
from eggseg.training.config import CONFIG, HISTORY, METRICS

RECORD = "adaptation.json"
"""File of the run folder: the signs of both models, and which one was kept."""


def run(adaptation: Adaptation) -> int:
    """Adapt the model, write masks for the photos, and return the exit code.

    The adapted model is kept if no sign of `consistency` is worse than before; otherwise the run folder gets the files
    of the run that it started from. `InputError` if the run, a photo or a setting cannot be used, or if the model is
    uncertain of too many pixels.
    """
    photos = naming.photos(adaptation.photos, adaptation.output_dir)
    settings = training_settings(adaptation)
    if settings.run_dir.resolve() == adaptation.model.resolve():
        raise InputError(f"--output_dir {adaptation.output_dir} is the run of --model: expected another folder")
    hardware.use(adaptation.num_gpus)  # before the first operation: later, GPUs cannot be left out
    before = consistency.signs(saved_model.load(adaptation.model), [*photos.values()])
    if before.confident < adaptation.min_confident:
        raise InputError(
            f"--model {adaptation.model} is confident of {before.confident:.1%} of the pixels in {adaptation.photos}, "
            f"expected at least {adaptation.min_confident:.1%} (--min_confident): it would teach itself errors; draw "
            "masks for a few of these photos, and train again"
        )
    semisupervised.learn(settings, photos)
    after = consistency.signs(saved_model.load(settings.run_dir), [*photos.values()])
    adapted = after.no_worse_than(before)
    if not adapted:
        _keep_old(adaptation.model, settings.run_dir)
    record = {"model": str(adaptation.model), "adapted": adapted}
    signs = {"before": dataclasses.asdict(before), "after": dataclasses.asdict(after)}
    write_json(settings.run_dir / RECORD, record | signs)
    for sign, text in (
        ("agreement", "agreement of two views, mIoU"),
        ("confident", "share of confident pixels"),
        ("objects", "kinds of objects found in a photo, mean"),
    ):
        print(f"{text}: {getattr(before, sign):.4f} before, {getattr(after, sign):.4f} after")
    kept = "the adapted model is kept" if adapted else "the adapted model is worse by these signs: the old one is kept"
    print(f"{kept}, in {settings.run_dir}")
    trained_on, held_out = (_split(run)[part] for run, part in ((adaptation.model, "train"), (settings.run_dir, "val")))
    if adapted and (seen := set(trained_on) & set(held_out)):
        print(f"metrics.json is too good: {adaptation.model} was trained on {len(seen)} of the validation photos")
    return semisupervised.write_masks(settings, photos)


def training_settings(adaptation: Adaptation) -> Settings:
    """The settings of training: those of the run, except for what `adaptation` sets."""
    run = adaptation.model
    record = read_json(run / CONFIG)
    if not isinstance(record, dict) or "settings" not in record:
        raise InputError(f"--model {run} is no run folder of eggseg train: its {CONFIG} has no settings")
    with parsing(run / CONFIG):
        scenes, data_dir, size = (record["settings"][name] for name in ("scenes", "data_dir", "image_size"))
    if scenes:
        raise InputError(f"--model {run} was trained on made-up scenes alone: expected a run on photos with masks")
    given = {
        "data_dir": adaptation.data_dir or data_dir,
        "unlabeled_dir": adaptation.photos,
        "output_dir": adaptation.output_dir,
        "init": run,
        "image_size": size,
        "method": "fixmatch",
        "scene_share": 0.0,
        "unlabeled_from": 0.0,
        "export_dir": None,
    }
    same = ("minutes", "epochs", "learning_rate", "init_share", "trust", "overwrite", "resume", "num_gpus")
    given |= {name: getattr(adaptation, name) for name in same}
    flags = [f"--{name}={value}" for name, value in given.items()]
    return cli.parse(Settings, ["--config", str(run / CONFIG), *flags], "eggseg.labelfree.adapt", with_config=True)


def _split(run: Path) -> dict[str, list[str]]:
    """The names of the photos that a run trained on, `train`, and held out, `val`."""
    record = read_json(run / CONFIG)
    with parsing(run / CONFIG):
        return {part: record["split"][part] for part in ("train", "val")}


def _keep_old(run: Path, folder: Path) -> None:
    """Replace the files of a run in `folder` by those of `run`; its checkpoint is deleted, so it cannot be resumed."""
    exported = folder / "saved_model" / "1"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as temporary:
        new, old = Path(temporary, "new"), Path(temporary, "old")
        shutil.copytree(saved_model.find(run), new)
        exported.rename(old)
        new.rename(exported)
    (folder / CHECKPOINT).unlink()
    for name in (CONFIG, METRICS, HISTORY, AVERAGED, RAW, "samples.png", "curves.png"):
        if (run / name).exists():
            write_bytes(folder / name, (run / name).read_bytes())
        else:
            (folder / name).unlink(missing_ok=True)
