"""Several workers, each a process of its own on this machine, that train one network."""

from __future__ import annotations

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.data_sets import SMALL, draw, numbered

from eggseg import train
from eggseg.data import loader, pairs, squares
from eggseg.data.classes import EGGS_AND_PANS, VOID
from eggseg.data.split import Split, split
from eggseg.data.squares import Squares
from eggseg.devices import distribution, hardware
from eggseg.errors import InputError
from eggseg.kitchen import endless
from eggseg.training import budget, building, sharding
from eggseg.training.callbacks import CHECKPOINT
from eggseg.training.config import Config

EPOCHS = 12
SHORT = ("--epochs", str(EPOCHS), "--ema_decay", "0", "--warmup_epochs", "1", "--learning_rate", "5e-3")
"""A run of one step an epoch, whose averages are the weights."""

WORKER = """
import json, os, sys, numpy as np, tensorflow as tf
from eggseg import train
from eggseg.training import building
from eggseg.training.callbacks import RunRecorder

out, kind, *args = sys.argv[1:]

class Steepest(building.EncoderAdamW):
    '''Moves every weight by its gradient, clipped to a norm that it exceeds.'''
    def __init__(self, schedule, **options):
        super().__init__(schedule, **options | {"global_clipnorm": 0.1, "weight_decay": 0.0})
    def update_step(self, gradient, variable, rate):
        self.assign_sub(variable, gradient)

if kind == "gradient":
    building.EncoderAdamW = Steepest
if kind == "overflow" and json.loads(os.environ["TF_CONFIG"])["task"]["index"] == 1:
    class Overflowing(building.KnownPixelCrossentropy):
        def call(self, *args):
            return 1e38 * super().call(*args)
    building.KnownPixelCrossentropy = Overflowing
on_epoch_end = RunRecorder.on_epoch_end
def remember(self, *args):
    on_epoch_end(self, *args)
    np.savez(out, **{name: tf.convert_to_tensor(v).numpy() for name, v in self._variables().items()})
RunRecorder.on_epoch_end = remember
sys.exit(train.main(args))
"""


