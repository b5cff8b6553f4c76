"""What masks are worth: mIoU against the number of photos that have one, for each way of learning.

    python benchmarks/labels.py [DATA] [--unlabeled_dir MORE] [--output_dir build/labels] [--ways NAME ...]

DATA is a folder with images/ and masks/, `$EGGSEG_DATA/train` if not given, MORE photos without masks,
`$EGGSEG_DATA/test/images`. Every run is the quick profile, at 224 pixels, on the first of five folds of blocks, as its
seed deals them; photos whose masks are hidden are still photos to learn from. Without training, all photos are
clustered, and the truth names the clusters (the Hungarian assignment): an upper bound; or they are predicted by the
model that comes with eggseg. All are measured on the photos of that fold, at their original size. What is in the output
folder already is not run again: it takes two hours, and can be stopped at any time. Writes benchmarks/labels.md and
labels.png from what is done.
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

import matplotlib.pyplot as plt
import numpy as np
from machine import description, table
from PIL import Image

from eggseg import labelled, metrics, pairs
from eggseg.classes import EGGS_AND_PANS
from eggseg.files import read_json, write_json

DATA = "../shared/data/eggs-and-pans"
SEEDS = 3
"""Of the runs with 37 masks; the others have one."""
CLUSTERS, DEEP = ("--clusters", "64"), ("--features", "efficientnet_lite0", "--smooth")
FOLD = ("--profile", "quick", "--image_size", "224", "--folds", "5", "--fold", "0")
HERE = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Run:
    """One point: a way, how many masks it sees (None is all), and a seed."""

    way: str
    labels: int | None
    seed: int
    command: tuple[str, ...]
    """What comes after `python -m`, without the places of its data and its output; OUT is the folder of all runs."""

    @property
    def name(self) -> str:
        return f"{self.way} {'all' if self.labels is None else self.labels} {self.seed}".replace(" ", "_")


def planned() -> list[Run]:
    """All runs, in the order in which they are worth doing."""
    runs = [
        Run("k-means on pixels", 0, 0, ("eggseg.labelfree.kmeans", *CLUSTERS)),
        Run("k-means on features", 0, 0, ("eggseg.labelfree.kmeans", *DEEP, *CLUSTERS)),
        Run("made-up scenes", 0, 0, ("eggseg.predict", "--overwrite", "--recursive")),
        Run("Segment Anything", 0, 0, ("eggseg.labelfree.sam", "--crops", "0", "--points", "10", *CLUSTERS)),
    ]
    for labels, seed in [(37, 0), (9, 0), *((37, seed) for seed in range(1, SEEDS))]:
        chosen = ("--labels", str(labels), "--seed", str(seed))
        runs.append(Run("masks alone", labels, seed, ("eggseg.train", *FOLD, *chosen)))
        runs += [
            Run(method, labels, seed, ("eggseg.labelfree.gan", "--method", method, *FOLD, *chosen))
            for method in ("fixmatch", "gan")
        ]
    made = ("--labels", "37", "--pseudo", "OUT/fixmatch_37_0/fold0/pseudo", "--pseudo_confidence", "0.9")
    runs.append(Run("fixmatch, then its masks", 37, 0, ("eggseg.train", *FOLD, *made)))
    return [*runs, Run("masks alone", None, 0, ("eggseg.train", *FOLD))]


def do(run: Run, data: Path, more: Path | None, folder: Path) -> None:
    """Run it, unless it is done; a training that was stopped goes on."""
    module, *args = run.command
    output = folder / run.name
    if (output / "done.json").exists():
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
    write_json(output / "done.json", {"command": run.command, "seconds": time.perf_counter() - start})


def scored(run: Run, data: Path, folder: Path, held_out: set[str]) -> np.ndarray:
    """Confusion counts over the held-out photos, (classes, classes), truth in rows."""
    output = folder / run.name
    if (output / "fold0" / "metrics.json").exists():
        return np.array(read_json(output / "fold0" / "metrics.json")["confusion"])
    total = np.zeros((len(EGGS_AND_PANS),) * 2, np.int64)
    values = list(EGGS_AND_PANS.values)
    for pair in pairs.find(data):
        if pair.name in held_out:
            with Image.open(output / "masks" / f"{pair.name}.png") as mask:
                ids = np.searchsorted(values, np.array(mask)).astype(np.uint8)
            total += metrics.confusion(labelled.read(pair, EGGS_AND_PANS).ids, ids, len(EGGS_AND_PANS))
    return total


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
    write(runs, args.data, args.output_dir)


def write(runs: list[Run], data: Path, folder: Path) -> None:
    """The table and the plot of what is done."""
    held_out: set[str] = set()
    points = collections.defaultdict(list)
    for run in reversed(runs):  # those that know which photos are held out come last
        if (folder / run.name / "done.json").exists():
            record = folder / run.name / "fold0" / "config.json"
            if record.exists() and run.seed == 0:
                held_out = set(read_json(record)["split"]["val"])
            done = read_json(folder / run.name / "done.json")
            counts = scored(run, data, folder, held_out)
            points[run.way, run.labels].append((run.seed, metrics.iou(counts), done))
    total = len(pairs.find(data)) - len(held_out)
    rows, seeds, curves = [], [], collections.defaultdict(list)
    for (way, labels), last_first in reversed(points.items()):
        found = last_first[::-1]
        ious = np.array([iou for _, iou, _ in found])
        mious = ious.mean(1)
        spread = f" ± {mious.std(ddof=1):.3f}" if len(found) > 1 else ""
        minutes = np.mean([done["seconds"] for *_, done in found]) / 60
        count = total if labels is None else labels
        command = " ".join(found[0][-1]["command"])
        cells = [f"{mious.mean():.3f}{spread}", f"{ious[:, 1].mean():.3f}", f"{ious[:, 2].mean():.3f}"]
        rows.append([way, count, len(found), *cells, f"{minutes:.1f}", f"`python -m {command}`"])
        if len(found) > 1:
            of_seed = {seed: f"{iou.mean():.3f}" for seed, iou, _ in found}
            seeds.append([way, count, *(of_seed.get(seed, "") for seed in range(SEEDS))])
        curves[way].append((count, mious))
    head = ["way", "masks", "seeds", "mIoU", "egg IoU", "pan IoU", "minutes", "command"]
    sections = [
        "# What masks are worth",
        f"Written by `python benchmarks/labels.py`, whose first lines say how. {description()}",
        f"Measured on photos that are held out, at their original size, from one pooled confusion matrix a seed: "
        f"{len(held_out)} with seed 0, about as many others with each other seed, which deals the folds anew. Rows of "
        f"one seed compare with seed 0 of the others. Commands are those of seed 0, without `--data_dir`, "
        f"`--unlabeled_dir` and `--output_dir`.",
        table(head, rows),
        "mIoU of each seed, which draws the photos that are held out and those that have masks:",
        table(["way", "masks", *(f"seed {seed}" for seed in range(SEEDS))], seeds),
        "![mIoU against masks](labels.png)",
    ]
    (HERE / "labels.md").write_text("\n\n".join(sections) + "\n")
    draw(curves)


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
