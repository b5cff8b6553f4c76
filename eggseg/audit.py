"""`eggseg audit`: find faults in a folder of photos and masks, before hours of training."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rich
import tyro
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from eggseg import callable_command, cli
from eggseg.data import findings, pairs
from eggseg.data.classes import EGGS_AND_PANS, ClassTable
from eggseg.data.findings import Finding
from eggseg.data.split import Method, Photo, sessions, split
from eggseg.errors import InputError
from eggseg.files import write_bytes, write_json
from eggseg.pictures.limits import MAX_PIXELS, MOST_PIXELS

if TYPE_CHECKING:
    from eggseg.auditing.inspection import Look


@dataclasses.dataclass(frozen=True)
class Settings:
    """Check every photo and mask of a folder and report faults: on the screen, in audit.json, and with pictures in
    audit.html. The exit code is 0, or 1 if a fault would spoil training, or 2 if nothing could be checked."""

    data_dir: tyro.conf.Positional[Path]
    """Folder with images/ and masks/, paired by name."""
    output_dir: Path = Path("audit")
    """Folder for audit.json and audit.html."""
    classes: Path | None = None
    """Class table in JSON, as eggseg.train takes it; the default is background 0, egg 128, pan 255."""
    model: Path | None = None
    """A run folder of eggseg.train, or of its --folds: also report where model and label disagree most. With --folds,
    each photo is compared with the model that did not train on it."""
    worst: int = 24
    """How many of the photos with the largest disagreement to show."""
    split: Method = "blocks"
    """The validation split of eggseg.train that is checked for copies of a photo on both sides."""
    val_fraction: float = 0.2
    """Share of the photos that the split holds out."""
    split_seed: int = 0
    """Seed of the split."""
    max_pixels: int = MAX_PIXELS
    """Pixels of the largest photo that is decoded."""

    def __post_init__(self) -> None:
        for name, valid, expected in (
            ("worst", self.worst >= 0, "at least 0"),
            ("val_fraction", 0 < self.val_fraction <= 0.5, "above 0, at most 0.5"),
            ("split_seed", 0 <= self.split_seed < 2**31, "0 to 2147483647"),
            ("max_pixels", 1 <= self.max_pixels <= MOST_PIXELS, f"1 to {MOST_PIXELS}"),
        ):
            if not valid:
                raise InputError(f"--{name} is {getattr(self, name)}, expected {expected}")


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(cli.parse(Settings, argv, "eggseg.audit")))


def run(settings: Settings) -> int:
    """Check the data set and write the reports; return 0, or 1 if a finding spoils training."""
    # Imported late, so that --help does not wait for TensorFlow.
    from eggseg.auditing import inspection, page, similar

    classes = ClassTable.read(settings.classes) if settings.classes else EGGS_AND_PANS
    if settings.model:
        from eggseg.auditing import disagreement

        disagreement.check(settings.model, classes)
    matched, missing = pairs.match(settings.data_dir)
    results = list(track(inspection.look_at_all(matched, classes, settings.max_pixels), "checking", len(matched)))
    looks = [look for look in results if isinstance(look, inspection.Look)]
    faults = [line for error in results if isinstance(error, InputError) for line in str(error).splitlines()]
    photos = [_photo(look) for look in looks]
    reported = findings.of_pairs(missing) + findings.of_faults(faults)
    if looks:
        validation = _validation(photos, settings)
        reported += findings.of_labels({look.name: look.labels for look in looks}, classes)
        reported += inspection.of_looks(looks, validation) + similar.of_looks(looks, classes, validation)
    predicted: dict[str, np.ndarray] = {}
    if settings.model and looks:
        disputes = disagreement.disputes([look.pair for look in looks], settings.model, settings.max_pixels)
        reported += disagreement.findings(disputes, settings.worst)
        predicted = {dispute.name: dispute.predicted for dispute in disputes}
    reported.sort(key=lambda finding: not finding.spoils)
    report = {
        "data_dir": str(settings.data_dir),
        "pairs": len(matched),
        "classes": classes.to_json(),
        "contents": _contents(looks),
        "sessions": _sessions(looks, photos, classes),
        "findings": [dataclasses.asdict(finding) for finding in reported],
    }
    html = page.page(report, reported, looks, predicted, classes).encode(errors="backslashreplace")
    write_json(settings.output_dir / "audit.json", report)
    write_bytes(settings.output_dir / "audit.html", html)
    _print(report, reported)
    print(f"the full report, with pictures, is in {settings.output_dir / 'audit.html'}")
    return 1 if any(finding.spoils for finding in reported) else 0


def _photo(look: Look) -> Photo:
    classes = frozenset(c for c, count in enumerate(look.labels.class_pixels) if count)
    return Photo(look.name, look.photo.size, classes)


def _validation(photos: Sequence[Photo], settings: Settings) -> tuple[int, ...]:
    try:
        return split(photos, settings.split, settings.val_fraction, settings.split_seed).val
    except InputError:
        return ()  # no split has every class on both sides: `train` reports this error


def _contents(looks: Sequence[Look]) -> dict[str, dict[str, int]]:
    """Counts of photos by format, size and EXIF orientation, and of masks by format, the most common first."""

    def count(values: Iterable[str]) -> dict[str, int]:
        return dict(collections.Counter(values).most_common())

    return {
        "photo formats": count(f"{look.photo.format} {look.photo.mode}" for look in looks),
        "mask formats": count(f"{look.mask.format} {look.mask.mode}" for look in looks),
        "sizes": count("{}x{}".format(*look.photo.size) for look in looks),
        "EXIF orientations of photos": count(str(look.photo.orientation) for look in looks),
    }


def _sessions(looks: Sequence[Look], photos: Sequence[Photo], classes: ClassTable) -> dict[str, dict[str, Any]]:
    """For each camera session, the number of photos, the photos with each class, and each class's share of the pixels.

    The share leaves out the pixels that match no class.
    """
    members = collections.defaultdict(list)
    for look, session in zip(looks, sessions(photos), strict=True):
        members[session].append(look.labels.class_pixels)
    rows = {}
    for session, counts in sorted(members.items()):
        pixels = np.array(counts)
        shares = pixels.sum(0) / max(1, pixels.sum())
        rows[session] = {
            "photos": len(counts),
            "with": dict(zip(classes.names, (pixels > 0).sum(0).tolist(), strict=True)),
            "share": dict(zip(classes.names, shares.round(6).tolist(), strict=True)),
        }
    return rows


def _print(report: dict[str, Any], reported: Sequence[Finding]) -> None:
    console = rich.get_console()
    contents = Table(title=escape(f"{report['pairs']} pairs in {report['data_dir']}"), show_header=False)
    for title, counts in report["contents"].items():
        shown = [f"{name} ({count})" for name, count in counts.items()]
        contents.add_row(title, ", ".join([*shown[:8], *([f"{len(shown) - 8} more"] if len(shown) > 8 else [])]))
    console.print(contents)
    names = [row["name"] for row in report["classes"][1:]]
    table = Table(title="camera sessions")
    table.add_column("session")
    table.add_column("photos", justify="right")
    for name in names:
        table.add_column(f"with {escape(name)}", justify="right")
        table.add_column(f"{escape(name)} pixels", justify="right")
    for session, row in report["sessions"].items():
        cells = [cell for name in names for cell in (str(row["with"][name]), f"{row['share'][name]:.2%}")]
        table.add_row(escape(session), str(row["photos"]), *cells)
    console.print(table)
    for finding in reported:
        mark = "[bold red]spoils[/]" if finding.spoils else "[yellow]look  [/]"
        console.print(mark, end=" ")
        # Not wrapped to the screen's width, so that a line can be copied whole.
        console.print(str(finding), markup=False, highlight=False, soft_wrap=True)
    if not reported:
        console.print("nothing found")


callable_command(__name__)

if __name__ == "__main__":
    raise SystemExit(main())
