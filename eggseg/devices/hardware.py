"""The processor or the GPUs that a run computes on, and which arithmetic they are fast at."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Literal

import tensorflow as tf

from eggseg.errors import InputError

Precision = Literal["float32", "bfloat16", "float16"]


def gpus(count: int = -1) -> list[str]:
    """Names of the first `count` GPUs, or of all with -1; `InputError` where there are fewer."""
    return [device.name.replace("physical_device:", "") for device in _devices(count)]


def use(count: int = -1) -> list[str]:
    """Compute on the first `count` GPUs and no others, on all with -1, on the processor with 0; the names of the GPUs.

    Each GPU's memory is taken as it is needed, not all of it at once. `InputError` where there are fewer GPUs, or where
    TensorFlow computes on others in this process already.
    """
    devices = _devices(count)
    try:
        tf.config.set_visible_devices(devices, "GPU")
    except RuntimeError:
        raise InputError(f"--num_gpus {count}: TensorFlow computes on other GPUs in this process already") from None
    for device in devices:
        try:
            tf.config.experimental.set_memory_growth(device, True)
        except RuntimeError:
            break  # it computes already, and has taken what it takes
    return gpus(count)


def description(count: int = -1) -> str:
    """What `use` computes on, in words."""
    devices = _devices(count)
    if not devices:
        return f"the processor ({_processor()}, {os.cpu_count()} cores)"
    names = {tf.config.experimental.get_device_details(device).get("device_name", "GPU") for device in devices}
    return f"{len(devices)} GPU{'s' if len(devices) > 1 else ''} ({', '.join(sorted(names))})"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return found[1] if found else platform.machine()


def _devices(count: int) -> list[tf.config.PhysicalDevice]:
    found = tf.config.list_physical_devices("GPU")
    if count > len(found):
        raise InputError(
            f"--num_gpus is {count}, TensorFlow finds {len(found)} here: expected 0 to {len(found)}, or -1"
        )
    return found if count < 0 else found[:count]


def precision(count: int = -1) -> Precision:
    """bfloat16 where the hardware multiplies it fast (AMX or AVX512-BF16, Ampere and newer), float16 on older GPUs."""
    devices = _devices(count)
    if not devices:
        return "bfloat16" if cpu_has_bfloat16() else "float32"
    capability = min(tf.config.experimental.get_device_details(d).get("compute_capability", (0, 0)) for d in devices)
    return "bfloat16" if capability >= (8, 0) else "float16" if capability >= (7, 0) else "float32"


def rewrite_to_bfloat16(wanted: bool) -> None:
    """Let TensorFlow compute in bfloat16, or not, what graphs have in float32: in functions that have not run yet."""
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": wanted})


def cpu_has_bfloat16() -> bool:
    """Whether the processor says that it has AMX or AVX512 instructions for bfloat16; False where nobody says."""
    info = Path("/proc/cpuinfo")
    return info.exists() and re.search(r"\b(amx_bf16|avx512_bf16)\b", info.read_text()) is not None
