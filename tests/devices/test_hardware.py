from __future__ import annotations

import re
import types

import pytest
import tensorflow as tf

from eggseg.devices import hardware
from eggseg.errors import InputError


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Pretend to be a machine: GPUs by their compute capabilities, and the flags of the processor."""

    def pretend(*capabilities: tuple[int, int] | None, flags: str | None = "") -> None:
        devices = [types.SimpleNamespace(name=f"/physical_device:GPU:{i}") for i in range(len(capabilities))]
        details = {
            d.name: {} if c is None else {"compute_capability": c} for d, c in zip(devices, capabilities, strict=True)
        }
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: devices if kind == "GPU" else [])
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda d: details[d.name])
        info = tmp_path / "cpuinfo"
        if flags is not None:
            info.write_text(f"processor : 0\nflags\t\t: fpu {flags} sse2\n")
        monkeypatch.setattr(hardware, "Path", lambda _: info)
        monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)

    return pretend


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("avx2 amx_bf16", "bfloat16"),
        ("avx512_bf16", "bfloat16"),
        ("avx2 avx512f", "float32"),
        ("not_amx_bf16_yet", "float32"),
        (None, "float32"),
    ],
)
def test_precision_of_a_processor(machine, flags, expected):
    machine(flags=flags)
    assert hardware.fastest_precision() == expected


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [("AVX2", "float32"), ("avx512_core_vnni", "float32"), ("AVX512_CORE_BF16", "bfloat16"), ("DEFAULT", "bfloat16")],
)
def test_precision_of_a_processor_is_one_that_onednn_may_use(machine, monkeypatch, allowed, expected):
    machine(flags="avx512_bf16")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", allowed)
    assert hardware.fastest_precision() == expected


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ([(9, 0)], "bfloat16"),
        ([(8, 0), (8, 9)], "bfloat16"),
        ([(7, 5)], "float16"),
        ([(8, 0), (7, 0)], "float16"),
        ([(6, 1)], "float32"),
        ([None], "float32"),
    ],
)
def test_precision_of_gpus_is_that_of_the_oldest(machine, capabilities, expected):
    machine(*capabilities)
    assert hardware.fastest_precision() == expected


def test_precision_without_the_gpus_that_are_there_is_the_processors(machine):
    machine((9, 0), flags="avx2")
    assert hardware.fastest_precision(0) == "float32"


def test_precision_is_of_the_gpus_in_use(machine):
    machine((8, 0), (6, 1))
    assert hardware.fastest_precision(1) == "bfloat16"


@pytest.mark.parametrize(("wanted", "found"), [(-1, 3), (0, 0), (2, 2), (3, 3)])
def test_the_first_gpus_are_taken(machine, wanted, found):
    machine((8, 0), (8, 0), (8, 0))
    assert hardware.gpus(wanted) == ["/GPU:0", "/GPU:1", "/GPU:2"][:found]


@pytest.mark.parametrize(
    ("there", "message"), [(0, "finds 0 here: expected 0 to 0"), (3, "finds 3 here: expected 0 to 3")]
)
def test_more_gpus_than_there_are_is_an_error(machine, there, message):
    machine(*[(8, 0)] * there)
    for ask in (hardware.gpus, hardware.use, hardware.fastest_precision, hardware.description):
        with pytest.raises(InputError, match=f"--num_gpus is 4, TensorFlow {message}"):
            ask(4)


@pytest.mark.parametrize("wanted", [-1, 0, 1])
def test_tensorflow_sees_the_gpus_that_are_used(machine, monkeypatch, wanted):
    machine((8, 0), (8, 0))
    devices = tf.config.list_physical_devices("GPU")
    seen = []
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda given, kind: seen.extend(given))
    expected = devices[: wanted if wanted >= 0 else 2]
    assert hardware.use(wanted) == [f"/GPU:{i}" for i in range(len(expected))]
    assert seen == expected


def test_gpus_that_tensorflow_computes_on_already_cannot_be_left_out(machine, monkeypatch):
    machine((8, 0), (8, 0))

    def late(*_: object) -> None:
        raise RuntimeError("Visible devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "set_visible_devices", late)
    with pytest.raises(InputError, match="--num_gpus 1: TensorFlow already uses other GPUs in this process"):
        hardware.use(1)


def test_what_is_computed_on_is_told_in_words(machine):
    machine((8, 0), (8, 0))
    assert hardware.description() == "2 GPUs (GPU)"
    assert hardware.description(1) == "1 GPU (GPU)"
    assert re.fullmatch(r"the processor \(.+, \d+ cores\)", hardware.description(0))
