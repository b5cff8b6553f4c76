"""Weights of a network in an .npz file that is small enough to come with eggseg, and safe to read.

The arrays are named `LAYER/INDEX`; INDEX counts the weights of the layer from 0. Kernels are float16. Vectors with one
number per channel are float32.
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

SCENES = Path(__file__).parent.parent / "pretrained" / "scenes.npz"
"""The weights of the model that comes with eggseg."""

MALFORMED = (
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
    *(ValueError, EOFError, OSError, NotImplementedError, RuntimeError),  # RuntimeError: an encrypted file
)
"""Exceptions that reading raises if the file is missing, damaged or of another format."""


def pack(network: keras.Model) -> dict[str, np.ndarray]:
    """The weights of a network as arrays for `np.savez`, in the format that `fill` reads."""
    return {
        f"{layer.name}/{i}": np.asarray(weight.astype(np.float16) if weight.ndim > 1 else weight, order="C")
        for layer in network.layers
        for i, weight in enumerate(layer.get_weights())
    }


def fill(network: keras.Model, path: Path) -> None:
    """Load a file with the arrays of `pack` into a network; `InputError` if the file is missing or does not fit.

    Each array is read only up to the size that the network expects, so a false size in the file cannot fill the memory.
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
    """Read the array `name` as float32; an error of `MALFORMED` if it is missing, damaged or not of `shape`.

    NumPy's own reader would allocate the size that the header claims.
    """
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
