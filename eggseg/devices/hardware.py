"""The processor or the GPUs that a run uses, and the fastest precision of this hardware."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Literal

import tensorflow as tf

from eggseg.errors import InputError

Precision = Literal["float32", "bfloat16", "float16"]

_ISAS_WITHOUT_BFLOAT16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")
"""Values of oneDNN's environment variable `ONEDNN_MAX_CPU_ISA` that forbid the AVX512-BF16 and AMX instructions."""


def gpus(count: int = -1) -> list[str]:
    """Names, such as GPU:0, of the first `count` GPUs, or of all with -1; `InputError` if there are fewer."""
    return [device.name.replace("physical_device:", "") for device in _devices(count)]


def use(count: int = -1) -> list[str]:
    """Let TensorFlow see only the first `count` GPUs, all with -1, none with 0; return their names.

    `InputError` if there are fewer than `count` GPUs, or if TensorFlow already uses other GPUs in this process.
    """
    devices = _devices(count)
    try:
        tf.config.set_visible_devices(devices, "GPU")
    except RuntimeError:
        raise InputError(f"--num_gpus {count}: TensorFlow already uses other GPUs in this process") from None
    return gpus(count)


def description(count: int = -1) -> str:
    """One line for the user that names the processor, or the GPUs of `use(count)`."""
    devices = _devices(count)
    if not devices:
        return f"the processor ({_processor()}, {os.cpu_count()} cores)"
    names = {tf.config.experimental.get_device_details(device).get("device_name", "GPU") for device in devices}
    return f"{len(devices)} GPU{'s' if len(devices) > 1 else ''} ({', '.join(sorted(names))})"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return model[1] if model else platform.machine()


def _devices(count: int) -> list[tf.config.PhysicalDevice]:
    present = tf.config.list_physical_devices("GPU")
    if count > len(present):
        raise InputError(
            f"--num_gpus is {count}, TensorFlow finds {len(present)} here: expected 0 to {len(present)}, or -1"
        )
    return present if count < 0 else present[:count]


def fastest_precision(count: int = -1) -> Precision:
    """The fastest precision of the devices of `use(count)`.

    On a processor: bfloat16 if `cpu_has_bfloat16()`, else float32. On GPUs, by the lowest compute capability among
    them: bfloat16 from 8.0 (Ampere), float16 from 7.0, else float32.
    """
    devices = _devices(count)
    if not devices:
        return "bfloat16" if cpu_has_bfloat16() else "float32"
    capability = min(tf.config.experimental.get_device_details(d).get("compute_capability", (0, 0)) for d in devices)
    return "bfloat16" if capability >= (8, 0) else "float16" if capability >= (7, 0) else "float32"


def rewrite_to_bfloat16(wanted: bool) -> None:
    """Turn oneDNN's rewrite of float32 graphs to bfloat16 on or off, for the whole process.

    A `tf.function` that has already run keeps its precision.
    """
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": wanted})


def cpu_has_bfloat16() -> bool:
    """Whether /proc/cpuinfo lists AMX or AVX512 instructions for bfloat16, and `ONEDNN_MAX_CPU_ISA` allows them.

    False without /proc/cpuinfo. oneDNN fails on bfloat16 if `ONEDNN_MAX_CPU_ISA` forbids the instructions.
    """
    info = Path("/proc/cpuinfo")
    present = info.exists() and re.search(r"\b(amx_bf16|avx512_bf16)\b", info.read_text()) is not None
    return present and os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() not in _ISAS_WITHOUT_BFLOAT16
