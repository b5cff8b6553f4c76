"""Processes that draw scenes on all processors."""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import types
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any


class Pool(ProcessPoolExecutor):
    """Processes that do not run the main script again, as Python's own do: a script needs no `__main__` guard.

    They are spawned, not forked: a forked process could wait forever for a lock that one of TensorFlow's threads held.
    """

    def __init__(self) -> None:
        super().__init__(mp_context=multiprocessing.get_context("spawn"))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with _without_main_script():
            return super().submit(fn, *args, **kwargs)


@contextlib.contextmanager
def _without_main_script() -> Iterator[None]:
    """Context in which spawned processes find no main script to run."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
