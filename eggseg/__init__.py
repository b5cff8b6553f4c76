"""Semantic segmentation of eggs and frying pans in kitchen photos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "load"]

if TYPE_CHECKING:
    from eggseg.exported.saved_model import load


def __getattr__(name: str) -> Any:
    # TensorFlow takes seconds to import: only those who load a model wait for it.
    if name == "load":
        from eggseg.exported.saved_model import load

        return load
    raise AttributeError(f"module 'eggseg' has no attribute {name!r}")
