"""Semantic segmentation of eggs and frying pans in kitchen photos."""

from __future__ import annotations

import importlib
import inspect
import sys
import types
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Run", "__version__", "audit", "evaluate", "load", "predict", "train"]

if TYPE_CHECKING:
    from eggseg.api import Run, audit, evaluate, load, predict, train

COMMANDS = ("audit", "evaluate", "predict", "train")
"""Names that are both a function of `eggseg.api` and a module of eggseg, which runs the command of that name."""


class _Command(types.ModuleType):
    """The module of a command; calling the module calls the function of the same name in `eggseg.api`."""

    def __call__(self, *args: Any, **settings: Any) -> Any:
        from eggseg import api

        return getattr(api, self.__name__.rpartition(".")[2])(*args, **settings)

    @property
    def __signature__(self) -> inspect.Signature:
        from eggseg import api

        return inspect.signature(getattr(api, self.__name__.rpartition(".")[2]))


def callable_command(name: str) -> None:
    """Make the imported module `name` of a command callable.

    `python -m eggseg.train` needs a module `eggseg.train`, and the Python API needs a function `eggseg.train`. A
    callable module serves as both.
    """
    sys.modules[name].__class__ = _Command


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    # Import late, so that `import eggseg` is quick.
    if name in COMMANDS:
        return importlib.import_module(f"eggseg.{name}")
    if name in __all__:
        return getattr(importlib.import_module("eggseg.api"), name)
    raise AttributeError(f"module 'eggseg' has no attribute {name!r}")
