"""Data-parallel training: replicas of a network on several GPUs of a machine, or on several machines."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import keras
import numpy as np
import tensorflow as tf

from eggseg.devices import hardware
from eggseg.errors import InputError

Distribution = Literal["auto", "one", "multi_worker"]
Value = TypeVar("Value")

WORD = 8
"""Bytes per int64 number: `told_by` sends bytes as int64 numbers."""


@dataclasses.dataclass(frozen=True)
class Workers:
    """The workers that train together, one process per machine, as seen by one of them."""

    strategy: tf.distribute.Strategy
    index: int = 0
    """Rank of this worker; worker 0 writes the run folder."""
    count: int = 1

    @property
    def replicas(self) -> int:
        """Replicas of the network on all machines together."""
        return self.strategy.num_replicas_in_sync

    def exchange(self, value: Value) -> list[Value]:
        """All-gather: the `value` of each worker, in rank order; blocks until all workers call it."""
        return [self.told_by(source, value) for source in range(self.count)]

    def told_by(self, source: int, value: Value) -> Value:
        """Broadcast `value` from the worker `source` to all; blocks until all workers call it."""
        if self.count == 1:
            return value
        # Unpickling adds no risk: anyone who can reach a worker's port can run code through TensorFlow's protocol.
        data = pickle.dumps(value) if self.index == source else b""
        size = int(self._sum(tf.constant([len(data)], tf.int64))[0])
        words = -(-size // WORD)
        sent = self._sum(tf.constant(np.frombuffer(data.ljust(WORD * words, b"\0"), np.int64)))
        return pickle.loads(sent.numpy().tobytes()[:size])

    def agree(self, facts: Mapping[str, Any]) -> None:
        """`InputError` with the names of the facts that differ between workers; blocks until all workers call it."""
        all_facts = self.exchange(dict(facts))
        differing = sorted({name for own in all_facts for name in own if own[name] != all_facts[0].get(name)})
        if differing:
            raise InputError(f"the workers differ in {', '.join(differing)}: start all with the same command and files")

    def share(self, path: Path) -> None:
        """Copy worker 0's file `path`, if it exists, to `path` on all workers; blocks until all workers call it."""
        data = self.told_by(0, path.read_bytes() if path.exists() else None)
        if self.index and data is not None:
            path.write_bytes(data)

    def batches(self, dataset: tf.data.Dataset) -> tf.distribute.DistributedDataset:
        """Distribute this worker's batches for `model.fit`: each replica of the worker takes the next one in turn."""
        return self.strategy.distribute_datasets_from_function(lambda _: dataset)

    @contextlib.contextmanager
    def losing_one_is_an_error(self) -> Iterator[None]:
        """Turn the failure of another worker into an `InputError`; the log of that worker says why it failed."""
        try:
            yield
        except (tf.errors.UnavailableError, tf.errors.InternalError, tf.errors.AbortedError) as error:
            if self.count == 1 or "Collective ops is aborted" not in str(error):
                raise
            raise InputError("another worker has ended: see the end of its log") from error

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.int64)])
    def _sum(self, value: tf.Tensor) -> tf.Tensor:
        """All-reduce: the sum of `value` over the workers, (n,) int64."""

        def of_replica() -> tf.Tensor:
            replica = tf.distribute.get_replica_context()
            is_first_of_worker = replica.replica_id_in_sync_group % (self.replicas // self.count) == 0
            addend = tf.where(is_first_of_worker, value, tf.zeros_like(value))
            return replica.all_reduce(tf.distribute.ReduceOp.SUM, addend)

        return self.strategy.experimental_local_results(self.strategy.run(of_replica))[0]


def join(distribution: Distribution = "auto", num_gpus: int = -1) -> Workers:
    """Connect to the other workers that `TF_CONFIG` names, if any; each worker uses `num_gpus` GPUs (-1: all).

    Blocks until all workers are connected. Call `join` before any other TensorFlow operation: later, TensorFlow refuses
    to connect. Without other workers, a single GPU or the processor keeps TensorFlow's default strategy, because
    `OneDeviceStrategy` doubled the time of a step. `InputError` as in `place` and `hardware.use`.
    """
    index, count = place(distribution)
    devices = hardware.use(num_gpus)
    if count > 1:
        return Workers(tf.distribute.MultiWorkerMirroredStrategy(), index, count)
    return Workers(tf.distribute.MirroredStrategy(devices) if len(devices) > 1 else tf.distribute.get_strategy())


def place(distribution: Distribution = "auto") -> tuple[int, int]:
    """Rank of this worker and number of workers, from `TF_CONFIG`; a chief has rank 0.

    (0, 1) if `distribution` is "one", or `TF_CONFIG` is missing or names fewer than two workers. `InputError` if
    `TF_CONFIG` is faulty, or if `distribution` is "multi_worker" and there is no other worker.
    """
    text = os.environ.get("TF_CONFIG")
    index, count = _cluster(text) if text and distribution != "one" else (0, 1)
    if distribution == "multi_worker" and count == 1:
        raise InputError(
            "--distribution multi_worker: the variable TF_CONFIG names no other worker, expected "
            '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT", ...]}, "task": {"type": "worker", "index": 0}}'
        )
    return index, count


def _cluster(text: str) -> tuple[int, int]:
    """Rank and number of workers from the content of `TF_CONFIG`; (0, 1) if it names fewer than two workers."""
    try:
        config = json.loads(text)
        cluster: Mapping[str, list[str]] = config.get("cluster", {})
        others = set(cluster) - {"chief", "worker"}
        if others:
            raise InputError(f"TF_CONFIG has tasks of type {', '.join(sorted(others))}, expected worker or chief")
        tasks = [(kind, i) for kind in ("chief", "worker") for i in range(len(cluster.get(kind, [])))]
        if len(tasks) < 2:
            return 0, 1
        return tasks.index((config["task"]["type"], int(config["task"]["index"]))), len(tasks)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"TF_CONFIG cannot be parsed: {error!r}") from None


class DistributedModel(keras.Model):
    """A functional model that `fit` can train on several machines; build the model and its optimizer before.

    The class works around two failures of Keras 3 on several machines. To build a model, Keras runs a step outside any
    replica. To average the scalar metrics of a step over machines, Keras uses an axis, but scalars have none (keras
    issue 20585).
    """

    def _maybe_symbolic_build(self, *_: Any, **__: Any) -> None:
        """No-op: model and optimizer are already built."""

    def train_step(self, data: Any) -> dict[str, Any]:
        return tf.nest.map_structure(_with_axis, super().train_step(data))

    def test_step(self, data: Any) -> dict[str, Any]:
        return tf.nest.map_structure(_with_axis, super().test_step(data))


def _with_axis(number: tf.Tensor) -> tf.Tensor:
    return tf.reshape(number, (1,))