def config_of(index: int, hosts: list[str]) -> str:
    return json.dumps({"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}})


def free_hosts(count: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    hosts = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return hosts


class Processes:
    """Workers that train together; `values[i]` is where worker i keeps its variables after each epoch."""

    def __init__(
        self,
        out: Path,
        count: int,
        args: list[str],
        kind: str = "train",
        *,
        hosts: list[str] | None = None,
        prefixes: list[list[str]] | None = None,
        others: tuple[str, ...] = (),
    ) -> None:
        self.values = [out.with_name(f"{out.name}.{i}.npz") for i in range(count)]
        self.logs = [out.with_name(f"{out.name}.{i}.log") for i in range(count)]
        hosts = hosts or free_hosts(count)
        self.processes = []
        for i in range(count):
            environment = {name: v for name, v in os.environ.items() if name != "TF_CONFIG"}
            if count > 1:
                environment["TF_CONFIG"] = config_of(i, hosts)
            prefix = prefixes[i] if prefixes else []
            command = [
                *prefix,
                sys.executable,
                "-c",
                WORKER,
                str(self.values[i]),
                kind,
                "--output_dir",
                str(out),
                *args,
                *(others if i else ()),
            ]
            with self.logs[i].open("w") as log:
                self.processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))

    def wait(self) -> list[int]:
        return [process.wait(timeout=300) for process in self.processes]

    def finish(self) -> list[dict[str, np.ndarray]]:
        """The variables that each ends with."""
        assert self.wait() == [0] * len(self.processes), "\n".join(log.read_text()[-3000:] for log in self.logs)
        return [dict(np.load(path)) for path in self.values]


def command(data_dir: Path, *args: str) -> list[str]:
    return ["--data_dir", str(data_dir), *SMALL, "--split", "random", *args]


def rows(run: Path) -> list[dict[str, float]]:
    found = csv.DictReader((run / "history.csv").read_text().splitlines())
    return [{name: float(value) for name, value in row.items()} for row in found]


@pytest.fixture(scope="module")
def even(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Settings under which two workers hold as many photos to train on, and one step sees all of these."""
    # An area of one colour has one activation, which rounding would move across the kink of a ReLU as a whole.
    data_dir = draw(tmp_path_factory.mktemp("data"), 40, noise=15)
    photos = squares.read(pairs.match(data_dir)[0], 48, EGGS_AND_PANS).photos
    first = sharding.part(distribution.Workers(tf.distribute.get_strategy(), 0, 2), len(photos))
    for seed in range(50):
        train = split(photos, "random", 0.2, seed).train
        if 2 * len({*train} & {*first}) == len(train):
            return [*command(data_dir), *f"--seed {seed} --split_seed {seed} --batch_size {len(train)}".split()]
    raise AssertionError("no seed deals the photos evenly")


@pytest.fixture(scope="module")
def uninterrupted(even: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of two workers; their variables lie beside it."""
    out = tmp_path_factory.mktemp("workers") / "run"
    Processes(out, 2, [*even, *SHORT]).finish()
    return out


def variables(run: Path, worker: int) -> dict[str, np.ndarray]:
    return dict(np.load(f"{run}.{worker}.npz"))


@pytest.mark.full
def test_the_first_step_of_two_is_that_of_one(even: list[str], tmp_path: Path) -> None:
    # Two workers add in another order than one. With some initial weights this moves an activation across the kink of a
    # ReLU, and the gradient by up to 1.6e-3 of its norm; a wrong gradient is wrong with all initial weights.
    seeds = (2, 0, 1, 3)
    assert any(first_steps_differ([*even, "--seed", str(seed)], tmp_path / str(seed)) < 5e-5 for seed in seeds)


def first_steps_differ(settings: list[str], folder: Path) -> float:
    """How much the first gradients of one worker and of two differ, as a share of their norm."""
    folder.mkdir()
    args = [*settings, "--epochs", "1", "--ema_decay", "0"]
    (one,) = Processes(folder / "one", 1, args, "gradient").finish()
    two, _ = Processes(folder / "two", 2, args, "gradient").finish()
    config = Config.from_args([*args, "--output_dir", str(folder)])
    keras.utils.set_random_seed(config.seed)
    before = [np.array(weight) for weight in building.compiled(config, EGGS_AND_PANS, 1).trainable_variables]
    names = [f"model/{i}" for i, w in enumerate(building.compiled(config, EGGS_AND_PANS, 1).variables) if w.trainable]
    gradients = [
        np.concatenate([(w - values[name]).ravel() for w, name in zip(before, names, strict=True)])
        for values in (one, two)
    ]
    assert np.linalg.norm(gradients[0]) == pytest.approx(0.1, rel=1e-4), "it is clipped, of both together"
    differing = np.linalg.norm(gradients[1] - gradients[0]) / np.linalg.norm(gradients[0])
    losses = [rows(folder / run)[0]["loss"] for run in ("one", "two")]
    print(f"gradients differ by {differing:.1e} of their norm, losses are {losses}")
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    return float(differing)


@pytest.mark.full
def test_two_workers_learn_what_one_does(even: list[str], uninterrupted: Path, tmp_path: Path) -> None:
    """Each step sees the same photos in both runs, so that only rounding parts them."""
    Processes(tmp_path / "one", 1, [*even, *SHORT]).finish()
    alone, together = rows(tmp_path / "one"), rows(uninterrupted)
    assert len(together) == EPOCHS
    print([(one["val_loss"], two["val_loss"]) for one, two in zip(alone, together, strict=True)])
    assert alone[-1]["loss"] < 0.8 * alone[0]["loss"], "if it learns nothing, it says nothing"
    for one, two in zip(alone, together, strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-3)
        assert two["val_loss"] == pytest.approx(one["val_loss"], rel=1e-3)
        assert two["val_miou"] == pytest.approx(one["val_miou"], abs=1e-3)
    assert (uninterrupted / "saved_model/1/saved_model.pb").exists()


@pytest.mark.full
def test_all_workers_hold_the_same_variables(uninterrupted: Path) -> None:
    first, second = variables(uninterrupted, 0), variables(uninterrupted, 1)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


@pytest.mark.full
def test_workers_measure_together_and_follow_one_plan(even: list[str], tmp_path: Path) -> None:
    """The budget is too short for any run: they train the fewest epochs of a plan."""
    first, second = Processes(tmp_path / "run", 2, [*even, "--minutes", "0.01"]).finish()
    assert len(rows(tmp_path / "run")) == budget.FEWEST
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


@pytest.mark.full
def test_workers_that_were_killed_go_on(even: list[str], uninterrupted: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    killed = Processes(out, 2, [*even, *SHORT])
    while not (out / CHECKPOINT).exists():
        assert all(process.poll() is None for process in killed.processes)
        time.sleep(0.05)
    for process in killed.processes:
        process.kill()
    assert killed.wait() == [-9, -9]
    done = len(rows(out))
    assert done < EPOCHS, "it was killed too late to say anything"
    resumed = Processes(out, 2, [*even, *SHORT, "--resume"])
    first, second = resumed.finish()
    assert f"resuming after epoch {done}" in resumed.logs[0].read_text()
    whole = variables(uninterrupted, 0)
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)
        np.testing.assert_allclose(value, whole[name], rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.full
def test_a_worker_that_is_lost_ends_the_others(even: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    workers = Processes(out, 2, [*even, *SHORT, "--epochs", "500"])
    while not (out / CHECKPOINT).exists():
        assert all(process.poll() is None for process in workers.processes)
        time.sleep(0.05)
    workers.processes[1].kill()
    assert workers.wait() == [2, -9]
    assert "error: another worker has ended" in workers.logs[0].read_text()


@pytest.mark.full
def test_workers_of_different_minds_say_so(even: list[str], tmp_path: Path) -> None:
    different = Processes(tmp_path / "run", 2, [*even, *SHORT], others=("--seed", "77", "--patience", "1"))
    assert different.wait() == [2, 2]
    for path in different.logs:
        assert "error: the workers differ in patience, seed: " in path.read_text()


@pytest.mark.full
def test_an_overflow_on_one_worker_is_a_step_left_out_by_both(even: list[str], tmp_path: Path) -> None:
    args = [*even, *SHORT, "--epochs", "1", "--precision", "float16"]
    first, second = Processes(tmp_path / "run", 2, args, "overflow").finish()
    for name, value in first.items():
        assert np.isfinite(value).all(), name
        np.testing.assert_array_equal(value, second[name], err_msg=name)


@pytest.mark.full
def test_only_the_first_worker_writes_and_none_waits_for_one_that_has_ended(
    even: list[str], uninterrupted: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in uninterrupted.rglob("*")}
    again = Processes(uninterrupted, 2, [*even, *SHORT])
    assert again.wait() == [2, 2]
    logs = [path.read_text() for path in again.logs]
    assert f"error: {uninterrupted} holds a run already" in logs[0]
    assert "error: another worker has ended" in logs[1]
    assert {path: path.stat().st_mtime_ns for path in uninterrupted.rglob("*")} == before


@pytest.mark.full
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="needs root and iproute2")
def test_workers_meet_over_a_network(even: list[str], tmp_path: Path) -> None:
    """Each in a network namespace of its own, with nothing but a cable between them."""
    names, addresses = ("eggseg0", "eggseg1"), ("10.79.0.1", "10.79.0.2")
    made = [subprocess.run(["ip", "netns", "add", name], check=False).returncode for name in names]
    if any(made):
        pytest.skip("network namespaces cannot be made here")
    try:
        ip("link", "add", "eggs", "netns", names[0], "type", "veth", "peer", "name", "eggs", "netns", names[1])
        for name, address in zip(names, addresses, strict=True):
            for arguments in (
                ["addr", "add", f"{address}/24", "dev", "eggs"],
                ["link", "set", "eggs", "up"],
                ["link", "set", "lo", "up"],
            ):
                ip("-n", name, *arguments)
        prefixes = [["ip", "netns", "exec", name] for name in names]
        hosts = [f"{address}:8890" for address in addresses]
        together = Processes(tmp_path / "run", 2, [*even, "--epochs", "1"], hosts=hosts, prefixes=prefixes)
        first, second = together.finish()
        np.testing.assert_array_equal(first["model/0"], second["model/0"])
    finally:
        for name in names:
            ip("netns", "delete", name)


def ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (0, 1)),
        ("{}", (0, 1)),
        (config_of(1, ["a:1", "b:1"]), (1, 2)),
        ('{"cluster": {"chief": ["a:1"], "worker": ["b:1", "c:1"]}, "task": {"type": "chief", "index": 0}}', (0, 3)),
        ('{"cluster": {"chief": ["a:1"], "worker": ["b:1", "c:1"]}, "task": {"type": "worker", "index": "1"}}', (2, 3)),
        # As SageMaker's toolkit sets it, on one host too.
        ('{"cluster": {"worker": ["algo-1:8890"]}, "environment": "cloud", "task": {"index": 0, "type": "worker"}}',
         (0, 1)),
    ],
)  # fmt: skip
def test_the_place_among_the_workers(text: str, expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    assert distribution.place() == expected
    assert distribution.place("one") == (0, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "TF_CONFIG cannot be parsed"),
        ("[]", "TF_CONFIG cannot be parsed"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}}', "TF_CONFIG cannot be parsed: KeyError"),
        (config_of(2, ["a:1", "b:1"]), "TF_CONFIG cannot be parsed"),
        ('{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}', "tasks of type ps"),
    ],
)
def test_a_cluster_that_makes_no_sense_is_an_error(text: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match=message):
        distribution.place()
    assert distribution.place("one") == (0, 1)


