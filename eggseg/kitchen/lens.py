"""What light, lens and sensor do to a clean photo: uneven light, haze, blur, colour casts, gamma, noise."""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from eggseg.kitchen.canvas import Rng, chance, uniform


@dataclasses.dataclass(frozen=True)
class Look:
    """Ranges of the effects of light, lens and sensor; each pair is (least, most)."""

    exposure: tuple[float, float] = (0.8, 1.25)  # factor on the automatic exposure
    gamma: tuple[float, float] = (0.8, 1.25)
    cast: float = 0.08  # white balance, relative change of a channel's gain
    blur: tuple[float, float] = (0.0, 0.9)  # standard deviation, pixels of a 640 pixel photo
    motion: float = 0.1  # probability of a blur along one axis
    noise: tuple[float, float] = (0.5, 5.0)  # grey levels
    vignette: tuple[float, float] = (0.0, 0.35)  # light lost in the corners
    shade: tuple[float, float] = (0.65, 1.0)  # the darkest of the uneven light


def expose(photo: Image.Image, look: Look, place: Rng, now: Rng) -> Image.Image:
    """Turn a clean drawing into a photo; `place` draws what a run of frames shares, `now` what is new in each frame."""
    w, h = photo.size
    photo = ImageChops.multiply(photo, _uneven(place, (w, h), look).convert("RGB"))
    if chance(place, 0.5):
        photo.paste((255, 255, 250), (0, 0), _glare(place, (w, h), uniform(place, 20, 130)))
    blur = uniform(place, *look.blur) * max(w, h) / 640 * uniform(now, 0.5, 1.3)
    if blur > 0.25:
        photo = photo.filter(ImageFilter.GaussianBlur(blur))
    if chance(now, look.motion):
        along = uniform(now, 0.5, 4) * max(w, h) / 640
        photo = photo.filter(ImageFilter.BoxBlur((along, 0) if chance(now, 0.5) else (0, along)))
    return _sensor(photo, _curve(look, _meter(photo), place, now), uniform(place, *look.noise), now)


def _uneven(rng: Rng, size: tuple[int, int], look: Look) -> Image.Image:
    """Low-frequency light with a vignette, 'L', 255 where no light is lost."""
    darkest = uniform(rng, *look.shade)
    cells = np.frombuffer(rng.bytes(12), np.uint8).reshape(3, 4).astype(np.float32) / 255
    small = Image.fromarray((255 * (darkest + (1 - darkest) * cells)).astype(np.uint8)).resize(
        (64, 64), Image.Resampling.BICUBIC
    )
    x = (np.arange(64, dtype=np.float32) - 31.5) / 31.5
    loss = 1 - np.float32(uniform(rng, *look.vignette) / 2) * (x[None] * x[None] + x[:, None] * x[:, None])
    lit = np.clip(np.asarray(small, np.float32) * loss, 0, 255).astype(np.uint8)
    return Image.fromarray(lit).resize(size, Image.Resampling.BILINEAR)


def _glare(rng: Rng, size: tuple[int, int], strength: float) -> Image.Image:
    """A soft pool of light at a random place, 'L'."""
    x = np.arange(64, dtype=np.float32)
    p = (x[None] - np.float32(uniform(rng, 0, 64))) / np.float32(uniform(rng, 6, 40))
    q = (x[:, None] - np.float32(uniform(rng, 0, 64))) / np.float32(uniform(rng, 6, 40))
    pool = np.maximum(1 - p * p - q * q, 0)
    return Image.fromarray((np.float32(strength) * pool * pool).astype(np.uint8)).resize(
        size, Image.Resampling.BILINEAR
    )


def _meter(photo: Image.Image) -> float:
    """The gain of the automatic exposure: half way from the photo's brightness to middle grey."""
    cells = np.asarray(photo.convert("L").resize((8, 8), Image.Resampling.BOX), np.int64)
    return (115 * 64 / max(64, int(cells.sum()))) ** 0.5


def _curve(look: Look, meter: float, place: Rng, now: Rng) -> list[int]:
    """Lookup tables of the three channels for white balance, exposure, gamma and black level; 3 x 256 values."""
    gain, gamma = meter * uniform(place, *look.exposure) * uniform(now, 0.95, 1.05), uniform(place, *look.gamma)
    warm, green, black = (
        uniform(place, -look.cast, look.cast),
        uniform(place, -look.cast, look.cast) / 4,
        uniform(place, -6, 14),
    )
    table = []
    for tilt in (warm, green, -warm):
        table += [
            min(255, max(0, round(black + (255 - black) * min(1.0, gain * (1 + tilt) * i / 255) ** gamma)))
            for i in range(256)
        ]
    return table


def _sensor(photo: Image.Image, curve: list[int], level: float, rng: Rng) -> Image.Image:
    """Apply the tables and add noise of triangular distribution, partly common to the channels."""
    pixels = np.asarray(photo.point(curve), np.int16)
    h, w, _ = pixels.shape
    grey = np.frombuffer(rng.bytes(h * w), np.uint8).reshape(h, w, 1).astype(np.int16)
    color = np.frombuffer(rng.bytes(h * w * 3), np.uint8).reshape(h, w, 3)
    # The standard deviation of uniform noise over 255 grey levels is 74; of the sum of two it is 104.
    grains = (grey + color - 255) * np.int16(round(level * 256 / 104)) >> 8
    return Image.fromarray(np.clip(pixels + grains, 0, 255).astype(np.uint8))
