"""Effects of light, lens and sensor on a clean drawing: uneven light, glare, blur, colour cast, gamma, noise."""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from eggseg.kitchen.canvas import Rng, chance, uniform


@dataclasses.dataclass(frozen=True)
class Look:
    """Ranges of the effects of light, lens and sensor; each pair is (least, most)."""

    exposure: tuple[float, float] = (0.8, 1.25)  # factor on the automatic exposure; each frame varies it by up to 5 %
    gamma: tuple[float, float] = (0.8, 1.25)  # exponent of brightness; above 1 is darker
    cast: float = 0.08  # white balance: largest relative change of the gains of red and blue; green has a quarter
    blur: tuple[float, float] = (0.0, 0.9)  # standard deviation, 1/640 of the long side; times 0.5 to 1.3 in each frame
    motion: float = 0.1  # probability of motion blur, along one axis of the photo
    noise: tuple[float, float] = (0.5, 5.0)  # standard deviation, grey levels
    vignette: tuple[float, float] = (0.0, 0.35)  # fraction of the light that the corners lose
    shade: tuple[float, float] = (0.65, 1.0)  # lower limit of the uneven light, whose upper limit is 1


def expose(photo: Image.Image, look: Look, place: Rng, now: Rng) -> Image.Image:
    """Turn a clean drawing into a photo.

    The generator `place` starts from the same seed in all frames of a run, `now` from a new seed in each frame.
    """
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
    """The opacity of a soft elliptical glare at a random position, 'L', 0..`strength`."""
    x = np.arange(64, dtype=np.float32)
    p = (x[None] - np.float32(uniform(rng, 0, 64))) / np.float32(uniform(rng, 6, 40))
    q = (x[:, None] - np.float32(uniform(rng, 0, 64))) / np.float32(uniform(rng, 6, 40))
    pool = np.maximum(1 - p * p - q * q, 0)
    return Image.fromarray((np.float32(strength) * pool * pool).astype(np.uint8)).resize(
        size, Image.Resampling.BILINEAR
    )


def _meter(photo: Image.Image) -> float:
    """The gain of the automatic exposure: sqrt(115 / mean grey level of the photo), where 115 is middle grey.

    The square root corrects half of the error in exposure stops.
    """
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
    """Apply the lookup tables and add noise with a standard deviation of `level` grey levels.

    The noise is the sum of two uniform parts: one is common to the three channels, one is separate for each.
    """
    pixels = np.asarray(photo.point(curve), np.int16)
    h, w, _ = pixels.shape
    grey = np.frombuffer(rng.bytes(h * w), np.uint8).reshape(h, w, 1).astype(np.int16)
    color = np.frombuffer(rng.bytes(h * w * 3), np.uint8).reshape(h, w, 3)
    # Uniform noise in 0..255 has a standard deviation of 74 grey levels; the sum of two such noises has 104.
    grains = (grey + color - 255) * np.int16(round(level * 256 / 104)) >> 8
    return Image.fromarray(np.clip(pixels + grains, 0, 255).astype(np.uint8))