@pytest.mark.parametrize("text", ["", config_of(0, ["a:1"])])
def test_several_machines_that_nobody_named_are_an_error(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match="TF_CONFIG names no other worker"):
        distribution.join("multi_worker")


def test_several_machines_do_not_cross_validate(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TF_CONFIG", config_of(0, ["a:1", "b:1"]))
    args = command(data_dir, "--folds", "2", "--fold", "0", "--output_dir", str(tmp_path))
    assert train.main(args) == 2
    assert "several machines cannot train with --folds" in capsys.readouterr().err


@pytest.mark.parametrize("gpus", [[], ["/GPU:0"]])
def test_one_device_needs_no_strategy(gpus: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "use", lambda _: gpus)
    workers = distribution.join()
    assert workers.strategy is tf.distribute.get_strategy()
    assert not tf.distribute.has_strategy()
    assert (workers.index, workers.count, workers.replicas) == (0, 1, 1)


def test_several_gpus_are_mirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "use", lambda count: ["/GPU:0", "/GPU:1", "/GPU:2"][:count])
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda devices: devices)
    assert distribution.join("auto", 2).strategy == ["/GPU:0", "/GPU:1"]


def test_one_machine_may_leave_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", config_of(1, ["a:1", "b:1"]))
    workers = distribution.join("one")
    assert (workers.index, workers.count, workers.replicas) == (0, 1, 1)
    assert workers.exchange("eggs") == ["eggs"]


