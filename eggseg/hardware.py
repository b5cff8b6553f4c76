"""What the machine is fast at."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import tensorflow as tf

Precision = Literal["float32", "bfloat16", "float16"]


def gpus(most: int = -1) -> list[str]:
    """Names of the GPUs to compute on, the first `most` of them; all with -1."""
    return [device.name.replace("physical_device:", "") for device in _devices(most)]


def _devices(most: int) -> list[tf.config.PhysicalDevice]:
    found = tf.config.list_physical_devices("GPU")
    return found if most < 0 else found[:most]


def precision(most_gpus: int = -1) -> Precision:
    """bfloat16 where the hardware multiplies it fast (AMX or AVX512-BF16, Ampere and newer), float16 on older GPUs."""
    devices = _devices(most_gpus)
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
