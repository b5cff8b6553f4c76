"""What masks are worth: mIoU against the number of photos with masks, for each method.

    python benchmarks/labels.py [DATA] [--unlabeled_dir MORE] [--output_dir build/labels] [--ways NAME ...]

DATA is a folder with images/ and masks/, by default `$EGGSEG_DATA/train`; MORE is a folder of photos without masks, by
default `$EGGSEG_DATA/test/images`. Every training uses the quick profile at 224 pixels and holds out the first of five
folds of blocks; semi-supervised methods also train on the photos whose masks are hidden. Without training, either the
model that comes with eggseg predicts the photos, or all photos are clustered, held-out ones too, and the masks of five
training photos, those of `--labelled_photos 5` with the same seed, name the clusters. Clusters that all masks name,
held-out ones too (the Hungarian assignment), are marked as an upper bound. Everything is measured on the photos of that
fold, at their original size. The gain of 37 masks depends on the photos that are held out, so masks alone and the best
other method are compared on the other folds too.

It takes over three hours and can be stopped at any time: runs that benchmarks/labels.json records are not run again.
Writes that file, and labels.md and labels.png from it. It records the command, machine and photos of each run, and
refuses to add runs on other photos: to measure these, move the file away.
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
"""Photos with masks in DATA: outside of the first fold, and in all folds."""
EXAMPLES = 5
"""Number of masks that name clusters."""
SEEDS = 3
"""Number of seeds of the runs with 37 masks; other runs have one seed."""
CLUSTERS, DEEP = ("--clusters", "64"), ("--features", "efficientnet_lite0", "--smooth")
FOLDS = 5
QUICK = ("--profile", "quick", "--image_size", "224", "--folds", str(FOLDS))
UNCHANGED = ("--epochs", "20", "--init", "none")
"""What the first runs had by default: they can still be compared."""
ALONE, FALLING = "masks alone", "gan, its judge's rate falling to 0"
HERE = Path(__file__).parent
RECORD = HERE / "labels.json"
"""Finished runs, by command: seconds, confusion counts with truth in rows, machine, and fingerprint of the photos (the
first runs have none)."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One training or clustering: a method, its number of masks (None is all), a seed, and the fold held out."""

    way: str
    labels: int | None
    seed: int
    command: tuple[str, ...]
    """The arguments of `python -m`, without the folders of data and output; OUT stands for the folder of all runs."""
    fold: int = 0
    upper_bound: bool = False
    """Whether it sees the masks that measure it."""
    commit: str = ""
    """Commit of eggseg, if the command does something else today: the run stays recorded and is not repeated."""

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
    return Run(way, labels, seed, (*command, *QUICK, "--fold", str(fold), *few, *UNCHANGED), fold)


def clustered(way: str, command: tuple[str, ...]) -> list[Run]:
    """Clusters named by a few masks, and by all masks."""
    named = Run(way, EXAMPLES, 0, (*command, "--examples", f"OUT/examples_{EXAMPLES}_0"))
    return [named, Run(way, EVERY, 0, command, upper_bound=True)]


def planned() -> list[Run]:
    """All runs, the most useful first."""
    runs = [
        *clustered("k-means on pixels", ("eggseg.labelfree.kmeans", *CLUSTERS)),
        *clustered("k-means on features", ("eggseg.labelfree.kmeans", *DEEP, *CLUSTERS)),
        Run("made-up scenes", 0, 0, ("eggseg.predict", "--overwrite", "--recursive")),
        *clustered("Segment Anything", ("eggseg.labelfree.sam", "--crops", "0", "--points", "10", *CLUSTERS)),
    ]
    for labels, seed in [*((37, seed) for seed in range(SEEDS)), (9, 0), (None, 0)]:
        runs += [trained(way, labels, seed) for way in (ALONE, "fixmatch", "gan")]
        # At that commit, 20 epochs were those of the profile, and the number of masks had another name.
        before = tuple(part.replace("--labelled_photos", "--labels") for part in runs[-1].command[: -len(UNCHANGED)])
        runs.append(dataclasses.replace(runs[-1], way=FALLING, command=before, commit="ec280c8"))
    made = ("--pseudo", "OUT/fixmatch_37_0/fold0/pseudo", "--pseudo_confidence", "0.9")
    runs.append(Run("fixmatch, then its masks", 37, 0, (*trained(ALONE, 37).command, *made)))
    return runs + [trained(way, 37, fold=fold) for fold in range(1, FOLDS) for way in (ALONE, "fixmatch")]


