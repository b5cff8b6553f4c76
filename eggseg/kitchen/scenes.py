"""Draw kitchen scenes with exact masks. The seed, the index and the run length determine a scene.

Like a real collection, the scenes come from several camera sessions. A session has one camera, one kind of place and
its own file names. A session consists of runs. A run is a few consecutive frames that share table, light and, apart
from small movements, the camera; hands, eggs and most pans move. Random numbers are the same on every machine: they
come from `numpy.random.default_rng`, only as integers, bytes and uniform floats.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from PIL import Image

from eggseg.data.classes import VOID
from eggseg.kitchen import cooking, places
from eggseg.kitchen.canvas import Canvas, Rng, uniform
from eggseg.kitchen.lens import Look, expose

VERSION = 4
"""Version of the drawing code. Increase the version with each change after which a seed gives different scenes."""

LONGEST = 1024
"""Longest side, in pixels, at which photos are drawn.

A larger photo is drawn at this size, then enlarged; its class ids are drawn at full size.
"""

Setting = Callable[[tuple[int, int], tuple[int, int], Rng, Rng], Canvas]


@dataclasses.dataclass(frozen=True)
class Session:
    """One camera in one kind of place: its file names, photo sizes, place and look."""

    names: tuple[str, ...]  # patterns of the file name; frames take them in turn
    sizes: tuple[tuple[int, int], ...]  # width, height, pixels; each run takes one of them at random
    setting: Setting  # draws the place
    look: Look
    step: int = 1  # difference between the numbers in consecutive file names of one pattern
    run: int = 5  # frames in a run: consecutive frames with the same table, camera position and light
    stretch: tuple[float, float] = (1.0, 1.0)  # range of the factor that widens photos, for wrong aspect ratios


@dataclasses.dataclass(frozen=True)
class Frame:
    """What `frame` returns for a scene: file name, size, session and run."""

    name: str
    size: tuple[int, int]  # width, height, pixels
    session: int  # index in `SESSIONS`
    run: int  # index of the run in the session


DARK = Look((0.45, 1.05), (0.9, 1.4), 0.16, (0.2, 1.6), 0.3, (2, 10), (0.1, 0.6), (0.4, 0.9))
BRIGHT = Look((1.2, 1.7), (0.7, 1.0), 0.06, (0.3, 1.6), 0.2, (0.5, 4), (0.1, 0.8), (0.7, 1.0))
SHARP = Look(blur=(0, 0.5), noise=(0.3, 3))
ANY = Look((0.6, 1.4), (0.7, 1.4), 0.2, (0, 1.4), 0.2, (0.3, 9), (0, 0.6), (0.4, 1.0))
COOL = Look(cast=0.16)

SESSIONS = (
    Session(("overhead_{:04d}.png",), ((640, 480),), places.overhead, COOL, 3),
    Session(
        ("table_{}.png",), ((1280, 720), (1280, 720), (1280, 720), (640, 480)), places.aslant, Look(blur=(0.2, 1.0)), 4
    ),
    Session(("kitchen_{:07d}.jpg",), ((456, 256),), places.kitchen, DARK, 37),
    Session(("phone ({}).jpg",), ((816, 612), (816, 612), (816, 612), (1632, 1224)), places.plate_top, SHARP),
    Session(("image_{}.png", "image_{}.jpg"), ((640, 480),), places.anything, ANY, run=2),
    Session(("side ({}).JPG",), ((816, 612),), places.plate_side, SHARP),
    Session(
        ("portrait_{}.jpg",),
        ((540, 960), (960, 540), (1280, 720)),
        places.closeup,
        Look(exposure=(0.3, 1.1)),
        stretch=(1, 1.8),
    ),
    Session(("carton_{}.png",), ((640, 480),), places.carton_scene, Look()),
    Session(("hob_{:05d}.png",), ((640, 480), (960, 540)), places.stove, ANY, 5),
    Session(("wide_{:06d}.jpg",), ((2048, 750), (1024, 375), (1024, 375)), places.desk, BRIGHT, 11),
    Session(("finger ({}).jpg",), ((1632, 1224), (816, 612), (816, 612), (3264, 2448)), places.closeup, SHARP),
    Session(("frying-{}.jpg",), ((800, 600), (600, 800), (1024, 683)), cooking.frying, ANY, run=2),
    Session(("served-{}.jpg",), ((800, 600), (600, 800), (1024, 683)), cooking.served, ANY, run=2),
    Session(("dozen-{}.jpg",), ((1024, 683), (800, 600)), cooking.rows, ANY, run=2),
)

CYCLE = (0, 1, 2, 4, 3, 8, 10, 7, 11, 12, 2, 1, 6, 4, 11, 5, 8, 13, 2, 12, 0, 4, 11, 10, 6, 9, 11)
"""Sessions, as indices in `SESSIONS`, of the first scenes; the next scenes repeat this cycle.

