"""What masks are worth: mIoU against the number of photos that have one, for each way of learning.

    python benchmarks/labels.py [DATA] [--unlabeled_dir MORE] [--output_dir build/labels] [--ways NAME ...]

DATA is a folder with images/ and masks/, `$EGGSEG_DATA/train` if not given, MORE photos without masks,
`$EGGSEG_DATA/test/images`. Every training is the quick profile, at 224 pixels, on the first of five folds of blocks;
photos whose masks are hidden are still photos to learn from. Without training, all photos are clustered, held-out ones
too, and the clusters are named by the masks of five training photos, those of `--labelled_photos 5`, same seed; or
the photos are predicted by the model that comes with eggseg. Clusters that are named by all masks, held-out ones too
(the Hungarian assignment), are an upper bound, and marked so. Everything is measured on the photos of that fold, at
their original size. What can be had for 37 masks depends on the photos that are held out, so masks alone and the best
way beside it are compared on the other folds too.

All of it takes three hours and more, and can be stopped at any time: what benchmarks/labels.json knows already is not
run again. Writes that file, and labels.md and labels.png from it. Of each run it knows the command, the machine and the
photos, and refuses other photos than those that it knows: move it away to measure these.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
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

from eggseg.data import labelled, pairs, squares
from eggseg.data.classes import EGGS_AND_PANS
from eggseg.data.pairs import Pair
from eggseg.data.split import Photo, Split, few, one_fold
from eggseg.evaluation import metrics
from eggseg.files import link, read_json, write_json
from eggseg.training.config import Config

DATA = "../shared/data/eggs-and-pans"
ALL, EVERY = 234, 295
"""Of DATA, photos with masks in all folds but the first, and in all folds."""
EXAMPLES = 5
"""Masks that name clusters."""
SEEDS = 3
"""Of the runs with 37 masks; the others have one."""
CLUSTERS, DEEP = ("--clusters", "64"), ("--features", "efficientnet_lite0", "--smooth")
FOLDS = 5
QUICK = ("--profile", "quick", "--image_size", "224", "--folds", str(FOLDS))
ALONE, FALLING = "masks alone", "gan, its judge's rate falling to 0"
HERE = Path(__file__).parent
RECORD = HERE / "labels.json"
"""Of each command that is done: how many seconds it took, its confusion counts, truth in rows, the machine, and the
fingerprint of the photos (the first runs have none)."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One point: a way, how many masks it sees (None is all), a seed, and the fold that is held out."""

    way: str
    labels: int | None
    seed: int
    command: tuple[str, ...]
    """What comes after `python -m`, without the places of its data and its output; OUT is the folder of all runs."""
    fold: int = 0
    upper_bound: bool = False
    """Whether it sees the masks that it is measured by."""
    commit: str = ""
    """Of eggseg, where the command no longer does what it did: recorded, and not run again."""

    @property
    def key(self) -> str:
        return " ".join(self.command) + (f" at {self.commit}" if self.commit else "")

    @property
    def name(self) -> str:
        fold = f" fold {self.fold}" if self.fold else ""
        return f"{self.way} {'all' if self.labels is None else self.labels} {self.seed}{fold}".replace(" ", "_")


def trained(way: str, labels: int | None, seed: int = 0, fold: int = 0) -> Run:
    """Masks alone, or a method of eggseg.labelfree.gan."""
    command = ("eggseg.train",) if way == ALONE else ("eggseg.labelfree.gan", "--method", way)
    few = () if labels is None else ("--labelled_photos", str(labels), "--seed", str(seed))
    return Run(way, labels, seed, (*command, *QUICK, "--fold", str(fold), *few), fold)


def clustered(way: str, command: tuple[str, ...]) -> list[Run]:
    """Clusters that are named by a few masks, and by all."""
    named = Run(way, EXAMPLES, 0, (*command, "--examples", f"OUT/examples_{EXAMPLES}_0"))
    return [named, Run(way, EVERY, 0, command, upper_bound=True)]


def planned() -> list[Run]:
    """All runs, in the order in which they are worth doing."""
    runs = [
        *clustered("k-means on pixels", ("eggseg.labelfree.kmeans", *CLUSTERS)),
        *clustered("k-means on features", ("eggseg.labelfree.kmeans", *DEEP, *CLUSTERS)),
        Run("made-up scenes", 0, 0, ("eggseg.predict", "--overwrite", "--recursive")),
        *clustered("Segment Anything", ("eggseg.labelfree.sam", "--crops", "0", "--points", "10", *CLUSTERS)),
    ]
    for labels, seed in [*((37, seed) for seed in range(SEEDS)), (9, 0), (None, 0)]:
        runs += [trained(way, labels, seed) for way in (ALONE, "fixmatch", "gan")]
        before = tuple(part.replace("--labelled_photos", "--labels") for part in runs[-1].command)  # its name then
        runs.append(dataclasses.replace(runs[-1], way=FALLING, command=before, commit="ec280c8"))
    made = ("--pseudo", "OUT/fixmatch_37_0/fold0/pseudo", "--pseudo_confidence", "0.9")
    runs.append(Run("fixmatch, then its masks", 37, 0, (*trained(ALONE, 37).command, *made)))
    return runs + [trained(way, 37, fold=fold) for fold in range(1, FOLDS) for way in (ALONE, "fixmatch")]


