"""Kitchen scenes with exact masks, each a function of (seed, index): settings, cameras, sessions.

The scenes come from several "sessions", as a real collection does: one camera, one place, files named alike. A session
goes on in runs of a few frames that share their table, camera, light and distractors while eggs, pans and hands move.
Dice come from `numpy.random.default_rng`, whole or uniform numbers only, so they fall alike on every machine.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from PIL import Image

from eggseg.data.classes import VOID
from eggseg.kitchen import places
from eggseg.kitchen.canvas import Canvas, Rng, uniform
from eggseg.kitchen.lens import Look, expose

VERSION = 3
"""Changes whenever the same seed gives other scenes."""

LONGEST = 1024
"""Long side, pixels, beyond which a photo is drawn smaller and resized up; its ids are always drawn at full size."""

Setting = Callable[[tuple[int, int], tuple[int, int], Rng, Rng], Canvas]


@dataclasses.dataclass(frozen=True)
class Session:
    """One camera at one place: how it names its files, its photo sizes (width, height), and what is before it."""

    names: tuple[str, ...]  # formats of one number, which take turns at it
    sizes: tuple[tuple[int, int], ...]
    setting: Setting
    look: Look
    step: int = 1  # between the numbers of neighbouring frames
    run: int = 5  # frames in a row that share their setting
    stretch: tuple[float, float] = (1.0, 1.0)  # least and most of the width that a wrong aspect ratio gives a photo


@dataclasses.dataclass(frozen=True)
class Frame:
    """Which photo an index stands for."""

    name: str
    size: tuple[int, int]  # width, height
    session: int
    run: int


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
)

CYCLE = (0, 1, 2, 4, 3, 8, 10, 7, 2, 1, 6, 4, 5, 8, 2, 0, 4, 10, 6, 9)
"""Which session each of twenty neighbouring indices belongs to."""


def frame(seed: int, index: int, run_length: int | None = None) -> Frame:
    """The name and size of a scene: neighbouring indices belong to different sessions, to the next frame of each.

    `run_length` frames in a row share their place; None is what is usual for the session.
    """
    if index < 0:
        raise ValueError(f"a scene's index is 0 or more, not {index}")
    lap, slot = divmod(index, len(CYCLE))
    which = CYCLE[slot]
    number = lap * CYCLE.count(which) + CYCLE[:slot].count(which)
    session = SESSIONS[which]
    run = number // (run_length or session.run)
    sizes = session.sizes
    dice = np.random.default_rng([seed, which, run, 1])
    size = sizes[int(dice.integers(len(sizes)))]
    count, turn = divmod(number, len(session.names))
    return Frame(session.names[turn].format(1 + count * session.step), size, which, run)


def draw(
    seed: int, index: int, size: tuple[int, int] | None = None, run_length: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Scene `index` of `seed`: a (h, w, 3) uint8 photo and its (h, w) uint8 class ids.

    `size` (width, height) in pixels replaces the session's own. The same pair gives the same arrays on any machine with
    the same versions of Pillow and NumPy, and the scene does not depend on how many others are drawn.
    """
    this = frame(seed, index, run_length)
    session = SESSIONS[this.session]
    full = size or this.size
    shrink = min(1.0, LONGEST / max(full))
    place, now = np.random.default_rng([seed, this.session, this.run, 2]), np.random.default_rng([seed, index])
    lens = np.random.default_rng([seed, this.session, this.run, 3])
    stretch = uniform(lens, *session.stretch)
    small = (max(1, round(full[0] * shrink / stretch)), max(1, round(full[1] * shrink)))
    canvas = session.setting(small, full, place, now)
    photo = expose(canvas.photo, session.look, lens, now)
    if small != full:
        photo = photo.resize(full, Image.Resampling.BICUBIC)
    return np.array(photo), np.array(canvas.ids)


def square(seed: int, index: int, size: int) -> np.ndarray:
    """Scene `index` of `seed`, a place of its own, as its square: (size, size, 4) uint8, as in `squares.Squares`."""
    width, height = frame(seed, index, 1).size
    width, height = (max(1, round(n * size / max(width, height))) for n in (width, height))
    top, left = (size - height) // 2, (size - width) // 2
    pixels = np.full((size, size, 4), (0, 0, 0, VOID), np.uint8)
    inner = pixels[top : top + height, left : left + width]
    inner[..., :3], inner[..., 3] = draw(seed, index, (width, height), 1)
    return pixels