A session that occurs n times here has n of every `len(CYCLE)` scenes.
"""


def frame(seed: int, index: int, run_length: int | None = None) -> Frame:
    """The file name, size, session and run of scene `index`, without drawing; `CYCLE` gives its session.

    A run has `run_length` frames, 1 or more; None takes the session's own run length. `ValueError` if `index` is
    negative.
    """
    if index < 0:
        raise ValueError(f"a scene's index is 0 or more, not {index}")
    lap, slot = divmod(index, len(CYCLE))
    session_id = CYCLE[slot]
    number = lap * CYCLE.count(session_id) + CYCLE[:slot].count(session_id)
    session = SESSIONS[session_id]
    run = number // (run_length or session.run)
    sizes = session.sizes
    rng = np.random.default_rng([seed, session_id, run, 1])
    size = sizes[int(rng.integers(len(sizes)))]
    position, pattern = divmod(number, len(session.names))
    return Frame(session.names[pattern].format(1 + position * session.step), size, session_id, run)


def draw(
    seed: int, index: int, size: tuple[int, int] | None = None, run_length: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Scene `index` of `seed`: a (h, w, 3) uint8 photo and its (h, w) uint8 class ids.

    `size` (width, height) in pixels overrides the session's size. The same arguments give the same arrays on any
    machine with the same versions of Pillow and NumPy, however many other scenes are drawn.
    """
    this_frame = frame(seed, index, run_length)
    session = SESSIONS[this_frame.session]
    full = size or this_frame.size
    shrink = min(1.0, LONGEST / max(full))
    run_rng = np.random.default_rng([seed, this_frame.session, this_frame.run, 2])
    frame_rng = np.random.default_rng([seed, index])
    lens_rng = np.random.default_rng([seed, this_frame.session, this_frame.run, 3])
    stretch = uniform(lens_rng, *session.stretch)
    small = (max(1, round(full[0] * shrink / stretch)), max(1, round(full[1] * shrink)))
    canvas = session.setting(small, full, run_rng, frame_rng)
    photo = expose(canvas.photo, session.look, lens_rng, frame_rng)
    if small != full:
        photo = photo.resize(full, Image.Resampling.BICUBIC)
    return np.array(photo), np.array(canvas.ids)


def square(seed: int, index: int, size: int) -> np.ndarray:
    """Scene `index` of `seed` at run length 1, letterboxed: (size, size, 4) uint8, as in `squares.Squares`."""
    width, height = frame(seed, index, 1).size
    width, height = (max(1, round(n * size / max(width, height))) for n in (width, height))
    top, left = (size - height) // 2, (size - width) // 2
    pixels = np.full((size, size, 4), (0, 0, 0, VOID), np.uint8)
    inner = pixels[top : top + height, left : left + width]
    inner[..., :3], inner[..., 3] = draw(seed, index, (width, height), 1)
    return pixels
