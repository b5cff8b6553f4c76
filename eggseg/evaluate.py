"""`eggseg evaluate`: measure a trained model on labelled photos."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from eggseg import callable_command, cli
from eggseg.data import findings
from eggseg.data.classes import ClassTable
from eggseg.data.findings import Audit, Finding
from eggseg.errors import InputError, printable
from eggseg.files import parsing, read_json, write_bytes, write_json
from eggseg.pictures.limits import MOST_PIXELS

if TYPE_CHECKING:
    from eggseg.evaluation.scoring import Look


@dataclasses.dataclass(frozen=True)
class Settings:
    """Measure a model on labelled photos, at each photo's original size."""

    model: Path
    """A run folder of eggseg.train, or its saved_model."""
    data_dir: Path
    """Folder with images/ and masks/, paired by name."""
    output_dir: Path | None = None
    """Folder for metrics.json, confusion.png and worst.png; the default is MODEL/evaluation."""
    split: Literal["all", "val", "train"] = "all"
    """Which photos: all of DATA_DIR, or only those that the run validated on (val) or trained on (train)."""
    audit: Audit = "refuse"
    """What to do about findings that would make the metrics wrong: refuse, or warn and continue without the files that
    cannot be used."""
    classes: Path | None = None
    """Class table of the masks in JSON, as eggseg.train takes it, if their values differ from the model's; the names
    must be the model's."""
    max_pixels: int | None = None
    """Pixels of the largest photo that is decoded; the default is the limit the model was trained with."""
    worst: int = 12
    """Number of photos on worst.png, the contact sheet of the worst."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the network: auto is bfloat16 where the processor has it, else float32."""

    def __post_init__(self) -> None:
        for name, valid, expected in (
            ("max_pixels", self.max_pixels is None or 1 <= self.max_pixels <= MOST_PIXELS, f"1 to {MOST_PIXELS}"),
            ("worst", self.worst >= 0, "at least 0"),
        ):
            if not valid:
                raise InputError(f"--{name} is {getattr(self, name)}, expected {expected}")

    @property
    def folder(self) -> Path:
        """Where metrics.json and the pictures go."""
        return self.output_dir or self.model / "evaluation"


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(cli.parse(Settings, argv, "eggseg.evaluate")))


def run(settings: Settings) -> int:
    from eggseg.data import pairs
    from eggseg.data.split import sessions
    from eggseg.evaluation import plots, scoring, tables
    from eggseg.exported import saved_model

    wanted = _wanted(settings)
    matched, missing = pairs.match(settings.data_dir)
    reported = findings.of_pairs(missing)
    if wanted is not None:
        matched = [pair for pair in matched if pair.name in wanted]
        reported += _lost_photos(wanted - {pair.name for pair in matched}, settings)
    segmenter = saved_model.load(settings.model, settings.precision, settings.max_pixels)
    classes = _classes_of_masks(settings.classes, segmenter.classes) if settings.classes else segmenter.classes
    segmenter = dataclasses.replace(segmenter, classes=classes)  # `scoring` reads masks with this table
    looks, faults = scoring.look_at_all(matched, classes, segmenter.max_pixels)
    _audit(reported + findings.of_faults(faults), looks, segmenter.classes, settings)
    if not any(sum(look.labels.class_pixels) for look in looks):
        reason = ": no pixel of any mask is a class" if looks else ""
        raise InputError(f"{settings.data_dir} holds no photo with a mask that can be used{reason}")
    names = sessions([look.photo for look in looks])
    scores = scoring.score(segmenter, [look.pair for look in looks], names)
    metrics = scores.report()
    # Write only now: if a computation fails, the files of an earlier call stay unchanged.
    pictures = {"confusion.png": plots.png(plots.confusion(scores.photos.counts.sum(0), segmenter.classes))}
    if worst := [scoring.row(scores, i) for i in scores.order()[: settings.worst]]:
        pictures["worst.png"] = plots.png(plots.comparison(worst, segmenter.classes, columns=2))
    folder = settings.folder
    write_json(folder / "metrics.json", metrics | {"model": str(settings.model), "precision": segmenter.precision})
    for name, data in pictures.items():
        write_bytes(folder / name, data)
    tables.show(metrics, segmenter.classes.names)
    low, high = metrics["miou_interval"]
    print(f"miou={metrics['miou']:.4f} (95 % interval {low:.4f} to {high:.4f}, bootstrap over photos)")
    print(f"metrics and pictures are in {folder}")
    return 0


def _wanted(settings: Settings) -> set[str] | None:
    """The names of the photos to measure, None for all; `InputError` if --split selects no photos."""
    if settings.split == "all":
        return None
    from eggseg.data.pseudo import PREFIX

    record = _run_record(settings)
    with parsing(settings.model / "config.json"):
        parts = record["split"]
        if settings.split == "train":
            names = parts.get("labelled", parts["train"])
        else:
            names = set(parts["val"]) - set(parts.get("train", ()))
        wanted = {name for name in names if not name.startswith(PREFIX)}
    if not wanted:
        reason = (
            "was trained on no photos, as with made-up scenes" if settings.split == "train" else "held out no photos"
        )
        raise InputError(f"{settings.model} {reason}: --split {settings.split} selects no photos")
    return wanted


def _lost_photos(lost: set[str], settings: Settings) -> list[Finding]:
    """The finding for photos of the run that DATA_DIR lacks, or whose masks it lacks."""
    if not lost:
        return []
    first = printable(min(lost))
    message = f"{settings.data_dir} lacks {len(lost)} of the run's photos, or their masks; the first is {first}"
    return [Finding("pairs", message, tuple(sorted(lost)), misleads=True)]


def _classes_of_masks(path: Path, models: ClassTable) -> ClassTable:
    """The class table in a file, in the model's order; `InputError` if its names differ from the model's."""
    table = ClassTable.read(path)
    if sorted(table.names) != sorted(models.names):
        found, expected = ", ".join(table.names), ", ".join(models.names)
        raise InputError(f"{path} has the classes {found}, expected those of the model: {expected}")
    values = dict(zip(table.names, table.values, strict=True))
    return ClassTable(tuple(dataclasses.replace(row, value=values[row.name]) for row in models.classes))


def _audit(reported: list[Finding], looks: Sequence[Look], classes: ClassTable, settings: Settings) -> None:
    """Report the findings; `InputError` if one would make the metrics wrong and --audit is not warn."""
    reported += findings.of_labels({look.pair.name: look.labels for look in looks}, classes)
    # Propose another class table only if the masks seem to use one: this would not help if a class is merely absent.
    reported = [finding for finding in reported if finding.misleads or finding.kind != findings.CLASS_TABLE]
    findings.settle(reported, [finding for finding in reported if finding.misleads], settings.audit)


def _run_record(settings: Settings) -> Any:
    path = settings.model / "config.json"
    if not path.is_file():
        raise InputError(f"{settings.model} is no run folder: --split {settings.split} needs its config.json")
    return read_json(path)


callable_command(__name__)

if __name__ == "__main__":
    raise SystemExit(main())
