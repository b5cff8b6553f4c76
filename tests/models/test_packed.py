from __future__ import annotations

import contextlib
import io
import tracemalloc
import zipfile
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers

from eggseg.errors import InputError
from eggseg.models import packed


def network(units: int = 2) -> keras.Model:
    inputs = keras.Input((3,))
    return keras.Model(inputs, layers.Dense(units, name="dense")(inputs), name="small")


ARRAYS = {"dense/0": np.arange(6, dtype=np.float16).reshape(3, 2), "dense/1": np.array([0.25, -1], np.float32)}
NETWORK = network()


def npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def zipped(members: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def npy(array: np.ndarray, **header: object) -> bytes:
    """An array as NumPy writes it, with a header that may lie."""
    buffer = io.BytesIO()
    said = {"descr": "<f4", "fortran_order": False, "shape": array.shape} | header
    np.lib.format.write_array_header_1_0(buffer, said)
    return buffer.getvalue() + array.tobytes()


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "w.npz"
    path.write_bytes(content)
    return path


def test_what_is_packed_comes_out(tmp_path: Path) -> None:
    packed.fill(NETWORK, written(tmp_path, npz(ARRAYS)))
    kernel, bias = NETWORK.get_layer("dense").get_weights()
    np.testing.assert_array_equal(kernel, [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(bias, [0.25, -1])
    again = packed.pack(NETWORK)
    assert {name: array.dtype for name, array in again.items()} == {"dense/0": np.float16, "dense/1": np.float32}
    for name, array in again.items():
        np.testing.assert_array_equal(array, ARRAYS[name])


BIAS = npy(np.zeros(2, np.float32))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello", "not a zip file"),
        (b"", "not a zip file"),
        (npz({"dense/0": ARRAYS["dense/0"]}), "dense/1 is missing"),
        (npz({"other": np.zeros(3)}), "dense/0 is missing"),
        (npz(ARRAYS | {"dense/0": np.zeros((2, 3), np.float32)}), r"dense/0 is \(2, 3\) float32, expected \(3, 2\)"),
        (npz(ARRAYS | {"dense/1": np.zeros(2)}), r"dense/1 is \(2,\) float64"),
        (npz(ARRAYS | {"dense/1": np.array([{}, {}])}), r"dense/1 is \(2,\) object"),
        (zipped({"dense/0": npy(np.zeros(6, np.float32), shape=(3, 2)) + b"more", "dense/1": BIAS}), "another size"),
        (zipped({"dense/0": npy(np.zeros(5, np.float32), shape=(3, 2)), "dense/1": BIAS}), "another size"),
        (zipped({"dense/0": b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "dense/1": BIAS}), "not in version 1.0"),
        (zipped({"dense/0": BIAS, "dense/1": BIAS}, zipfile.ZIP_BZIP2), "another method than stored or deflated"),
        (zipped({"dense/0": b"\x93NUMPY\x01\x00\x03\x00'''", "dense/1": BIAS}), "holds no weights of small"),
    ],
    ids=[
        *("text", "empty", "missing", "another network's", "another shape", "another dtype", "objects", "longer"),
        *("shorter", "another version", "another compression", "a header that is no literal"),
    ],
)
def test_a_file_of_anything_else_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    before = NETWORK.get_weights()
    with pytest.raises(InputError, match=message) as error:
        packed.fill(NETWORK, written(tmp_path, content))
    assert str(tmp_path / "w.npz") in str(error.value)
    for ours, theirs in zip(NETWORK.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.npz"):
        packed.fill(NETWORK, tmp_path / "gone.npz")


@pytest.mark.parametrize("shape", [(10**15,), (2**31, 2), (3, 2, 2**28)])
def test_a_header_that_announces_gigabytes_costs_nothing(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = written(tmp_path, zipped({"dense/0": npy(np.zeros(6, np.float32), shape=shape), "dense/1": BIAS}))
    assert path.stat().st_size < 1000
    tracemalloc.start()
    with pytest.raises(InputError, match="expected"):
        packed.fill(NETWORK, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6


def test_a_member_of_100_megabytes_is_not_unpacked(tmp_path: Path) -> None:
    long = npy(np.zeros(6, np.float32), shape=(3, 2)) + bytes(100_000_000)
    path = written(tmp_path, zipped({"dense/0": long, "dense/1": BIAS}))
    assert path.stat().st_size < 200_000
    del long
    tracemalloc.start()
    with pytest.raises(InputError, match="another size"):
        packed.fill(NETWORK, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6


SOUND = npz(ARRAYS)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(SOUND) - 1), st.integers(0, 255), st.booleans())
def test_damage_is_an_error_in_words(tmp_path: Path, at: int, value: int, cut: bool) -> None:
    damaged = SOUND[:at] if cut else SOUND[:at] + bytes([value]) + SOUND[at + 1 :]
    with contextlib.suppress(InputError):
        packed.fill(NETWORK, written(tmp_path, damaged))
