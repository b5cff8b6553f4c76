"""Weights of a network in an .npz that is small enough to come with eggseg, and safe to read.

Each array is called `LAYER/INDEX`, as the layer's own weights are numbered: kernels in float16, the few numbers of each
channel in float32.
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
    *(ValueError, EOFError, OSError, NotImplementedError, RuntimeError),  # RuntimeError: it is encrypted
)
"""What reading a file of another kind, or a damaged one, may raise."""


def pack(network: keras.Model) -> dict[str, np.ndarray]:
    """The arrays that `fill` takes."""
    return {
        f"{layer.name}/{i}": np.asarray(weight.astype(np.float16) if weight.ndim > 1 else weight, order="C")
        for layer in network.layers
        for i, weight in enumerate(layer.get_weights())
    }


def fill(network: keras.Model, path: Path) -> None:
    """Give a network the weights in a file of `pack`'s arrays; `InputError` where it is none, or another network's.

    No more is read or allocated than the network's own weights take, whatever the file says of itself.
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
    """An array of that name and shape, as float32. NumPy's own reader would allocate whatever its header says."""
    try:
        info = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise ValueError(f"{name} is missing") from None
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed in a way whose size nothing bounds")
    with archive.open(info) as member:
        if np.lib.format.read_magic(member) != (1, 0):
            raise ValueError(f"{name} is not of version 1.0 of NumPy's format")
        found, fortran, dtype = np.lib.format.read_array_header_1_0(member)
        if found != shape or fortran or dtype not in (np.float16, np.float32):
            raise ValueError(f"{name} is {found} {dtype}, expected {shape} float16 or float32")
        size = math.prod(shape) * dtype.itemsize
        content = member.read(size + 1)
    if len(content) != size:
        raise ValueError(f"{name} has another size than it says")
    return np.frombuffer(content, dtype).reshape(shape).astype(np.float32)
