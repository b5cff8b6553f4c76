"""What several workers cost: measured on this machine's loopback, and computed for a network of 25 Gbit/s.

    python benchmarks/worker_speed.py [--image_size 400, or any other setting of eggseg.train]

One worker trains on batches of `--batch_size` photos; then two, processes that share this machine's cores, on halves of
such batches. The second table is computed: from the step of one worker, the bytes of its gradients and the number of
its batch normalisations, for workers that each have a machine and full batches. Prints Markdown.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from machine import table

from eggseg import distribution, learning
from eggseg.classes import EGGS_AND_PANS
from eggseg.config import Config

STEPS = 12
"""Steps that are timed; the median counts."""
WARM_UP = 4

NETWORK = 25e9 / 8
"""Bytes a second between two machines."""
LATENCY = 50e-6
"""Seconds until a message arrives."""
GPU_STEP = 0.05
"""Seconds of a step on a GPU: not measured, a round number to compute with."""
PLACE = "EGGSEG_WORKER"
"""Environment variable that tells a worker from the command."""


class Clock(keras.callbacks.Callback):
    """Seconds between the ends of steps."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.ends.append(time.perf_counter())


def work(config: Config) -> None:
    """Be a worker; the first prints its figures."""
    workers = distribution.join()
    size = config.batch_size // workers.count
    rng = np.random.default_rng(workers.index)
    images = rng.uniform(0, 255, (size, config.image_size, config.image_size, 3)).astype(np.float32)
    truth = rng.integers(0, 3, images.shape[:3], np.uint8)
    keras.utils.set_random_seed(0)
    with workers.strategy.scope():
        model = learning.learner(config, EGGS_AND_PANS, STEPS)
        clock = Clock()
        batches = workers.batches(tf.data.Dataset.from_tensors((images, truth)).repeat())
        model.fit(batches, steps_per_epoch=WARM_UP + STEPS, verbose=0, shuffle=False, callbacks=[clock])
    if workers.index == 0:
        figures = {
            "step": float(np.median(np.diff(clock.ends[WARM_UP - 1 :]))),
            "gradients": sum(4 * int(np.prod(weight.shape)) for weight in model.trainable_variables),
            "norms": sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers),
        }
        print(json.dumps(figures))
    workers.exchange(None)


def measure(count: int) -> dict[str, float]:
    """The figures of so many workers."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    hosts = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    started = []
    for i in range(count):
        place = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": i}}
        environment = os.environ | {PLACE: str(i), "TF_CONFIG": json.dumps(place)}
        started.append(subprocess.Popen([sys.executable, *sys.argv], env=environment, stdout=subprocess.PIPE))
    outputs = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise SystemExit("a worker failed: see above")
    return json.loads(outputs[0].splitlines()[-1])


def computed(step: float, gradients: float, norms: float, workers: int) -> float:
    """Seconds of a step in a ring of workers: each sends its gradients' sums almost twice, and each norm's moments."""
    hops = 2 * (workers - 1)
    # Sum, sum of squares and count forward, and as much backward.
    return step + hops / workers * gradients / NETWORK + (1 + 6 * norms) * hops * LATENCY


def main() -> None:
    config = Config.from_args()
    if PLACE in os.environ:
        work(config)
        return
    one, two = measure(1), measure(2)
    rows = [
        [f"{count}", f"{1000 * found['step']:.0f}", f"{config.batch_size / found['step']:.1f}"]
        for count, found in ((1, one), (2, two))
    ]
    print(
        f"Network `{config.encoder}` of {config.image_size} pixels, {config.batch_size} photos a step over all "
        f"workers, {one['gradients'] / 1e6:.1f} MB of gradients, {one['norms']:.0f} batch normalisations. Measured, "
        "all workers on this machine's cores:\n"
    )
    print(table(["workers", "ms a step", "photos/s"], rows))
    counts = (1, 2, 4, 8, 16)
    rows = []
    for name, step in (("this processor's step", one["step"]), ("a step of 50 ms, as of a GPU", GPU_STEP)):
        times = [computed(step, one["gradients"], one["norms"], n) for n in counts]
        gains = [n * step / seconds for n, seconds in zip(counts, times, strict=True)]
        rows.append([name, *(f"{gain:.2f}" for gain in gains)])
    print(
        f"\nComputed, each worker on a machine of its own with {config.batch_size} photos a step, 25 Gbit/s and "
        f"{LATENCY * 1e6:.0f} µs between them: times the photos/s of one worker.\n"
    )
    print(table(["", *(f"{n} workers" if n > 1 else "1 worker" for n in counts)], rows))


if __name__ == "__main__":
    main()
