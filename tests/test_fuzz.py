from __future__ import annotations

import importlib.util
from collections import Counter
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


def test_a_jpeg_with_a_marker_that_pillow_does_not_know_is_pixels_or_refused() -> None:
    data = bytearray(decode.SOUND[0])
    assert data[:3] == b"\xff\xd8\xff"
    data[3] = 1
    outcomes: Counter[str] = Counter()
    decode.check(bytes(data), outcomes)
    assert outcomes == {"graph: pixels": 1, "Pillow: refused": 1, "mask: refused": 1}