class Told:
    """Two workers with so many replicas each, as the second sees them; the first has 6 to train and 3 to test on."""

    index, count = 1, 2

    def __init__(self, replicas: int) -> None:
        self.replicas = 2 * replicas

    def exchange(self, value: int) -> list[int]:
        return [{4: 6, 2: 3}[value], value]


def test_a_share_is_in_step_with_the_smallest() -> None:
    parts = Split(train=(0, 1, 2, 3, 4, 5, 6, 7, 8, 9), val=(10, 11, 12, 13, 14))
    held = Squares(np.zeros((6, 8, 8, 4), np.uint8), (1, 3, 5, 7, 11, 13), (), (), ())
    share = sharding.deal(Told(1), held, parts, 4, 0)  # type: ignore[arg-type]
    assert (share.train, share.val) == ((1, 3, 5, 7), (11, 13))
    assert (share.batch_size, share.steps, share.val_steps) == (2, 2, 2)
    assert share.val_weight == 8 / 5, "eight places for five photos"
    wide = sharding.deal(Told(2), held, parts, 8, 0)  # type: ignore[arg-type]
    assert (wide.replicas, wide.batch_size, wide.steps, wide.val_steps) == (2, 2, 1, 1)
    scenes = sharding.deal(Told(2), held, parts, 8, 60)  # type: ignore[arg-type]
    assert (scenes.batch_size, scenes.steps) == (2, 7)
    mixed = sharding.deal(Told(1), held, parts, 4, 0, 0.5)  # type: ignore[arg-type]
    assert (mixed.batch_size, mixed.scenes, mixed.steps) == (2, 1, 4), "an epoch sees all four photos"
    crowded = sharding.deal(Told(1), held, parts, 4, 0, 0.9)  # type: ignore[arg-type]
    assert crowded.scenes == 1, "a batch has at least one photo"


@pytest.mark.parametrize(
    ("batch_size", "replicas", "message"),
    [
        (5, 1, "--batch_size is 5, expected a multiple of the 2 replicas"),
        (10, 5, "a worker has 4 photos to train on, expected one for each of its 5 replicas"),
    ],
)
def test_a_share_that_cannot_be_is_an_error(batch_size: int, replicas: int, message: str) -> None:
    parts = Split(train=tuple(range(10)), val=(11, 13))
    held = Squares(np.zeros((6, 8, 8, 4), np.uint8), (1, 3, 5, 7, 11, 13), (), (), ())
    with pytest.raises(InputError, match=message):
        sharding.deal(Told(replicas), held, parts, batch_size, 0)  # type: ignore[arg-type]


def test_blank_photos_fill_up_and_leave_the_mean_as_it_is() -> None:
    batches = list(
        loader.plain_batches(numbered(16), [3, 1, 15], batch_size=2, steps=3, weight=2.0).as_numpy_iterator()
    )
    images, ids, weights = (np.concatenate(part) for part in zip(*batches, strict=True))
    assert images.shape == (6, 17, 17, 3)
    np.testing.assert_array_equal(weights, [2, 2, 2, 0, 0, 0])
    assert (ids[3:] == VOID).all()
    assert (ids[:3] != VOID).all()


def test_workers_draw_the_scenes_of_one_between_them() -> None:
    settings = {"batch_size": 1, "seed": 3, "strength": 0.6}
    alone = endless.train_batches(48, **settings, steps=4).take(4).as_numpy_iterator()
    halves = [endless.train_batches(48, **settings, steps=2, worker=i, workers=2).take(2) for i in range(2)]
    together = [batch for pair in zip(*halves, strict=True) for batch in pair]
    for ours, theirs in zip(together, alone, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])
