"""PyTorch's older file format, read without PyTorch and without trust.

Such a file is a row of pickles (magic number, protocol, system, the state dict, the keys of its storages) and then the
raw storages. A pickle may run any code, so the unpickler here knows dictionaries and tensors and refuses all else.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from eggseg.errors import InputError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001

MALFORMED = (pickle.UnpicklingError, EOFError, LookupError, ValueError, TypeError, AttributeError)
"""What reading a file of another kind may raise."""


@dataclasses.dataclass
class _Storage:
    """A flat array that tensors are views of; its values stand at the end of the file."""

    dtype: np.dtype
    values: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        values = self.storage.values
        if values is None:
            raise ValueError("a tensor whose values are missing")
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        if min((*self.shape, *self.strides, self.offset), default=0) < 0 or not last < max(len(values), 1):
            raise ValueError("a tensor that reaches beyond its values")
        strides = [step * values.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides, writeable=False).copy()


def _rebuild_tensor(storage: _Storage, offset: int, shape: tuple, strides: tuple, *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage) or not all(isinstance(n, int) for n in (offset, *shape, *strides)):
        raise pickle.UnpicklingError("a tensor without a storage")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


_DTYPES = {
    ("torch", "DoubleStorage"): np.dtype("<f8"),
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "HalfStorage"): np.dtype("<f2"),
    ("torch", "LongStorage"): np.dtype("<i8"),
    ("torch", "IntStorage"): np.dtype("<i4"),
}
_ADMITTED = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    **_DTYPES,
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"{module}.{name} is neither a dictionary nor a tensor")
        return _ADMITTED[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, *_ = pid
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError(f"{kind} is no storage")
        return self.storages.setdefault(key, _Storage(dtype))


def read(path: Path) -> dict[str, np.ndarray]:
    """Read the tensors of a state dict by name; `InputError` where the file holds anything else."""
    try:
        with path.open("rb") as file:
            return _read(file)
    except MALFORMED as error:
        raise InputError(f"{path} is no state dict in PyTorch's older format: {error}") from None


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    whole = os.fstat(file.fileno()).st_size
    magic, protocol, _ = (_Unpickler(file).load() for _ in range(3))
    if (magic, protocol) != (MAGIC, PROTOCOL):
        raise ValueError("it does not begin as one")
    unpickler = _Unpickler(file)
    tensors = unpickler.load()
    for key in _Unpickler(file).load():
        storage = unpickler.storages[key]
        size = int.from_bytes(file.read(8), "little") * storage.dtype.itemsize
        if size > whole - file.tell():
            raise ValueError("it ends too early")
        storage.values = np.frombuffer(file.read(size), storage.dtype)
    others = [name for name, value in tensors.items() if not isinstance(value, _Tensor)]
    if others:
        raise ValueError(f"{others[0]} is no tensor")
    return {name: tensor.array() for name, tensor in tensors.items()}
