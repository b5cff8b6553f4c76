"""TensorFlow starts without a word, errors apart, and with the GPU memory that it needs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from eggseg import cli

PREPARED = "from eggseg.devices import startup\nwith startup.prepared():\n    "


def stderr(code: str, *, fails: bool = False) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_CPP")}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert bool(ran.returncode) == fails, ran.stderr
    return ran.stderr


def test_tensorflow_starts_without_a_word() -> None:
    assert stderr(PREPARED + "import tensorflow as tf; tf.constant(1) + 1; tf.config.list_physical_devices()") == ""


def test_other_lines_and_errors_get_through(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "tensorflow"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "import os\n"
        "os.write(2, b'WARNING: All log messages before absl::InitializeLog() is called\\n')\n"
        "os.write(2, b'I0000 00:00:1.2 3 cudart_stub.cc:31] No cuda drivers\\nF0000 no such instruction\\n')\n"
        "raise ImportError('no libtensorflow')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    lines = stderr(PREPARED + "import tensorflow", fails=True).splitlines()
    assert lines[0] == "F0000 no such instruction"
    assert lines[-1] == "ImportError: no libtensorflow"
    assert not [line for line in lines if "absl" in line or "cuda" in line]


@pytest.mark.parametrize(("given", "expected"), [(None, "true"), ("false", "false")])
def test_gpu_memory_is_taken_as_needed_unless_the_environment_says_otherwise(given, expected, monkeypatch) -> None:
    for name in ("TF_FORCE_GPU_ALLOW_GROWTH", "TF_CPP_MIN_LOG_LEVEL"):
        monkeypatch.setenv(name, given or "")  # restored after the test, whatever it sets
        monkeypatch.delenv(name)
    if given:
        monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", given)
    seen = []
    assert cli.run(lambda: seen.append(os.environ["TF_FORCE_GPU_ALLOW_GROWTH"]) or 0) == 0
    assert seen == [expected]


def test_nothing_is_left_behind() -> None:
    code = "import sys\nbefore = list(sys.meta_path)\n" + PREPARED + "pass\nassert sys.meta_path == before\n"
    assert stderr(code + "from importlib import resources; import PIL; resources.files('PIL')") == ""
