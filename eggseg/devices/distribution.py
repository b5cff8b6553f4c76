"""Replicas of a network that learn as one: on several GPUs of a machine, or on several machines."""

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
"""Bytes that are sent as one number."""


@dataclasses.dataclass(frozen=True)
class Workers:
    """The processes that train together, each on its own machine, as one of them sees them."""

    strategy: tf.distribute.Strategy
    index: int = 0
    """Which of them this is; 0, the first, is the one that writes."""
    count: int = 1

    @property
    def replicas(self) -> int:
        """Copies of the network on all machines together."""
        return self.strategy.num_replicas_in_sync

    def exchange(self, value: Value) -> list[Value]:
        """What each worker called this with, in their order. It waits until all have."""
        return [self.told_by(source, value) for source in range(self.count)]

    def told_by(self, source: int, value: Value) -> Value:
        """What the worker `source` called this with. It waits until all have."""
        if self.count == 1:
            return value
        # Whoever reaches a worker's port may by TensorFlow's own protocol run anything there: pickle adds nothing.
        data = pickle.dumps(value) if self.index == source else b""
        size = int(self._sum(tf.constant([len(data)], tf.int64))[0])
        words = -(-size // WORD)
        sent = self._sum(tf.constant(np.frombuffer(data.ljust(WORD * words, b"\0"), np.int64)))
        return pickle.loads(sent.numpy().tobytes()[:size])

    def agree(self, facts: Mapping[str, Any]) -> None:
        """`InputError` that names those of some facts in which the workers differ."""
        all_facts = self.exchange(dict(facts))
        differing = sorted({name for one in all_facts for name in one if one[name] != all_facts[0].get(name)})
        if differing:
            raise InputError(f"the workers differ in {', '.join(differing)}: each takes the same command and files")

    def share(self, path: Path) -> None:
        """Give all workers the first one's file, where it has one."""
        data = self.told_by(0, path.read_bytes() if path.exists() else None)
        if self.index and data is not None:
            path.write_bytes(data)

    def batches(self, dataset: tf.data.Dataset) -> tf.distribute.DistributedDataset:
        """Batches for `model.fit`: each replica of this worker takes the next of its own."""
        return self.strategy.distribute_datasets_from_function(lambda _: dataset)

    @contextlib.contextmanager
    def losing_one_is_an_error(self) -> Iterator[None]:
        """`InputError` where another worker ends before its time: its own error says why."""
        try:
            yield
        except (tf.errors.UnavailableError, tf.errors.InternalError, tf.errors.AbortedError) as error:
            if self.count == 1 or "Collective ops is aborted" not in str(error):
                raise
            raise InputError("another worker has ended: what it said last tells why") from error

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.int64)])
    def _sum(self, value: tf.Tensor) -> tf.Tensor:
        """The sum over the workers, (n,)."""

        def of_replica() -> tf.Tensor:
            replica = tf.distribute.get_replica_context()
            speaks = replica.replica_id_in_sync_group % (self.replicas // self.count) == 0
            return replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(speaks, value, tf.zeros_like(value)))

        return self.strategy.experimental_local_results(self.strategy.run(of_replica))[0]


def join(distribution: Distribution = "auto", num_gpus: int = -1) -> Workers:
    """Meet the other workers that `TF_CONFIG` names, if any; without them, train on `num_gpus` GPUs of this machine.

    Waits until all workers are there. Comes before anything else that TensorFlow does, which opens its connections only
    then. One GPU, or the processor, needs no strategy: `OneDeviceStrategy` was measured to double the time of a step.
    """
    index, count = place(distribution)
    devices = hardware.use(num_gpus)
    if count > 1:
        return Workers(tf.distribute.MultiWorkerMirroredStrategy(), index, count)
    return Workers(tf.distribute.MirroredStrategy(devices) if len(devices) > 1 else tf.distribute.get_strategy())


def place(distribution: Distribution = "auto") -> tuple[int, int]:
    """Which worker this is, and of how many, by `TF_CONFIG`; a chief is the first of them."""
    text = os.environ.get("TF_CONFIG")
    index, count = _cluster(text) if text and distribution != "one" else (0, 1)
    if distribution == "multi_worker" and count == 1:
        raise InputError(
            "--distribution multi_worker: the variable TF_CONFIG names no other worker, expected "
            '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT", ...]}, "task": {"type": "worker", "index": 0}}'
        )
    return index, count


def _cluster(text: str) -> tuple[int, int]:
    try:
        config = json.loads(text)
        cluster: Mapping[str, list[str]] = config.get("cluster", {})
        others = set(cluster) - {"chief", "worker"}
        if others:
            raise InputError(f"TF_CONFIG has tasks that are {', '.join(sorted(others))}, expected worker, or chief")
        tasks = [(kind, i) for kind in ("chief", "worker") for i in range(len(cluster.get(kind, [])))]
        if len(tasks) < 2:
            return 0, 1
        return tasks.index((config["task"]["type"], int(config["task"]["index"]))), len(tasks)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"TF_CONFIG cannot be understood: {error!r}") from None


class Learner(keras.Model):
    """A functional model, built and with its optimizer built, that `fit` trains on several machines too.

    Keras 3 alone fails there: to build a model it runs a step outside any replica, and it averages over the machines
    the figures of a step, each a number, along an axis that they do not have (keras issue 20585).
    """

    def _maybe_symbolic_build(self, *_: Any, **__: Any) -> None:
        """All is built."""

    def train_step(self, data: Any) -> dict[str, Any]:
        return tf.nest.map_structure(_with_axis, super().train_step(data))

    def test_step(self, data: Any) -> dict[str, Any]:
        return tf.nest.map_structure(_with_axis, super().test_step(data))


def _with_axis(number: tf.Tensor) -> tf.Tensor:
    return tf.reshape(number, (1,))
