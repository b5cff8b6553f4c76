"""Shared by the benchmarks: measuring in turns, Markdown tables, a description of the machine."""

from __future__ import annotations

import importlib.metadata
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import psutil

WANTED = "install it for these rows: pip install -r benchmarks/requirements.txt"


def in_turns(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each of `works`, over `rounds` after a warm-up round.

    They run in turns, so that a machine that slows down slows all of them alike, and their ratios hold.
    """
    times = np.zeros((rounds + 1, len(works)))
    for turn in times:
        for i, work in enumerate(works.values()):
            start = time.perf_counter()
            work()
            turn[i] = time.perf_counter() - start
    return dict(zip(works, np.median(times[1:], axis=0).tolist(), strict=True))


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table: the first column aligned left, the others right."""
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def description() -> str:
    """One line: processor, cores, memory, vector instructions, versions of libraries."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*:\s*(.+)", info)
    flags = sorted(set(re.findall(r"\b(?:amx_\w+|avx2|avx512f|avx512_\w+)\b", info)))
    versions = []
    for name in ("tensorflow", "keras", "torch", "onnxruntime", "pillow"):
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"no {name}")
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{model[1] if model else 'unknown processor'}, {os.cpu_count()} cores, {memory:.0f} GiB; "
        f"{' '.join(flags) or 'no AVX'}; {', '.join(versions)}."
    )


if __name__ == "__main__":
    print(description())