def do(run: Run, data: Path, more: Path | None, folder: Path, machine: str) -> None:
    """Run it, unless it is done; a training that was stopped goes on."""
    module, *args = run.command
    output = folder / run.name
    if run.commit or run.key in recorded():
        return
    places = ["--output_dir", str(output)]
    if "--examples" in args:
        choose(data, run.seed, folder / f"examples_{EXAMPLES}_{run.seed}")
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
    of = {"machine": machine, "photos": pairs.fingerprint(split(data, run.fold)[0])}
    write_json(RECORD, recorded() | {run.key: {"seconds": seconds, "confusion": scored(run, data, output), **of}})


@functools.cache
def split(data: Path, fold: int) -> tuple[list[Pair], tuple[Photo, ...], Split]:
    """All pairs, what the split knows of them, and which of them a fold holds out."""
    found = pairs.find(data)
    photos = squares.read(found, 32, EGGS_AND_PANS).photos
    return found, photos, one_fold(photos, Config.split, FOLDS, fold, Config.split_seed)


def choose(data: Path, seed: int, folder: Path) -> None:
    """Put the photos that `--labelled_photos` of this seed keeps of the first fold's in a folder, with their masks."""
    found, photos, parts = split(data, 0)
    for i in few(photos, parts.train, EXAMPLES, seed):
        link(found[i].image, folder / "images" / found[i].name)
        link(found[i].mask, folder / found[i].mask.relative_to(data))


def recorded() -> dict[str, dict[str, Any]]:
    """What RECORD knows, by the command of a run."""
    return read_json(RECORD) if RECORD.exists() else {}


def scored(run: Run, data: Path, output: Path) -> list[list[int]]:
    """Confusion counts over the held-out photos, (classes, classes), truth in rows."""
    measured = output / f"fold{run.fold}" / "metrics.json"
    if measured.exists():
        return read_json(measured)["confusion"]
    found, _, parts = split(data, run.fold)
    total = np.zeros((len(EGGS_AND_PANS),) * 2, np.int64)
    values = list(EGGS_AND_PANS.values)
    for pair in (found[i] for i in parts.val):
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
    parser.add_argument("--labels", type=int, nargs="*", help="run those alone that see so many masks")
    parser.add_argument("--remark", default="", help="to be said of this machine, such as: shared with other work")
    args = parser.parse_args()
    machine = "; ".join([*description().split("; ")[:2], *([args.remark] if args.remark else [])])
    now = pairs.fingerprint(pairs.find(args.data))
    if any(of.get("photos", now) != now for of in recorded().values()):
        sys.exit(f"{RECORD} holds runs on other photos than {args.data}: move it away to measure these")
    runs = planned()
    for run in runs:
        if (args.ways is None or run.way in args.ways) and (args.labels is None or run.labels in args.labels):
            do(run, args.data, args.unlabeled_dir, args.output_dir, machine)
    write(runs)


@dataclasses.dataclass
class Point:
    """What came of a way with so many masks, on one fold."""

    run: Run
    """Its first seed's."""
    counts: dict[int, np.ndarray] = dataclasses.field(default_factory=dict)
    """Confusion counts, by seed."""
    seconds: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    """By machine."""

    @property
    def mious(self) -> np.ndarray:
        """Of each seed."""
        return np.array([metrics.iou(counts).mean() for counts in self.counts.values()])


Points = dict[tuple[str, int, int], Point]
"""By way, masks and fold."""


def gathered(runs: list[Run]) -> Points:
    """What is planned, and what is done of it."""
    done, points = recorded(), Points()
    for run in runs:
        masks = ALL if run.labels is None else run.labels
        point = points.setdefault((run.way, masks, run.fold), Point(run))
        if run.key in done:
            point.counts[run.seed] = np.array(done[run.key]["confusion"])
            point.seconds.setdefault(done[run.key]["machine"], []).append(done[run.key]["seconds"])
    return points


