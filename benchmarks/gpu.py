"""Check and benchmark of GPUs: the commands on one and on all GPUs, in each precision, beside the processor.

    python benchmarks/gpu.py DATA PHOTOS [--epochs 3] [--num_gpus 1 2]

DATA has images/ and masks/, PHOTOS is a folder. For each number of GPUs (0 is the processor) and each precision, trains
the quick profile for a few epochs, evaluates and predicts, each in a process of its own as a user would. Prints two
Markdown tables. The first has photos per second of training, from `train_speed.py`, and the share of the time in which
the step waits for photos. The second has photos per second of prediction, start included, and the share of pixels in
which the masks differ from those of the same model on the processor: at most 0.1 % is expected. Exit code 1 if more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import description, table
from PIL import Image

PRECISIONS = ("float32", "bfloat16", "float16")
MOST_DIFFERING = 0.001
"""Largest accepted share of pixels in which the masks of GPU and processor differ."""


def run(*args: object, num_gpus: int = -1) -> str:
    """Run Python with `args`, and with as many of the GPUs, -1 for all; return its output."""
    hidden = {} if num_gpus else {"CUDA_VISIBLE_DEVICES": "-1"}
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | hidden
    return subprocess.run(
        [sys.executable, *map(str, args)], check=True, stdout=subprocess.PIPE, text=True, env=environment
    ).stdout


def photos_per_second(num_gpus: int, precision: str) -> tuple[float, float]:
    """Photos per second of the step alone, and of `eggseg train`."""
    script = Path(__file__).with_name("train_speed.py")
    lines = run(script, "--num_gpus", num_gpus, "--precision", precision, num_gpus=num_gpus).splitlines()
    rates = {
        cells[1].strip(): float(cells[2]) for line in lines if (cells := line.split("|"))[1:2] and "eggseg" in line
    }
    return rates["eggseg, the step"], rates["eggseg train"]


def predicted(model: Path, photos: Path, out: Path, num_gpus: int) -> float:
    """Write the masks of all photos to `out`; return photos per second, start included."""
    start = time.perf_counter()
    run("-m", "eggseg.predict", photos, "--model", model, "--output_dir", out, num_gpus=num_gpus)
    return len(masks(out)) / (time.perf_counter() - start)


def masks(out: Path) -> dict[str, Path]:
    return {path.relative_to(out).as_posix(): path for path in sorted((out / "masks").rglob("*.png"))}


def differing(ours: Path, others: Path) -> float:
    """Share of pixels in which the masks of two output folders differ."""
    different = total = 0
    for name, path in masks(ours).items():
        pixels = np.asarray(Image.open(path))
        different += int((pixels != np.asarray(Image.open(masks(others)[name]))).sum())
        total += pixels.size
    return different / total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--num_gpus", type=int, nargs="+", default=[0, 1], help="numbers of GPUs to measure")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    args = parser.parse_args()
    training, prediction, worst = [], [], 0.0
    with tempfile.TemporaryDirectory() as temporary:
        for gpus in args.num_gpus:
            for precision in args.precisions:
                row = [f"{gpus} GPUs" if gpus else "processor", precision]
                out = Path(temporary, f"{gpus}_{precision}")
                settings = ("--profile", "quick", "--epochs", args.epochs, "--precision", precision, "--num_gpus", gpus)
                run("-m", "eggseg.train", "--data_dir", args.data, "--output_dir", out, *settings, num_gpus=gpus)
                evaluation = out / "evaluation"
                run("-m", "eggseg.evaluate", "--model", out, "--data_dir", args.data, "--split", "val",
                    "--output_dir", evaluation, num_gpus=gpus)  # fmt: skip
                miou = json.loads((evaluation / "metrics.json").read_text())["miou"]
                step, command = photos_per_second(gpus, precision)
                training.append([*row, f"{command:.1f}", f"{max(0.0, 1 - command / step):.1%}", f"{miou:.4f}"])
                rate = predicted(out, args.photos, out / "here", gpus)
                predicted(out, args.photos, out / "processor", 0)
                share = differing(out / "here", out / "processor")
                worst = max(worst, share)
                prediction.append([*row, f"{rate:.1f}", f"{share:.3%}"])
    print(description())
    print(table(["trained on", "precision", "photos/s", "waits for photos", "mIoU"], training), end="\n\n")
    print(table(["predicted on", "trained in", "photos/s", "pixels that differ"], prediction))
    return int(worst > MOST_DIFFERING)


if __name__ == "__main__":
    sys.exit(main())
