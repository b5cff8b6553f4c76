"""Small made-up data sets, and settings of a network that trains on them in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from eggseg.data.squares import Squares

SIZES = ((96, 64), (64, 96), (77, 51), (120, 90))  # width, height


def draw(folder: Path, count: int, seed: int = 0, noise: int = 0) -> Path:
    """Write `count` photos and masks, each with one pan and one egg: JPEG and PNG in turn, in the sizes of `SIZES`.

    Pan and egg have one colour each, or `noise` grey levels of noise.
    """
    rng = np.random.default_rng(seed)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for i in range(count):
        width, height = SIZES[i % len(SIZES)]
        ids = np.zeros((height, width), np.uint8)
        y, x = np.mgrid[:height, :width]
        for value, radius in ((255, 0.24), (128, 0.14)):
            cy, cx = rng.uniform(0.25, 0.75, 2) * (height, width)
            ids[(y - cy) ** 2 + (x - cx) ** 2 < (radius * min(height, width)) ** 2] = value
        image = rng.integers(100, 140, (height, width, 3))
        image[ids == 255] = (30, 30, 35)
        image[ids == 128] = (230, 200, 160)
        if noise:
            image = np.clip(image + rng.integers(-noise, noise + 1, image.shape), 0, 255)
        name = f"photo_{i}.{'png' if i % 2 else 'jpg'}"
        Image.fromarray(image.astype(np.uint8)).save(folder / "images" / name, quality=92)
        Image.fromarray(ids).convert("RGB").save(folder / "masks" / name, quality=92)
    return folder


SMALL = (
    *("--encoder", "plain", "--image_size", "49", "--base_filters", "4", "--depth", "2", "--batch_size", "4"),
    *("--precision", "float32", "--learning_rate", "1.5e-3", "--dice", "0"),
)
"""Settings of a network that trains in seconds."""


def numbered(count: int, size: int = 17) -> Squares:
    """Squares in which every pixel is the index of the square."""
    from eggseg.data.squares import Squares

    pixels = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, size, size, 4)).copy()
    pixels[..., 3] %= 3
    return Squares(pixels, tuple(range(count)), (), (), ())