def write(runs: list[Run]) -> None:
    """The tables and the plot of what is done."""
    points = gathered(runs)
    first = sorted((point for point in points.items() if not point[0][2]), key=lambda item: item[0][1])
    machines = list(dict.fromkeys(machine for _, point in first for machine in point.seconds))
    letters = {machine: chr(ord("A") + i) for i, machine in enumerate(machines)}
    rows, seeds = [], []
    for (way, masks, _), point in first:
        command = f"`python -m {' '.join(point.run.command)}`"
        command += f" at commit {point.run.commit}" if point.run.commit else ""
        begin = [way, masks, "yes" if point.run.upper_bound else ""]
        if not point.counts:
            rows.append([*begin, 0, "not measured", *[""] * 3, command])
            continue
        ious, mious = np.array([metrics.iou(counts) for counts in point.counts.values()]), point.mious
        spread = f" ± {mious.std(ddof=1):.3f}" if len(mious) > 1 else ""
        cells = [f"{mious.mean():.3f}{spread}", f"{ious[:, 1].mean():.3f}", f"{ious[:, 2].mean():.3f}"]
        minutes = ", ".join(f"{np.mean(took) / 60:.1f} {letters[machine]}" for machine, took in point.seconds.items())
        rows.append([*begin, len(mious), *cells, minutes, command])
        if len(mious) > 1:
            of_seed = {seed: f"{miou:.3f}" for seed, miou in zip(point.counts, mious, strict=True)}
            seeds.append([way, masks, *(of_seed.get(seed, "") for seed in range(SEEDS))])
    head = ["way", "masks", "upper bound", "seeds", "mIoU", "egg IoU", "pan IoU", "minutes", "command"]
    sections = [
        "# What masks are worth",
        "Written by `python benchmarks/labels.py`, whose first lines say how.",
        "Measured on the photos of the first of five folds of blocks, at their original size, from one pooled "
        "confusion matrix a seed. An upper bound has seen the masks that it is measured by. The commands are those of "
        "seed 0, without the folders of data and output.",
        table(head, rows),
        "\n".join(
            ["Minutes are of these machines, and compare on one alone:", ""]
            + [f"- {letter}: {machine}" for machine, letter in letters.items()]
        ),
    ]
    if seeds:
        head = ["way", "masks", *(f"seed {seed}" for seed in range(SEEDS))]
        sections += ["mIoU of each seed, which draws the photos that have masks:", table(head, seeds)]
    ways = [way for way, masks, fold in points if (masks, fold) == (37, 1)]
    folds = [fold for fold in range(FOLDS) if all(points[way, 37, fold].counts for way in ways)]
    if len(folds) > 1:
        sections += [
            "mIoU of each fold held out in turn with seed 0, and of all of these photos pooled:",
            table(["way", "masks", *(f"fold {fold}" for fold in folds), "pooled"], of_folds(points, ways, folds)),
        ]
    sections.append("![mIoU against masks](labels.png)")
    (HERE / "labels.md").write_text("\n\n".join(sections) + "\n")
    draw([(masks, point) for (_, masks, _), point in first if point.counts])


def of_folds(points: Points, ways: list[str], folds: list[int]) -> list[list[object]]:
    """Rows of the table of folds."""
    rows: list[list[object]] = []
    for way in ways:
        counts = [points[way, 37, fold].counts[0] for fold in folds]
        mious = [metrics.iou(one).mean() for one in (*counts, np.sum(counts, 0))]
        rows.append([way, 37, *(f"{miou:.3f}" for miou in mious)])
    return rows


def draw(points: list[tuple[int, Point]]) -> None:
    """mIoU against masks: a way's line through the means, a small dot for each seed, upper bounds hollow."""
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    ways = list(dict.fromkeys(point.run.way for _, point in points))
    for way in ways:
        color = f"C{ways.index(way)}"
        of = [(masks, point.mious, point.run.upper_bound) for masks, point in points if point.run.way == way]
        for upper_bound in (False, True):
            some = [(masks, mious) for masks, mious, upper in of if upper == upper_bound]
            if not some:
                continue
            counts, means = [masks for masks, _ in some], [mious.mean() for _, mious in some]
            label, face = (f"{way}, upper bound", "none") if upper_bound else (way, color)
            axes.plot(counts, means, "o-" if len(some) > 1 else "D", color=color, markerfacecolor=face, label=label)
            for masks, mious in some if not upper_bound else ():
                axes.plot([masks] * len(mious), mious, ".", color=color, alpha=0.5)
    axes.set(xlabel="photos with masks", ylabel="mIoU, held-out photos", xscale="symlog", ylim=(0, 1))
    ticks = sorted({masks for masks, point in points if not point.run.upper_bound})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize="x-small", ncols=2)
    figure.savefig(HERE / "labels.png", dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
