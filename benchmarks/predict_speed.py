"""How long one photo takes, from its bytes to its mask, and where the time goes.

    python benchmarks/predict_speed.py

Photos are made up, the network's weights are random: neither changes the time. The rows of a photo are measured in
turns, in one process, so that a machine that slows down slows all of them. Prints a Markdown table of medians.
"""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from eggseg import export, hardware, scenes
from eggseg.classes import EGGS_AND_PANS
from eggseg.config import Config
from eggseg.model import unet
from eggseg.pictures import png

SIZES = ((456, 256), (640, 480), (1280, 720), (4320, 2432))
ROUNDS = 9


def milliseconds(works: list[Callable[[], object]]) -> list[float]:
    """The median time of each of some works, done in turns after one turn that does not count."""
    times = np.zeros((ROUNDS + 1, len(works)))
    for turn in times:
        for i, work in enumerate(works):
            start = time.perf_counter()
            work()
            turn[i] = time.perf_counter() - start
    return (1000 * np.median(times[1:], axis=0)).tolist()


def jpeg(size: tuple[int, int]) -> bytes:
    return tf.io.encode_jpeg(scenes.draw(0, 0, size)[0]).numpy()


def main() -> None:
    config = Config()
    network = unet(config.image_size, len(EGGS_AND_PANS), base_filters=config.base_filters, depth=config.depth,
                   stem_stride=config.stem_stride)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        export.save(network, EGGS_AND_PANS, {}, Path(folder, "1"))
        precisions = ("float32", "bfloat16") if hardware.cpu_has_bfloat16() else ("float32",)
        photos = {size: jpeg(size) for size in SIZES}
        models = {}
        for precision in precisions:
            models[precision] = export.load(folder, precision)  # type: ignore[arg-type]
            # Traced while its precision is set: the setting is the process's, not the model's.
            frame = models[precision].decode(photos[SIZES[0]])
            models[precision].class_ids(frame)
            models[precision](frame)

    print(f"{platform.machine()}, TensorFlow {tf.__version__}, network of {config.image_size} pixels, ms a photo\n")
    print(
        "| photo | decode | " + " | ".join(f"class ids, {p} | with probabilities, {p}" for p in precisions) + " | PNG |"
    )
    print("|---" * (3 + 2 * len(precisions)) + "|")
    for (width, height), data in photos.items():
        frame = models["float32"].decode(data)
        mask = EGGS_AND_PANS.paint(models["float32"].class_ids(frame))
        works = [lambda data=data: models["float32"].decode(data)]
        for precision in precisions:
            works += [lambda m=models[precision], f=frame: m.class_ids(f), lambda m=models[precision], f=frame: m(f)]
        works += [lambda mask=mask: png(mask)]
        print(f"| {width}x{height} | " + " | ".join(f"{t:.1f}" for t in milliseconds(works)) + " |")


if __name__ == "__main__":
    main()