def do(run: Run, data: Path, more: Path | None, folder: Path, machine: str) -> None:
    """Do a run and record it, unless it is recorded; a training that was stopped resumes."""
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
    origin = {"machine": machine, "photos": pairs.fingerprint(split(data, run.fold)[0])}
    write_json(RECORD, recorded() | {run.key: {"seconds": seconds, "confusion": scored(run, data, output), **origin}})


@functools.cache
def split(data: Path, fold: int) -> tuple[list[Pair], tuple[Photo, ...], Split]:
    """All pairs, their photos as the split takes them, and the split that holds out `fold`."""
    all_pairs = pairs.find(data)
    photos = squares.read(all_pairs, 32, EGGS_AND_PANS).photos
    return all_pairs, photos, one_fold(photos, Config.split, FOLDS, fold, Config.split_seed)


def choose(data: Path, seed: int, folder: Path) -> None:
    """Link the photos and masks that `--labelled_photos 5` keeps with this seed, first fold held out, into `folder`."""
    all_pairs, photos, parts = split(data, 0)
    for i in few(photos, parts.train, EXAMPLES, seed):
        link(all_pairs[i].image, folder / "images" / all_pairs[i].name)
        link(all_pairs[i].mask, folder / all_pairs[i].mask.relative_to(data))


def recorded() -> dict[str, dict[str, Any]]:
    """The content of RECORD: finished runs by `Run.key`."""
    return read_json(RECORD) if RECORD.exists() else {}


def scored(run: Run, data: Path, output: Path) -> list[list[int]]:
    """Confusion counts over the held-out photos, (classes, classes), truth in rows."""
    measured = output / f"fold{run.fold}" / "metrics.json"
    if measured.exists():
        return read_json(measured)["confusion"]
    all_pairs, _, parts = split(data, run.fold)
    total = np.zeros((len(EGGS_AND_PANS),) * 2, np.int64)
    values = list(EGGS_AND_PANS.values)
    for pair in (all_pairs[i] for i in parts.val):
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
    parser.add_argument("--ways", nargs="*", help="run only these methods; the table shows all finished runs")
    parser.add_argument("--labels", type=int, nargs="*", help="run only runs with these numbers of masks")
    parser.add_argument("--remark", default="", help="note on this machine, such as: shared with other work")
    args = parser.parse_args()
    machine = "; ".join([*description().split("; ")[:2], *([args.remark] if args.remark else [])])
    now = pairs.fingerprint(pairs.find(args.data))
    if any(run.get("photos", now) != now for run in recorded().values()):
        sys.exit(f"{RECORD} holds runs on other photos than {args.data}: move it away to measure these")
    runs = planned()
    for run in runs:
        if (args.ways is None or run.way in args.ways) and (args.labels is None or run.labels in args.labels):
            do(run, args.data, args.unlabeled_dir, args.output_dir, machine)
    write(runs)


@dataclasses.dataclass
class Point:
    """The results of a method with one number of masks, on one fold."""

    run: Run
    """The run of the first seed."""
    counts: dict[int, np.ndarray] = dataclasses.field(default_factory=dict)
    """Confusion counts, by seed."""
    seconds: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    """Seconds of each run, by machine."""

    @property
    def mious(self) -> np.ndarray:
        """mIoU of each seed."""
        return np.array([metrics.iou(counts).mean() for counts in self.counts.values()])


