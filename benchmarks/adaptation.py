"""What `eggseg adapt` gains: the network of each fold adapts to the photos that it held out, without their masks.

    python benchmarks/adaptation.py FOLDS [DATA] [--folds 1 2] [--output_dir build/adaptation] [flags of eggseg adapt]

FOLDS is the output folder of `eggseg train --data_dir DATA --folds 5 --split session`, DATA a folder with images/ and
masks/, by default `$EGGSEG_DATA/train`. A fold's training photos keep their masks. The masks of the photos that it held
out only measure the network, before and after. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from machine import description, table

from eggseg.files import link, read_json

HEAD = ("fold", "photos", "", "mIoU", "egg Dice", "pan Dice", "false eggs", "false pans", "minutes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, metavar="FOLDS")
    parser.add_argument("data", type=Path, nargs="?", default=Path(os.environ.get("EGGSEG_DATA", "data"), "train"))
    parser.add_argument("--folds", nargs="+")
    parser.add_argument("--output_dir", type=Path, default=Path("build/adaptation"))
    args, flags = parser.parse_known_args()
    folds = args.folds or sorted(path.name[4:] for path in args.runs.glob("fold[0-9]*"))
    rows = [row for fold in folds for row in measured(args.runs / f"fold{fold}", args.data, args.output_dir, flags)]
    print(description() + "\n")
    print(table(HEAD, rows))


def measured(run: Path, data: Path, output: Path, flags: list[str]) -> list[tuple[str, ...]]:
    """The rows of a fold: before and, if the model is adapted at all, after."""
    folder = output / run.name
    split = read_json(run / "config.json")["split"]
    for part in ("train", "val"):  # an earlier split must not be mixed in
        shutil.rmtree(folder / part, ignore_errors=True)
    for part in ("train", "val"):
        for name in split[part]:
            for kind in ("images", "masks"):
                link(data / kind / name, folder / part / kind / name)
    photos = len(split["val"])
    rows = [(run.name[4:], str(photos), "before", *figures(run, folder, "before"), "")]
    adapted = folder / "adapted"
    args = [str(folder / "val/images"), "--model", str(run), "--data_dir", str(folder / "train")]
    begun = time.perf_counter()
    code = subprocess.run(
        [sys.executable, "-m", "eggseg.labelfree.adapt", *args, "--output_dir", str(adapted), "--overwrite", *flags],
        check=False,
    ).returncode
    minutes = f"{(time.perf_counter() - begun) / 60:.1f}"
    if code == 2:  # the error says why, for example that the model is uncertain
        return [*rows, (run.name[4:], str(photos), "refused", *[""] * 5, minutes)]
    if code:
        raise SystemExit(code)
    (record,) = adapted.rglob("adaptation.json")
    kept = "after" if read_json(record)["adapted"] else "old model kept"
    return [*rows, (run.name[4:], str(photos), kept, *figures(record.parent, folder, "after"), minutes)]


def figures(run: Path, folder: Path, name: str) -> tuple[str, ...]:
    """mIoU, Dice and false regions of a model on the photos that the fold held out."""
    output = folder / name
    args = ["--model", str(run), "--data_dir", str(folder / "val"), "--output_dir", str(output)]
    subprocess.run([sys.executable, "-m", "eggseg.evaluate", *args], check=True)
    metrics = read_json(output / "metrics.json")
    photo_mean = metrics["photo_mean"]
    values = (
        metrics["miou"],
        *(photo_mean[score][name] for score in ("dice", "false_regions") for name in ("egg", "pan")),
    )
    return tuple("-" if value is None else f"{value:.3f}" for value in values)


if __name__ == "__main__":
    main()
