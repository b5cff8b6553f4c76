"""`python -m eggseg.evaluate`: how good a trained model is on labelled photos."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from eggseg import cli
from eggseg.errors import InputError
from eggseg.files import parsing, read_json, write_bytes, write_json

if TYPE_CHECKING:
    from eggseg.classes import ClassTable
    from eggseg.pairs import Pair


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
    """Which photos: all of DATA_DIR, or those that the run held out for validation or trained on."""
    worst: int = 12
    """Photos on the contact sheet of the worst."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the network: auto is bfloat16 where the processor has it, else float32."""


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(cli.parse(Settings, argv, "eggseg.evaluate")))


def run(settings: Settings) -> int:
    from eggseg import export, pairs, plots, scoring

    segmenter = export.load(settings.model, settings.precision)
    found = pairs.find(settings.data_dir)
    chosen = _choose(found, settings)
    names = _sessions(chosen, settings)
    scores = scoring.score(segmenter, chosen, names)
    metrics = scoring.report(scores, segmenter.classes)
    folder = settings.output_dir or settings.model / "evaluation"
    worst = [scoring.row(scores, i) for i in scores.order()[: settings.worst]]
    write_json(folder / "metrics.json", metrics | {"model": str(settings.model), "precision": segmenter.precision})
    write_bytes(folder / "confusion.png", plots.png(plots.confusion(scores.counts.sum(0), segmenter.classes)))
    write_bytes(folder / "worst.png", plots.png(plots.comparison(worst, segmenter.classes, columns=2)))
    _print(metrics, segmenter.classes)
    print(f"figures and pictures are in {folder}")
    return 0


def _choose(found: Sequence[Pair], settings: Settings) -> list[Pair]:
    if settings.split == "all":
        return list(found)
    from eggseg.pseudo import PREFIX

    record = _run_record(settings)
    with parsing(settings.model / "config.json"):
        parts = record["split"]
        names = parts.get("labelled", parts["train"]) if settings.split == "train" else parts["val"]
        wanted = {name for name in names if not name.startswith(PREFIX)}
    chosen = [pair for pair in found if pair.name in wanted]
    if len(chosen) < len(wanted):
        lost = sorted(wanted - {pair.name for pair in chosen})
        raise InputError(f"{settings.data_dir} lacks {len(lost)} of the run's photos, {lost[0]} first")
    return chosen


def _run_record(settings: Settings) -> Any:
    path = settings.model / "config.json"
    if not path.is_file():
        raise InputError(f"{settings.model} is no run folder: --split {settings.split} needs its config.json")
    return read_json(path)


def _sessions(chosen: Sequence[Pair], settings: Settings) -> list[str]:
    """The camera session of each photo, by its name and size."""
    from eggseg import pairs
    from eggseg.split import Photo, sessions

    return sessions([Photo(pair.name, pairs.size(pair.image), frozenset()) for pair in chosen])


def _print(metrics: dict[str, Any], classes: ClassTable) -> None:
    import rich
    from rich.markup import escape
    from rich.table import Table

    def shown(value: float) -> str:
        return "-" if value != value else f"{value:.4f}"

    console = rich.get_console()
    table = Table(title=f"{metrics['photos']} photos, at original size")
    rows = {
        "IoU": metrics["pooled"]["iou"],
        "Dice": metrics["pooled"]["dice"],
        "precision": metrics["pooled"]["precision"],
        "recall": metrics["pooled"]["recall"],
        "Dice, mean over photos": metrics["photo_mean"]["dice"],
        "boundary F1, mean over photos": metrics["photo_mean"]["boundary_f1"],
    }
    table.add_column("")
    for name in classes.names:
        table.add_column(escape(name), justify="right")
    intervals = metrics["photo_mean"]["dice_interval"]
    for title, values in rows.items():
        table.add_row(title, *(shown(values[name]) for name in classes.names))
        if title.startswith("Dice, mean"):
            spans = (" to ".join(f"{v:.2f}" for v in intervals[name]) for name in classes.names)
            table.add_row("  its 95 % interval, photos resampled", *spans)
    console.print(table)
    by_session = Table(title="by camera session")
    for title in ("session", "photos", "mIoU", *(f"IoU {escape(name)}" for name in classes.names)):
        by_session.add_column(title, justify="left" if title == "session" else "right")
    for session, values in metrics["sessions"].items():
        ious = (shown(values["iou"][name]) for name in classes.names)
        by_session.add_row(escape(session), str(values["photos"]), shown(values["miou"]), *ious)
    console.print(by_session)
    low, high = metrics["miou_interval"]
    print(f"miou={metrics['miou']:.4f} (95 % interval {low:.4f} to {high:.4f}, photos resampled)")


if __name__ == "__main__":
    raise SystemExit(main())