Points = dict[tuple[str, int, int], Point]
"""By method, number of masks and fold."""


def gathered(runs: list[Run]) -> Points:
    """The points of `runs`, with the results that are recorded."""
    done, points = recorded(), Points()
    for run in runs:
        masks = ALL if run.labels is None else run.labels
        point = points.setdefault((run.way, masks, run.fold), Point(run))
        if run.key in done:
            point.counts[run.seed] = np.array(done[run.key]["confusion"])
            point.seconds.setdefault(done[run.key]["machine"], []).append(done[run.key]["seconds"])
    return points


def write(runs: list[Run]) -> None:
    """Write labels.md and labels.png from the recorded runs."""
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
            by_seed = {seed: f"{miou:.3f}" for seed, miou in zip(point.counts, mious, strict=True)}
            seeds.append([way, masks, *(by_seed.get(seed, "") for seed in range(SEEDS))])
    head = ["way", "masks", "upper bound", "seeds", "mIoU", "egg IoU", "pan IoU", "minutes", "command"]
    sections = [
        "# What masks are worth",
        "Written by `python benchmarks/labels.py`; its docstring says how the runs are made.",
        "Measured on the photos of the first of five folds of blocks, at their original size, from one pooled "
        "confusion matrix for each seed. An upper bound has seen the masks that measure it. The commands are those of "
        "seed 0, without the folders of data and output.",
        table(head, rows),
        "\n".join(
            ["Minutes were measured on these machines; compare only those of the same machine:", ""]
            + [f"- {letter}: {machine}" for machine, letter in letters.items()]
        ),
    ]
    if seeds:
        head = ["way", "masks", *(f"seed {seed}" for seed in range(SEEDS))]
        sections += ["mIoU of each seed; the seed selects the photos with masks:", table(head, seeds)]
    ways = [way for way, masks, fold in points if (masks, fold) == (37, 1)]
    folds = [fold for fold in range(FOLDS) if all(points[way, 37, fold].counts for way in ways)]
    if len(folds) > 1:
        sections += [
            "mIoU of each fold, held out in turn with seed 0, and of the photos of these folds pooled:",
            table(["way", "masks", *(f"fold {fold}" for fold in folds), "pooled"], of_folds(points, ways, folds)),
        ]
    sections.append("![mIoU against masks](labels.png)")
    (HERE / "labels.md").write_text("\n\n".join(sections) + "\n")
    draw([(masks, point) for (_, masks, _), point in first if point.counts])


def of_folds(points: Points, ways: list[str], folds: list[int]) -> list[list[object]]:
    """Rows of the table of folds: mIoU of each fold, and pooled."""
    rows: list[list[object]] = []
    for way in ways:
        counts = [points[way, 37, fold].counts[0] for fold in folds]
        mious = [metrics.iou(matrix).mean() for matrix in (*counts, np.sum(counts, 0))]
        rows.append([way, 37, *(f"{miou:.3f}" for miou in mious)])
    return rows


def draw(points: list[tuple[int, Point]]) -> None:
    """Plot mIoU against masks: a line through the means of each method, a dot per seed, upper bounds hollow."""
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    ways = list(dict.fromkeys(point.run.way for _, point in points))
    for way in ways:
        color = f"C{ways.index(way)}"
        results = [(masks, point.mious, point.run.upper_bound) for masks, point in points if point.run.way == way]
        for upper_bound in (False, True):
            shown = [(masks, mious) for masks, mious, upper in results if upper == upper_bound]
            if not shown:
                continue
            counts, means = [masks for masks, _ in shown], [mious.mean() for _, mious in shown]
            label, face = (f"{way}, upper bound", "none") if upper_bound else (way, color)
            axes.plot(counts, means, "o-" if len(shown) > 1 else "D", color=color, markerfacecolor=face, label=label)
            for masks, mious in shown if not upper_bound else ():
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
