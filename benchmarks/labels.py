"""What masks are worth: mIoU against the number of photos that have one, for each way of learning.

    python benchmarks/labels.py [DATA] [--unlabeled_dir MORE] [--output_dir build/labels] [--ways NAME ...]

DATA is a folder with images/ and masks/, `$EGGSEG_DATA/train` if not given, MORE photos without masks,
`$EGGSEG_DATA/test/images`. Every run is the quick profile, at 224 pixels, on the first of five folds of blocks; photos
whose masks are hidden are still photos to learn from. Without training, all photos are clustered, and the truth names
the clusters (the Hungarian assignment): an upper bound; or they are predicted by the model that comes with eggseg. All
are measured on the photos of that fold, at their original size. What can be had for 37 masks depends on the photos that
are held out, so masks alone and the best way without are compared on the other folds too. It takes three hours, and can
be stopped at any time: what benchmarks/labels.json knows already is not run again. Writes that file, and labels.md and
labels.png from it. It knows runs by their commands, not by their photos or machine: move it away to measure others.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from machine import description, table
from PIL import Image

from eggseg import labelled, metrics, pairs, squares
from eggseg.classes import EGGS_AND_PANS
from eggseg.config import Config
from eggseg.files import read_json, write_json
from eggseg.split import one_fold

DATA = "../shared/data/eggs-and-pans"
ALL = 234
"""Of DATA, photos with masks in all folds but the first."""
SEEDS = 3
"""Of the runs with 37 masks; the others have one."""
CLUSTERS, DEEP = ("--clusters", "64"), ("--features", "efficientnet_lite0", "--smooth")
FOLDS = 5
QUICK = ("--profile", "quick", "--image_size", "224", "--folds", str(FOLDS))
ALONE = "masks alone"
HERE = Path(__file__).parent
RECORD = HERE / "labels.json"
"""Of each command that is done: how many seconds it took, and its confusion counts, truth in rows."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One point: a way, how many masks it sees (None is all), a seed, and the fold that is held out."""

    way: str
    labels: int | None
    seed: int
    command: tuple[str, ...]
    """What comes after `python -m`, without the places of its data and its output; OUT is the folder of all runs."""
    fold: int = 0

    @property
    def key(self) -> str:
        return " ".join(self.command)

    @property
    def name(self) -> str:
        fold = f" fold {self.fold}" if self.fold else ""
        return f"{self.way} {'all' if self.labels is None else self.labels} {self.seed}{fold}".replace(" ", "_")


def trained(way: str, labels: int | None, seed: int = 0, fold: int = 0) -> Run:
    """Masks alone, or a method of eggseg.labelfree.gan."""
    command = ("eggseg.train",) if way == ALONE else ("eggseg.labelfree.gan", "--method", way)
    few = () if labels is None else ("--labelled_photos", str(labels), "--seed", str(seed))
    return Run(way, labels, seed, (*command, *QUICK, "--fold", str(fold), *few), fold)


def planned() -> list[Run]:
    """All runs, in the order in which they are worth doing."""
    runs = [
        Run("k-means on pixels", 0, 0, ("eggseg.labelfree.kmeans", *CLUSTERS)),
        Run("k-means on features", 0, 0, ("eggseg.labelfree.kmeans", *DEEP, *CLUSTERS)),
        Run("made-up scenes", 0, 0, ("eggseg.predict", "--overwrite", "--recursive")),
        Run("Segment Anything", 0, 0, ("eggseg.labelfree.sam", "--crops", "0", "--points", "10", *CLUSTERS)),
    ]
    for labels, seed in [*((37, seed) for seed in range(SEEDS)), (9, 0), (None, 0)]:
        runs += [trained(way, labels, seed) for way in (ALONE, "fixmatch", "gan")]
    made = ("--pseudo", "OUT/fixmatch_37_0/fold0/pseudo", "--pseudo_confidence", "0.9")
    runs.append(Run("fixmatch, then its masks", 37, 0, (*trained(ALONE, 37).command, *made)))
    return runs + [trained(way, 37, fold=fold) for fold in range(1, FOLDS) for way in (ALONE, "fixmatch")]


def do(run: Run, data: Path, more: Path | None, folder: Path) -> None:
    """Run it, unless it is done; a training that was stopped goes on."""
    module, *args = run.command
    output = folder / run.name
    if run.key in recorded():
        return
    places = ["--output_dir", str(output)]
    args = [arg.replace("OUT", str(folder)) for arg in args]
    if module == "eggseg.predict":
        places.append(str(data / "images"))
    elif module.startswith("eggseg.labelfree.") and not module.endswith(".gan"):
        places.append(str(data))
    else:
        places += ["--data_dir", str(data), "--resume"]
        places += ["--unlabeled_dir", str(more)] if more and module.endswith(".gan") else []
    command = [sys.executable, "-m", module, *args, *places]
    print("$", " ".join(command[1:]), flush=True)
    start = time.perf_counter()
    subprocess.run(command, check=True)
    seconds = round(time.perf_counter() - start)
    write_json(RECORD, recorded() | {run.key: {"seconds": seconds, "confusion": scored(run, data, output)}})


def recorded() -> dict[str, dict[str, Any]]:
    """What RECORD knows, by the command of a run."""
    return read_json(RECORD) if RECORD.exists() else {}


