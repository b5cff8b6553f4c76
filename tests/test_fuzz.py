from __future__ import annotations

import importlib.util
from pathlib import Path

spec = importlib.util.spec_from_file_location("fuzz_decode", Path(__file__).parent / "fuzz" / "decode.py")
assert spec
assert spec.loader
decode = importlib.util.module_from_spec(spec)
spec.loader.exec_module(decode)


def test_damaged_files_are_pixels_or_an_error(tmp_path: Path) -> None:
    """The short form of `python tests/fuzz/decode.py`."""
    outcomes = decode.run(300, tmp_path / "damaged")
    assert outcomes["files"] >= 300
    assert all(outcomes[f"{way}: refused"] > 5 for way in ("graph", "Pillow", "mask"))
    assert all(outcomes[what] > 5 for what in ("graph: pixels", "Pillow: pixels", "mask: class ids"))
