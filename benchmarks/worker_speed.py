"""Cost of several workers: measured over this machine's loopback, and computed for a network of 25 Gbit/s.

    python benchmarks/worker_speed.py [--image_size 400, or any other setting of eggseg.train]

First table, measured on batches of `--batch_size` photos: one worker; one worker with two replicas, each with half of
the processor and half of the batch, and batch normalisation over both halves; two workers, processes that share the
processor. Second table, computed from the step of two replicas, the bytes of the gradients and the number of messages:
workers that each have their own machine and full batches. Prints Markdown.
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
from eggseg.training import building
from eggseg.training.config import Config

STEPS = 12
"""Steps that are timed; the result is their median."""
WARM_UP = 4

NETWORK = 25e9 / 8
"""Bytes per second between two machines."""
LATENCY = 50e-6
"""Seconds from sending a message to its arrival."""
GPU_STEP = 0.05
"""Seconds of a step on a GPU: an assumed round number, not measured."""
PLACE = "EGGSEG_WORKER"
"""Environment variable that is set for workers only; its value is the kind of worker."""


class Clock(keras.callbacks.Callback):
    """Records when each step ends, seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.ends.append(time.perf_counter())


def replicas() -> distribution.Workers:
    """One worker with two replicas, each on half of this processor."""
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
    return distribution.Workers(tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"]))


def work(config: Config) -> None:
    """Run as a worker; worker 0 prints its figures as JSON."""
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
        model = building.compiled(config, EGGS_AND_PANS, STEPS)
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
    """Start `count` workers of a kind; return the figures of worker 0."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    hosts = [f"127.0.0.1:{server.getsockname()[1]}" for server in sockets]
    for server in sockets:
        server.close()
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
    """Seconds of a step with ring all-reduce, in which every message passes around the ring twice."""
    hops = 2 * (workers - 1)
    # Gradients: 1. Each batch normalisation: mean and variance, forward and backward: 4. Five metrics of two parts: 10.
    messages = 1 + 4 * norms + 10
    return step + hops / workers * gradients / NETWORK + messages * hops * LATENCY


def main() -> None:
    config = Config.from_args()
    if PLACE in os.environ:
        work(config)
        return
    kinds = {"one": ("workers", 1), "one, two replicas": ("replicas", 1), "two": ("workers", 2)}
    measured = {name: measure(*arguments) for name, arguments in kinds.items()}
    steps = {name: figures["step"] for name, figures in measured.items()}
    rows = [[name, f"{1000 * step:.0f}", f"{config.batch_size / step:.1f}"] for name, step in steps.items()]
    one, halves = measured["one"], measured["one, two replicas"]
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
