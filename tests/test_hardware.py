from __future__ import annotations

import types

import pytest
import tensorflow as tf

from eggseg import hardware


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
    assert hardware.precision() == expected


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
    assert hardware.precision() == expected


def test_precision_without_the_gpus_that_are_there_is_the_processors(machine):
    machine((9, 0), flags="avx2")
    assert hardware.precision(0) == "float32"


def test_precision_is_of_the_gpus_in_use(machine):
    machine((8, 0), (6, 1))
    assert hardware.precision(1) == "bfloat16"


@pytest.mark.parametrize(("most", "count"), [(-1, 3), (0, 0), (2, 2), (9, 3)])
def test_at_most_so_many_gpus(machine, most, count):
    machine((8, 0), (8, 0), (8, 0))
    assert hardware.gpus(most) == ["/GPU:0", "/GPU:1", "/GPU:2"][:count]
