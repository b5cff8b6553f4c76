"""Weights of a network in an .npz that is small enough to come with eggseg, and safe to read.

The arrays are named `LAYER/INDEX`, with the index of the weight in its layer. Kernels are float16, vectors of one
number per channel float32.
"""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eggseg.errors import InputError

if TYPE_CHECKING:
    import keras

MALFORMED = (
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
    *(ValueError, EOFError, OSError, NotImplementedError, RuntimeError),  # RuntimeError: an encrypted file
)
"""Exceptions on reading a damaged file, or one of another format."""


def pack(network: keras.Model) -> dict[str, np.ndarray]:
    """The weights of a network as arrays for `np.savez`, in the format that `fill` reads."""
    return {
        f"{layer.name}/{i}": np.asarray(weight.astype(np.float16) if weight.ndim > 1 else weight, order="C")
        for layer in network.layers
        for i, weight in enumerate(layer.get_weights())
    }


def fill(network: keras.Model, path: Path) -> None:
    """Load a file of `pack`'s arrays into a network; `InputError` for another format or another network.

    Reads and allocates no more than the weights of the network take, whatever the headers in the file claim.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            weights = [
                [_read(archive, f"{layer.name}/{i}", tuple(weight.shape)) for i, weight in enumerate(layer.weights)]
                for layer in network.layers
            ]
    except MALFORMED as error:
        raise InputError(f"{path} holds no weights of {network.name}: {error}") from None
    for layer, values in zip(network.layers, weights, strict=True):
        layer.set_weights(values)


def _read(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Read an array of the expected shape as float32. NumPy's own reader would allocate the size in the header."""
    try:
        info = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise ValueError(f"{name} is missing") from None
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed with another method than stored or deflated")
    with archive.open(info) as member:
        if np.lib.format.read_magic(member) != (1, 0):
            raise ValueError(f"{name} is not in version 1.0 of NumPy's format")
        stored_shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)
        if stored_shape != shape or fortran or dtype not in (np.float16, np.float32):
            raise ValueError(f"{name} is {stored_shape} {dtype}, expected {shape} float16 or float32")
        size = math.prod(shape) * dtype.itemsize
        content = member.read(size + 1)
    if len(content) != size:
        raise ValueError(f"{name} has another size than its header says")
    return np.frombuffer(content, dtype).reshape(shape).astype(np.float32)
