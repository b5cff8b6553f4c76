"""How TensorFlow starts: without the lines that it prints, and on GPUs with the memory that it needs, not all."""

from __future__ import annotations

import contextlib
import functools
import importlib.abc
import importlib.machinery
import os
import re
import sys
import tempfile
import types
from collections.abc import Callable, Iterator, Sequence

NOISE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|[IW]\d{4} |E\d{4} .*Unable to register cu\w+ factory"
)
"""How the lines begin that say nothing to users, such as that there is no GPU; errors begin otherwise."""


@contextlib.contextmanager
def prepared() -> Iterator[None]:
    """Hold back these lines if TensorFlow is imported for the first time inside.

    Two settings hold for the rest of the process, unless the environment already has them: the level of TensorFlow's
    later messages, and that it allocates GPU memory as needed instead of all at once.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds TensorFlow as Python does, with a loader that filters what is written to file descriptor 2."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(name, path, target) if name == "tensorflow" else None
        if spec and spec.loader:
            loader = spec.loader
            loader.exec_module = functools.partial(_filtered, loader.exec_module)  # type: ignore[method-assign]
        return spec


def _filtered(execute: Callable[[types.ModuleType], None], module: types.ModuleType) -> None:
    """Execute a module; what it writes to file descriptor 2, without `NOISE`, appears at the end."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            execute(module)
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            held_back.seek(0)
            os.write(2, b"".join(line for line in held_back if not NOISE.match(line)))
