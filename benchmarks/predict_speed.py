"""Benchmark of prediction, from photos to mask files of their size: eggseg, PyTorch and ONNX Runtime.

    python benchmarks/predict_speed.py [PHOTOS] [--run RUN]

PHOTOS is a folder, by default the test photos at EGGSEG_DATA, else made-up scenes. RUN is a run folder of eggseg.train;
by default the network is untrained: its masks are poor, but take as long. PyTorch and ONNX Runtime run the same
network, exported from its twin (see twin.py) with batch normalisation folded as in eggseg's export, and the same steps
before and after it (see peers.py). All run in turns in one process, with all cores. The peak memory of each is measured
in a process of its own. Prints a Markdown table.

Measure on an idle machine, or on one core (`taskset -c 0 python ...`): train_speed.py says why.
"""

from __future__ import annotations

import argparse
import collections
import functools
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

from machine import WANTED, in_turns, table
from PIL import Image

from eggseg.data.classes import EGGS_AND_PANS
from eggseg.pictures.pillow import listed
from eggseg.prediction import writing
from eggseg.prediction.settings import Settings

Predict = Callable[[list[Path]], None]

PEERS = {
    "PyTorch, bfloat16": "torch_bfloat16",
    "PyTorch, float32": "torch_float32",
    "ONNX Runtime, float32": "onnx_float32",
}
ROUNDS = 3
SINGLES = 15
"""Rounds over all photos, and over a single photo."""
MADE_UP = ((640, 480),) * 12 + ((456, 256),) * 8 + ((1280, 720),) * 3 + ((4320, 2432),)
"""Sizes of the made-up photos, distributed about like those of the real photos."""


def eggseg_predict(folder: Path) -> Predict:
    from eggseg.exported.saved_model import load

    segmenter = load(folder / "saved_model")
    settings = Settings((), folder, folder / "eggseg", overwrite=True)

    def run(photos: list[Path]) -> None:
        for row in writing.write(segmenter, {path.name: path for path in photos}, settings):
            if isinstance(row, str):
                raise RuntimeError(row)

    return run


def peer_predict(name: str, folder: Path, size: int) -> Predict:
    import peers

    network, out = getattr(peers, PEERS[name])(folder), folder / PEERS[name]
    out.mkdir(exist_ok=True)
    return lambda photos: peers.predict(network, photos, out, size, EGGS_AND_PANS.value_of_id[:, 0])


def prepare(run: Path | None, folder: Path) -> tuple[list[str], int]:
    """Export the network to `folder` for every library installed here; return the rows' names and the image size."""
    from eggseg.devices.hardware import cpu_has_bfloat16
    from eggseg.exported import saved_model
    from eggseg.models.normalization import folded
    from eggseg.training import building
    from eggseg.training.callbacks import AVERAGED
    from eggseg.training.config import Config

    config = Config.from_args(["--config", str(run / "config.json")] if run else [])
    network = building.network(config, EGGS_AND_PANS)
    if run:
        network.load_weights(run / AVERAGED)
    saved_model.save(network, EGGS_AND_PANS, {}, folder / "saved_model" / "1")
    names = ["eggseg"]
    try:
        import torch
        from twin import twin

        module = twin(folded(network)).eval()
        torch.save(module, folder / "twin.pt")
        names += ["PyTorch, bfloat16"] * cpu_has_bfloat16() + ["PyTorch, float32"]
        import onnxruntime  # noqa: F401

        example = torch.zeros(1, 3, config.image_size, config.image_size)
        with warnings.catch_warnings():
            # The legacy exporter warns, but needs no further packages.
            warnings.simplefilter("ignore")
            torch.onnx.export(module, (example,), folder / "twin.onnx", input_names=["image"], dynamo=False)
        names.append("ONNX Runtime, float32")
    except ModuleNotFoundError as error:
        print(f"{error.name} is missing; {WANTED}", file=sys.stderr)
    return names, config.image_size


def made_up(folder: Path) -> Path:
    from eggseg.kitchen import scenes

    folder.mkdir()
    for i, size in enumerate(MADE_UP):
        Image.fromarray(scenes.draw(0, i, size)[0]).save(folder / f"{i}.{'png' if i % 2 else 'jpg'}")
    return folder


def predictor(name: str, folder: Path, size: int) -> Predict:
    return eggseg_predict(folder) if name == "eggseg" else peer_predict(name, folder, size)


def peak_memory(*command: object) -> float:
    """Peak memory, MB, of a process that only predicts all photos."""
    done = subprocess.run([sys.executable, __file__, *map(str, command)], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def alone(photos: list[Path], name: str, folder: Path, size: int) -> None:
    """Run by `peak_memory` in its process: predict, then print the peak memory."""
    predictor(name, folder, size)(photos)
    # Not `getrusage`, whose peak includes the parent's memory at the fork.
    print(int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024)


def compare(folder: Path, chosen: Path | None, run: Path | None) -> None:
    """Measure every library installed here, with exports in `folder`, and print the table."""
    real = Path(os.environ.get("EGGSEG_DATA", "data"), "test", "images")
    photos = chosen or (real if real.is_dir() else made_up(folder / "photos"))
    paths = listed(photos)
    names, size = prepare(run, folder)
    predictors = {name: predictor(name, folder, size) for name in names}
    sizes = [Image.open(path).size for path in paths]
    usual = collections.Counter(sizes).most_common(1)[0][0]
    single = [paths[sizes.index(usual)]]
    whole = in_turns({name: functools.partial(p, paths) for name, p in predictors.items()}, ROUNDS)
    one = in_turns({name: functools.partial(p, single) for name, p in predictors.items()}, SINGLES)
    print(f"{len(paths)} photos, network of {size} pixels.\n")
    header = ["", "photos/s", "time / eggseg's", f"ms for one of {usual[0]}x{usual[1]}", "peak memory, MB"]
    rows = [
        [
            name,
            f"{len(paths) / whole[name]:.1f}",
            f"{whole[name] / whole['eggseg']:.2f}",
            f"{1000 * one[name]:.0f}",
            f"{peak_memory(photos, '--alone', name, folder, size):.0f}",
        ]
        for name in names
    ]
    print(table(header, rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="?", help="a folder of photos")
    parser.add_argument("--run", type=Path, help="a run folder of eggseg.train")
    parser.add_argument("--alone", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alone:
        name, folder, size = args.alone
        alone(listed(args.photos), name, Path(folder), int(size))
    else:
        with tempfile.TemporaryDirectory() as folder:
            compare(Path(folder), args.photos, args.run)


if __name__ == "__main__":
    main()
