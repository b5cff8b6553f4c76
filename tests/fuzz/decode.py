"""Fuzz every decoder with damaged files: each gives pixels or an error; none crashes, hangs or exhausts memory.

    python tests/fuzz/decode.py --count 20000

Each file that the graph decodes must also open in Pillow, with the same size and orientation. Pillow is told of the
one JPEG marker that it does not know, TEM, for the files that it refuses.

Files of every format are damaged like by disks, networks and faulty programs: bits flipped, bytes overwritten, pieces
cut out, cut off, doubled, or taken from another file. The current file lies at --scratch, also after a crash.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from helpers.formats import FILES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from PIL import JpegImagePlugin

from eggseg.data import masks
from eggseg.data.classes import EGGS_AND_PANS
from eggseg.pictures import decoding, pillow
from eggseg.pictures.pillow import PictureError

MAX_PIXELS = 1_000_000
HANGS = 60
"""Seconds per file, after which a decoder counts as hanging."""

BYTES = st.integers(0, 255)
ODD = st.sampled_from((0, 1, 127, 128, 254, 255))
"""Byte values at which lengths and sizes overflow."""

TEM = {0xFF01: ("TEM", "temporary", None)}
"""The one marker that libjpeg skips and Pillow does not know, as in `JpegImagePlugin.MARKER`."""

SOUND = [file.data for file in FILES.values()]


@tf.function(input_signature=[tf.TensorSpec((), tf.string)], autograph=False)
def in_graph(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    return decoding.decode_turned(data, 64, MAX_PIXELS)


def in_pillow(data: bytes) -> tuple[int, tuple[int, int]]:
    """Orientation and upright (height, width); `PictureError` if Pillow cannot open the file."""
    with pillow.opened(io.BytesIO(data), MAX_PIXELS) as picture:
        width, height = picture.size
        tag = pillow.orientation_tag(picture, data)
    return tag, (height, width) if tag < 5 else (width, height)


@st.composite
def damaged(draw: DrawFn) -> bytes:
    """An intact file with one to four kinds of damage, half of it near the start, where the lengths are stored."""
    data = bytearray(draw(st.sampled_from(SOUND)))
    for _ in range(draw(st.integers(1, 4))):
        last = max(0, len(data) - 1)
        place = st.integers(0, min(64, last)) | st.integers(0, last)
        at, length = draw(place), draw(st.integers(0, 64))
        kind = draw(st.sampled_from(("flip", "flip", "set", "set", "cut", "end", "double", "borrow")))
        if not data:
            break
        if kind == "flip":
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set":
            data[at] = draw(ODD | BYTES)
        elif kind == "cut":
            del data[at : at + length]
        elif kind == "end":
            del data[at:]
        elif kind == "double":
            data[at:at] = data[at : at + length]
        else:
            other = draw(st.sampled_from(SOUND))
            start = draw(st.integers(0, len(other) - 1))
            data[at : at + length] = other[start : start + length]
    return bytes(data)


def check(data: bytes, outcomes: Counter[str]) -> None:
    """Decode as a photo, in the graph and by Pillow, and as a mask; each must give pixels or the expected error."""
    try:
        photo, shape, tag = in_graph(data)
        assert photo.dtype == tf.uint8
        assert photo.shape[2] == 3
        assert 1 <= int(tag) <= 8
        assert int(tf.reduce_prod(shape)) <= MAX_PIXELS
        try:
            expected = in_pillow(data)
        except PictureError:
            with patch.dict(JpegImagePlugin.MARKER, TEM):
                expected = in_pillow(data)
        assert expected == (int(tag), tuple(shape.numpy()))
        outcomes["graph: pixels"] += 1
    except tf.errors.InvalidArgumentError:
        outcomes["graph: refused"] += 1
    try:
        pixels, _ = pillow.decode(data, MAX_PIXELS)
        assert pixels.dtype == np.uint8
        assert pixels.shape[2] == 3
        outcomes["Pillow: pixels"] += 1
    except PictureError:
        outcomes["Pillow: refused"] += 1
    try:
        mask = masks.read(data, EGGS_AND_PANS, MAX_PIXELS)
        assert sum(mask.labels.class_pixels) + sum(mask.labels.strays.values()) == mask.ids.size
        outcomes["mask: class ids"] += 1
    except PictureError:
        outcomes["mask: refused"] += 1


def run(count: int, scratch: Path, strategy: SearchStrategy[bytes] | None = None) -> Counter[str]:
    """Check `count` damaged files; return how often each outcome occurred."""
    outcomes: Counter[str] = Counter()

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy or damaged())
    def every(data: bytes) -> None:
        scratch.write_bytes(data)
        faulthandler.dump_traceback_later(HANGS, exit=True)
        check(data, outcomes)
        outcomes["files"] += 1

    try:
        every()
    finally:
        faulthandler.cancel_dump_traceback_later()
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="number of damaged files")
    parser.add_argument(
        "--scratch", type=Path, default=Path(tempfile.gettempdir(), "damaged"), help="where to write the current file"
    )
    args = parser.parse_args()
    faulthandler.enable()
    start = time.perf_counter()
    outcomes = run(args.count, args.scratch)
    minutes, peak = (time.perf_counter() - start) / 60, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for outcome, times in sorted(outcomes.items()):
        print(f"{outcome:<16} {times:>8}")
    print(f"{minutes:.1f} minutes, peak memory {peak:.0f} MiB")
    args.scratch.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