def scored(run: Run, data: Path, output: Path) -> list[list[int]]:
    """Confusion counts over the held-out photos, (classes, classes), truth in rows."""
    measured = output / f"fold{run.fold}" / "metrics.json"
    if measured.exists():
        return read_json(measured)["confusion"]
    found = pairs.find(data)
    held_out = one_fold(squares.read(found, 32, EGGS_AND_PANS).photos, Config.split, FOLDS, run.fold, Config.split_seed)
    total = np.zeros((len(EGGS_AND_PANS),) * 2, np.int64)
    values = list(EGGS_AND_PANS.values)
    for pair in (found[i] for i in held_out.val):
        with Image.open(output / "masks" / f"{pair.name}.png") as mask:
            ids = np.searchsorted(values, np.array(mask)).astype(np.uint8)
        total += metrics.confusion(labelled.read(pair, EGGS_AND_PANS).ids, ids, len(EGGS_AND_PANS))
    return total.tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    base = Path(os.environ.get("EGGSEG_DATA", DATA))
    parser.add_argument("data", type=Path, nargs="?", default=base / "train")
    parser.add_argument("--unlabeled_dir", type=Path, default=base / "test" / "images")
    parser.add_argument("--output_dir", type=Path, default=Path("build/labels"))
    parser.add_argument("--ways", nargs="*", help="run these alone; the table has all that is done")
    args = parser.parse_args()
    runs = planned()
    for run in runs:
        if not args.ways or run.way in args.ways:
            do(run, args.data, args.unlabeled_dir, args.output_dir)
    write(runs)


@dataclasses.dataclass
class Point:
    """What came of a way with so many masks, on one fold."""

    command: str
    """Of its first seed."""
    counts: dict[int, np.ndarray] = dataclasses.field(default_factory=dict)
    """Confusion counts, by seed."""
    seconds: list[float] = dataclasses.field(default_factory=list)

    @property
    def mious(self) -> np.ndarray:
        """Of each seed."""
        return np.array([metrics.iou(counts).mean() for counts in self.counts.values()])


Points = dict[tuple[str, int | None, int], Point]
"""By way, masks and fold."""


def gathered(runs: list[Run]) -> Points:
    """What is done of these."""
    done, points = recorded(), Points()
    for run in runs:
        if run.key in done:
            point = points.setdefault((run.way, run.labels, run.fold), Point(run.key))
            point.counts[run.seed] = np.array(done[run.key]["confusion"])
            point.seconds.append(done[run.key]["seconds"])
    return points


def write(runs: list[Run]) -> None:
    """The tables and the plot of what is done."""
    points = gathered(runs)
    rows, seeds, curves = [], [], collections.defaultdict(list)
    first = {
        (way, ALL if labels is None else labels): point for (way, labels, fold), point in points.items() if not fold
    }
    for (way, count), point in sorted(first.items(), key=lambda item: item[0][1]):
        ious, mious = np.array([metrics.iou(counts) for counts in point.counts.values()]), point.mious
        spread = f" ± {mious.std(ddof=1):.3f}" if len(mious) > 1 else ""
        cells = [f"{mious.mean():.3f}{spread}", f"{ious[:, 1].mean():.3f}", f"{ious[:, 2].mean():.3f}"]
        minutes = np.mean(point.seconds) / 60
        rows.append([way, count, len(mious), *cells, f"{minutes:.1f}", f"`python -m {point.command}`"])
        if len(mious) > 1:
            of_seed = {seed: f"{miou:.3f}" for seed, miou in zip(point.counts, mious, strict=True)}
            seeds.append([way, count, *(of_seed.get(seed, "") for seed in range(SEEDS))])
        curves[way].append((count, mious))
    sections = [
        "# What masks are worth",
        f"Written by `python benchmarks/labels.py`, whose first lines say how. {description()}",
        "Measured on the photos of the first of five folds of blocks, at their original size, from one pooled "
        "confusion matrix a seed. The commands are those of seed 0, without the folders of data and output.",
        table(["way", "masks", "seeds", "mIoU", "egg IoU", "pan IoU", "minutes", "command"], rows),
    ]
    if seeds:
        head = ["way", "masks", *(f"seed {seed}" for seed in range(SEEDS))]
        sections += ["mIoU of each seed, which draws the photos that have masks:", table(head, seeds)]
    if any(fold for *_, fold in points):
        sections += [
            "mIoU of each fold held out in turn with seed 0, and of all of these photos pooled:",
            table(*of_folds(points)),
        ]
    sections.append("![mIoU against masks](labels.png)")
    (HERE / "labels.md").write_text("\n\n".join(sections) + "\n")
    draw(curves)


def of_folds(points: Points) -> tuple[list[str], list[list[object]]]:
    """Head and rows of the table of folds, of those in which all of its ways are done."""
    ways = [way for way, labels, fold in points if (labels, fold) == (37, 1)]
    done = [fold for fold in range(FOLDS) if all((way, 37, fold) in points for way in ways)]
    rows: list[list[object]] = []
    for way in ways:
        counts = [points[way, 37, fold].counts[0] for fold in done]
        mious = [metrics.iou(one).mean() for one in (*counts, np.sum(counts, 0))]
        rows.append([way, 37, *(f"{miou:.3f}" for miou in mious)])
    return ["way", "masks", *(f"fold {fold}" for fold in done), "pooled"], rows


def draw(curves: dict[str, list[tuple[int, np.ndarray]]]) -> None:
    """Each way's mIoU against masks: lines through the means, a small dot for each seed."""
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for way, of in curves.items():
        counts = [count for count, _ in of]
        (line,) = axes.plot(counts, [mious.mean() for _, mious in of], "o-" if len(of) > 1 else "D", label=way)
        for count, mious in of:
            axes.plot([count] * len(mious), mious, ".", color=line.get_color(), alpha=0.5)
    axes.set(xlabel="training photos with masks", ylabel="mIoU, held-out photos", xscale="symlog", ylim=(0, 1))
    ticks = sorted({count for of in curves.values() for count, _ in of})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(HERE / "labels.png", dpi=120)


if __name__ == "__main__":
    main()
