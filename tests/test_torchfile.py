from __future__ import annotations

import collections
import io
import os
import pickle
import struct
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from eggseg import torchfile
from eggseg.errors import InputError

STORAGES = {"<f4": "FloatStorage", "<f8": "DoubleStorage", "<f2": "HalfStorage", "<i8": "LongStorage"}


class Stored:
    """Stands for one of PyTorch's storages; the pickler below writes what PyTorch would."""

    def __init__(self, key: str, values: np.ndarray) -> None:
        self.key, self.values = key, values


class Rebuilt:
    def __init__(self, *args: object) -> None:
        self.args = args

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.args


@pytest.fixture(autouse=True)
def torch_names(monkeypatch):
    """Modules of PyTorch's names, so that pickle can write them; none of PyTorch is needed."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2(*args):
        raise AssertionError("only written, never called")

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


class Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        if isinstance(obj, Stored):
            kind = getattr(sys.modules["torch"], STORAGES[obj.values.dtype.str])
            return "storage", kind, obj.key, "cpu", len(obj.values), None
        return None


def write(path: Path, tensors: dict, storages: list[Stored], *, magic: int = torchfile.MAGIC) -> Path:
    buffer = io.BytesIO()
    for part in (magic, 1001, {"little_endian": True}):
        pickle.dump(part, buffer, protocol=2)
    Pickler(buffer, protocol=2).dump(tensors)
    pickle.dump([s.key for s in storages], buffer, protocol=2)
    for s in storages:
        buffer.write(struct.pack("<q", len(s.values)) + s.values.tobytes())
    path.write_bytes(buffer.getvalue())
    return path


def tensor(stored: Stored, offset: int, shape: tuple, strides: tuple) -> Rebuilt:
    return Rebuilt(stored, offset, shape, strides, False, collections.OrderedDict())


def test_tensors_come_back_by_name(tmp_path):
    first, second = Stored("a", np.arange(6, dtype="<f4")), Stored("b", np.array([7], "<i8"))
    tensors = collections.OrderedDict(
        x=tensor(first, 0, (2, 3), (3, 1)), turned=tensor(first, 0, (3, 2), (1, 3)), n=tensor(second, 0, (), ())
    )
    found = torchfile.read(write(tmp_path / "w.pth", tensors, [first, second]))
    assert list(found) == ["x", "turned", "n"]
    np.testing.assert_array_equal(found["x"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(found["turned"], [[0, 3], [1, 4], [2, 5]])
    assert (found["x"].dtype, found["n"].dtype, found["n"].item()) == ("float32", "int64", 7)


@pytest.mark.parametrize("dtype", ["<f8", "<f2"])
def test_other_widths_of_number(tmp_path, dtype):
    stored = Stored("a", np.array([0.5, -2], dtype))
    found = torchfile.read(write(tmp_path / "w.pth", {"x": tensor(stored, 1, (1,), (1,))}, [stored]))
    np.testing.assert_array_equal(found["x"], np.array([-2], dtype))


def test_a_tensor_beyond_its_storage_is_refused(tmp_path):
    stored = Stored("a", np.arange(4, dtype="<f4"))
    for bad in (
        tensor(stored, 0, (5,), (1,)),
        tensor(stored, 3, (2,), (1,)),
        tensor(stored, 0, (2,), (-1,)),
        tensor(stored, 0, (2,), (2**40,)),
    ):
        with pytest.raises(InputError, match="beyond its values"):
            torchfile.read(write(tmp_path / "w.pth", {"x": bad}, [stored]))


class Harmful:
    def __reduce__(self):
        return os.system, ("touch harm",)


def test_code_in_the_file_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="system is neither a dictionary nor a tensor"):
        torchfile.read(write(tmp_path / "w.pth", {"x": Harmful()}, []))
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("content", [{"x": 3}, {"x": [1, 2]}, {"x": {"y": None}}])
def test_anything_but_tensors_is_refused(tmp_path, content):
    with pytest.raises(InputError, match="x is no tensor"):
        torchfile.read(write(tmp_path / "w.pth", content, []))


def test_a_file_that_ends_early_or_is_another_is_refused(tmp_path):
    stored = Stored("a", np.arange(4, dtype="<f4"))
    whole = write(tmp_path / "w.pth", {"x": tensor(stored, 0, (4,), (1,))}, [stored]).read_bytes()
    for content in (whole[:-1], whole[:40], b"", b"PK\x03\x04 a zip", b"hello"):
        (tmp_path / "cut.pth").write_bytes(content)
        with pytest.raises(InputError, match=r"cut\.pth is no state dict in PyTorch's older format"):
            torchfile.read(tmp_path / "cut.pth")
    with pytest.raises(InputError, match="does not begin as one"):
        torchfile.read(write(tmp_path / "w.pth", {}, [], magic=1))


def test_a_missing_storage_is_refused(tmp_path):
    stored = Stored("a", np.arange(4, dtype="<f4"))
    with pytest.raises(InputError, match="values are missing"):
        torchfile.read(write(tmp_path / "w.pth", {"x": tensor(stored, 0, (4,), (1,))}, []))
