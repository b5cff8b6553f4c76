"""What several workers cost: measured on this machine's loopback, and computed for a network of 25 Gbit/s.

    python benchmarks/worker_speed.py [--image_size 400, or any other setting of eggseg.train]

One worker trains on batches of `--batch_size` photos; then one with two replicas, each on half of the processor and of
the batch, whose batch normalisation takes the moments of all; then two, processes that share the processor. The second
table is computed: from the step of two replicas, the bytes of the gradients and the number of messages, for workers
that each have a machine and full batches. Prints Markdown.
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

from eggseg.data.classes import EGGS_AND_PANS
from eggseg.devices import distribution
from eggseg.devices.pipelines import untuned
from eggseg.training import learning
from eggseg.training.config import Config

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


def replicas() -> distribution.Workers:
    """Two halves of this processor, as if they were GPUs."""
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
    return distribution.Workers(tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"]))


def work(config: Config) -> None:
    """Be a worker; the first prints its figures."""
    halves = os.environ[PLACE] == "replicas"
    workers = replicas() if halves else distribution.join(config.distribution, config.num_gpus)
    size, rest = divmod(config.batch_size, workers.replicas)
    if rest:
        raise SystemExit(f"--batch_size is {config.batch_size}, expected a multiple of {workers.replicas}")
    rng = np.random.default_rng(workers.index)
    images = rng.uniform(0, 255, (size, config.image_size, config.image_size, 3)).astype(np.float32)
    truth = rng.integers(0, 3, images.shape[:3], np.uint8)
    keras.utils.set_random_seed(0)
    with workers.strategy.scope():
        model = learning.learner(config, EGGS_AND_PANS, STEPS)
        clock = Clock()
        batches = workers.batches(tf.data.Dataset.from_tensors((images, truth)).repeat().apply(untuned))
        model.fit(batches, steps_per_epoch=WARM_UP + STEPS, verbose=0, shuffle=False, callbacks=[clock])
    if workers.index == 0:
        figures = {
            "step": float(np.median(np.diff(clock.ends[WARM_UP - 1 :]))),
            "gradients": sum(4 * int(np.prod(weight.shape)) for weight in model.trainable_variables),
            "norms": sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers),
        }
        print(json.dumps(figures))
    workers.exchange(None)


def measure(kind: str, count: int) -> dict[str, float]:
    """The figures of so many workers."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    hosts = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    started = []
    for i in range(count):
        place = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": i}}
        environment = os.environ | {PLACE: kind, "TF_CONFIG": json.dumps(place)}
        started.append(subprocess.Popen([sys.executable, *sys.argv], env=environment, stdout=subprocess.PIPE))
    outputs = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise SystemExit("a worker failed: see above")
    return json.loads(outputs[0].splitlines()[-1])


def computed(step: float, gradients: float, norms: float, workers: int) -> float:
    """Seconds of a step in a ring of workers, in which every message goes around twice."""
    hops = 2 * (workers - 1)
    # The gradients; mean and variance of each norm, and as much on the way back; both halves of five figures.
    messages = 1 + 4 * norms + 10
    return step + hops / workers * gradients / NETWORK + messages * hops * LATENCY


def main() -> None:
    config = Config.from_args()
    if PLACE in os.environ:
        work(config)
        return
    kinds = {"one": ("workers", 1), "one, two replicas": ("replicas", 1), "two": ("workers", 2)}
    found = {name: measure(*of) for name, of in kinds.items()}
    rows = [[name, f"{1000 * of['step']:.0f}", f"{config.batch_size / of['step']:.1f}"] for name, of in found.items()]
    one, halves = found["one"], found["one, two replicas"]
    print(
        f"Network `{config.encoder}` of {config.image_size} pixels, {config.batch_size} photos a step over all "
        f"workers, {one['gradients'] / 1e6:.1f} MB of gradients, {one['norms']:.0f} batch normalisations. Measured, "
        "all workers on this machine's cores:\n"
    )
    print(table(["workers", "ms a step", "photos/s"], rows))
    counts = (2, 4, 8, 16)
    rows = []
    for name, alone, step in (
        ("this processor's step", one["step"], halves["step"]),
        ("a step of 50 ms, as of a GPU", GPU_STEP, GPU_STEP),
    ):
        times = [computed(step, one["gradients"], one["norms"], n) for n in counts]
        rows.append([name, *(f"{n * alone / seconds:.2f}" for n, seconds in zip(counts, times, strict=True))])
    print(
        f"\nComputed, each worker on a machine of its own with {config.batch_size} photos a step, 25 Gbit/s and "
        f"{LATENCY * 1e6:.0f} µs between them: times the photos/s of one worker.\n"
    )
    print(table(["", *(f"{n} workers" for n in counts)], rows))


if __name__ == "__main__":
    main()
