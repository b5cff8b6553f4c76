"""Eggs, objects that look like eggs, pans and other dishes. One function (canvas, rng, x, y, ...) draws each object.

Positions and sizes are in centimetres on the table, angles in degrees. The generator `rng` determines the size, colour
and shape of an object, whatever its position.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from eggseg.data.classes import EGGS_AND_PANS
from eggseg.kitchen.canvas import (
    BACKGROUND,
    TURN,
    Box,
    Canvas,
    Color,
    Point,
    Rng,
    Shape,
    anycolor,
    chain,
    chance,
    child,
    darker,
    disc,
    grid,
    hollow,
    hull,
    near,
    noise,
    pick,
    puffy,
    speckled,
    tint,
    turn,
    uniform,
)

EGG, PAN = (EGGS_AND_PANS.names.index(name) for name in ("egg", "pan"))

STEEL: Color = (176, 178, 182)
BLACK: Color = (34, 34, 37)


# Eggs and lookalikes.
def ovoid(
    canvas: Canvas,
    rng: Rng,
    x: float,
    y: float,
    z: float,
    length: float,
    width: float,
    heading: float,
    tilt: float,
    color: Color,
    owner: int,
    taper: float = 0.12,
    gloss: float = 0.3,
    spots: float = 0.05,
    within: Shape | None = None,
    shadow: bool = True,
) -> None:
    """Draw an egg or a lookalike of class `owner`; its centre is above (x, y), its lowest point at height `z`.

    `tilt` is the angle between the long axis and the table. `taper` makes one end narrower and the opposite end wider
    than an ellipse, by up to this fraction. `gloss` is the strength of the highlight, `spots` the contrast of
    lighter and darker spots.
    """
    camera, light, dice = canvas.camera, canvas.light, child(rng)
    a, b = length / 2, width / 2
    ch, sh = turn(1, 0, heading)
    ct, st = turn(1, 0, tilt)
    axis = (ch * ct, sh * ct, st)
    rise = math.sqrt((a * st) ** 2 + (b * ct) ** 2)
    u, v = camera.project(x, y, z + rise)
    s = camera.scale(x, y, z + rise)
    right = sum(i * j for i, j in zip(axis, camera.right, strict=True))
    down = -sum(i * j for i, j in zip(axis, camera.up, strict=True))
    seen = max(1e-3, math.sqrt(right * right + down * down))
    cos, sin = right / seen, down / seen
    long = s * math.sqrt((a * seen) ** 2 + b * b * max(0.0, 1 - seen * seen))
    wide, bend = s * b, taper * seen
    outline = []
    for c, i in TURN:
        p, q = long * c, wide * i * (1 - bend * c)
        outline.append((round(16 * (u + p * cos - q * sin)) / 16, round(16 * (v + p * sin + q * cos)) / 16))
    if shadow:
        feet = [camera.project(x + b * 0.75 * c, y + b * 0.75 * i, z) for c, i in TURN[::4]]
        cx, cy = canvas.cast(x, y, rise)
        far = [camera.project(cx + b * 0.95 * c, cy + b * 0.95 * i, z) for c, i in TURN[::4]]
        canvas.shadow([hull(feet + far)], 0.5 * s, 0.75)
        canvas.shadow([feet], 0.22 * s, 0.9)

    def shade(_: Canvas, alpha: Image.Image, box: Box) -> np.ndarray:
        gx, gy = grid(box)
        dx, dy = gx - np.float32(u), gy - np.float32(v)
        p = (dx * np.float32(cos) + dy * np.float32(sin)) / np.float32(long)
        q = (dy * np.float32(cos) - dx * np.float32(sin)) / (
            np.float32(wide) * (1 - np.float32(bend) * np.clip(p, -1, 1))
        )
        nz = np.sqrt(np.maximum(1 - p * p - q * q, 0))
        nx, ny = p * np.float32(cos) - q * np.float32(sin), p * np.float32(sin) + q * np.float32(cos)
        lit = np.maximum(nx * np.float32(light[0]) + ny * np.float32(light[1]) + nz * np.float32(light[2]), 0)
        # The table blocks the light that would reach the underside.
        below = np.maximum(ny, 0) * np.float32(max(0.0, 1 + camera.forward[2]))
        value = np.float32(canvas.ambient) + np.float32(1.06 - canvas.ambient) * lit
        value = value - np.float32(0.14) * below - np.float32(0.1) * (1 - nz)
        w, h = alpha.size
        value = value * (1 + np.float32(spots) * noise(dice, (w, h), (max(3, min(w, 40)), max(3, min(h, 40)))))
        half = math.sqrt(light[0] ** 2 + light[1] ** 2 + (light[2] + 1) ** 2)
        spec = np.maximum(
            nx * np.float32(light[0] / half)
            + ny * np.float32(light[1] / half)
            + nz * np.float32((light[2] + 1) / half),
            0,
        )
        for _i in range(5):
            spec = spec * spec
        return tint(color, value, np.float32(150 * gloss) * spec)

    canvas.paint([outline], shade, owner, within)


BROWN = (
    (205, 138, 96),
    (218, 160, 120),
    (182, 112, 78),
    (226, 150, 100),
    (232, 186, 150),
    (164, 98, 66),
    (176, 108, 92),
)
WHITE = ((246, 243, 236), (240, 232, 214), (250, 248, 246), (236, 222, 188), (232, 230, 208))


def egg(
    canvas: Canvas,
    rng: Rng,
    x: float,
    y: float,
    z: float = 0,
    brown: bool | None = None,
    tilt: float | None = None,
    heading: float | None = None,
    within: Shape | None = None,
    shadow: bool = True,
) -> None:
    """A whole egg. If None, `brown`, `heading` and `tilt` are random; a random tilt is at most 12 degrees."""
    brown = chance(rng, 0.6) if brown is None else brown
    length = uniform(rng, 5.2, 6.4)
    heading = uniform(rng, 0, 360) if heading is None else heading
    tilt = uniform(rng, -12, 12) if tilt is None else tilt
    color, taper = near(rng, pick(rng, BROWN if brown else WHITE), 10), uniform(rng, 0.06, 0.17)
    # White eggs may be boiled and peeled, which makes them shine. Brown eggs may be speckled.
    gloss, spots = uniform(rng, 0, 0.45 if brown else 0.9), uniform(rng, 0, 0.1 if brown else 0.03)
    width = length * uniform(rng, 0.72, 0.82)
    ovoid(canvas, rng, x, y, z, length, width, heading, tilt, color, EGG, taper, gloss, spots, within, shadow)


# Colour, length and width in centimetres, then taper, gloss and spots as in `ovoid`.
LOOKALIKES = (
    ((196, 122, 52), 7.5, 7.0, 0.05, 0.4, 0.10),  # onion
    ((150, 60, 90), 7.0, 6.6, 0.05, 0.6, 0.10),  # red onion
    ((196, 164, 108), 8.5, 6.2, 0.02, 0.05, 0.22),  # potato
    ((236, 204, 48), 7.5, 5.6, 0.0, 0.35, 0.06),  # lemon
    ((120, 170, 50), 6.0, 5.2, 0.0, 0.35, 0.06),  # lime
    ((238, 138, 36), 7.6, 7.5, 0.0, 0.3, 0.10),  # orange
    ((200, 40, 30), 6.8, 6.2, 0.0, 0.9, 0.03),  # tomato
    ((236, 224, 204), 4.4, 4.0, 0.1, 0.1, 0.08),  # mushroom
    ((244, 240, 232), 4.0, 4.0, 0.0, 0.5, 0.01),  # ping-pong ball
    ((170, 190, 70), 8.0, 7.4, 0.05, 0.5, 0.08),  # apple
    ((232, 226, 214), 5.5, 5.0, 0.2, 0.1, 0.12),  # garlic
    ((90, 60, 44), 6.5, 4.6, 0.05, 0.1, 0.25),  # kiwi
)


def lookalike(canvas: Canvas, rng: Rng, x: float, y: float, z: float = 0) -> None:
    """A random fruit, vegetable or ball: round like an egg, but background."""
    color, length, width, taper, gloss, spots = pick(rng, LOOKALIKES)
    ovoid(
        canvas,
        rng,
        x,
        y,
        z,
        length,
        width,
        uniform(rng, 0, 360),
        uniform(rng, -20, 20),
        near(rng, color),
        BACKGROUND,
        taper,
        gloss,
        spots,
    )


# Dishes.
def ring(canvas: Canvas, x: float, y: float, z: float, radius: float) -> list[Point]:
    return [canvas.camera.project(x + radius * c, y + radius * s, z) for c, s in TURN]


def extent(points: Sequence[Point]) -> tuple[Point, Point]:
    us, vs = [u for u, _ in points], [v for _, v in points]
    center = ((min(us) + max(us)) / 2, (min(vs) + max(vs)) / 2)
    return center, (max(1.0, (max(us) - min(us)) / 2), max(1.0, (max(vs) - min(vs)) / 2))


def vessel(
    canvas: Canvas,
    rng: Rng,
    x: float,
    y: float,
    z: float,
    radius: float,
    foot: float,
    depth: float,
    colors: Sequence[Color],
    owner: int = BACKGROUND,
    rim: float = 0.25,
    shine: float = 0,
    glow: float = 0,
    contents: Callable[[Shape], None] | None = None,
) -> None:
    """Draw a round dish of class `owner`; `colors` has the colours of outside, rim, inner wall and bottom.

    `radius` is the radius at the upper edge, `foot` the radius at the bottom, `rim` the width of the rim. `shine` and
    `glow` are the `streak` and the `glow` of `hollow`. `contents` draws what is in the dish; its argument is the
    outline of the opening in pixels.
    """
    outside, edge, wall, bottom = colors
    top, base = ring(canvas, x, y, z + depth, radius), ring(canvas, x, y, z, foot)
    s = canvas.camera.scale(x, y)
    cx, cy = canvas.cast(x, y, depth)
    canvas.shadow([hull(base + ring(canvas, cx, cy, z, radius))], 0.5 * s, 0.8)
    inner, floor = ring(canvas, x, y, z + depth, radius - rim), ring(canvas, x, y, z + 0.25 * min(1, depth), foot - 0.1)
    center, radii = extent(inner)
    canvas.paint([top], hollow(edge, center, radii, -0.15, 40 if shine else 10), owner)
    canvas.paint([inner], hollow(wall, center, radii, 0.3, shine, 0), owner)
    if shine:  # the reflection of the lamp on the inner wall
        sparkle = ring(canvas, x, y, z + depth * 0.6, (radius + foot) / 2 + 0.25)
        canvas.paint(
            [sparkle], hollow(darker(wall, 1.03), center, radii, 0.2, shine * 1.6), owner, within=[inner], opacity=0.5
        )
    # The step between wall and bottom, then the bottom.
    middle, radii = extent(floor)
    canvas.paint(
        [ring(canvas, x, y, z + 0.3 * min(1, depth), foot + 0.15)],
        darker(wall, 0.9),
        owner,
        within=[inner],
        opacity=0.6,
    )
    canvas.paint([floor], hollow(bottom, middle, radii, 0.06, shine * 0.6, glow), owner, within=[inner])
    if contents is not None:
        contents([inner])
    canvas.paint([hull(top + base)], hollow(outside, center, extent(top)[1], -0.3), owner, outside=[top])


def plate(
    canvas: Canvas,
    rng: Rng,
    x: float,
    y: float,
    radius: float | None = None,
    contents: Callable | None = None,
    color: Color | None = None,
) -> None:
    radius = radius or uniform(rng, 8, 14)
    if color is None:
        white = near(rng, pick(rng, ((240, 238, 232), (226, 226, 226), (246, 246, 244))), 8)
        color = white if chance(rng, 0.7) else anycolor(rng)
    line = anycolor(rng) if chance(rng, 0.35) else color
    vessel(
        canvas,
        rng,
        x,
        y,
        0,
        radius,
        radius * uniform(rng, 0.58, 0.72),
        uniform(rng, 0.8, 2.0),
        (darker(color, 0.85), line, darker(color, 0.97), color),
        rim=uniform(rng, 0.15, 0.4),
        shine=uniform(rng, 0, 40),
        glow=uniform(rng, -12, 12),
        contents=contents,
    )


def bowl(canvas: Canvas, rng: Rng, x: float, y: float) -> None:
    color, radius = anycolor(rng) if chance(rng, 0.5) else (236.0, 234.0, 230.0), uniform(rng, 5, 11)

    def fill(inside: Shape) -> None:
        if chance(rng, 0.6):
            food(canvas, rng, x, y, radius * 0.8, 3, BACKGROUND, inside)

    vessel(
        canvas,
        rng,
        x,
        y,
        0,
        radius,
        radius * 0.55,
        radius * 0.6,
        (darker(color, 0.9), color, darker(color, 0.85), color),
        contents=fill,
        shine=uniform(rng, 0, 60),
    )


def pot(canvas: Canvas, rng: Rng, x: float, y: float) -> None:
    """A pot with two short side handles and no long handle: background, not a pan."""
    color = near(rng, pick(rng, (STEEL, STEEL, (60, 60, 64), (150, 30, 30), (40, 60, 110))))
    radius, depth = uniform(rng, 8, 13), uniform(rng, 8, 15)
    dx, dy = turn(radius + 1, 0, uniform(rng, 0, 180))
    for side in (-1, 1):
        ear = canvas.camera.project(x + side * dx, y + side * dy, depth * 0.8)
        root = canvas.camera.project(x + side * dx * 0.8, y + side * dy * 0.8, depth * 0.8)
        canvas.paint(chain((root, ear), (2 * canvas.camera.scale(x, y), canvas.camera.scale(x, y))), BLACK)
    if chance(rng, 0.4):
        lid(canvas, rng, x, y, depth, radius)
        return
    bottom = pick(rng, (darker(color, 0.7), (150, 130, 90), (90, 50, 30), (200, 190, 170)))
    vessel(
        canvas,
        rng,
        x,
        y,
        0,
        radius,
        radius * 0.96,
        depth,
        (color, darker(color, 1.1), darker(color, 0.8), bottom),
        shine=70,
    )


def lid(canvas: Canvas, rng: Rng, x: float, y: float, z: float = 0, radius: float | None = None) -> None:
    """A lid of steel or glass with a knob: round and metallic like a pan, but background."""
    radius = radius or uniform(rng, 7, 13)
    color = near(rng, pick(rng, (STEEL, (140, 150, 150), (60, 62, 66))))
    base, top = ring(canvas, x, y, z, radius), ring(canvas, x, y, z + 2, radius * 0.5)
    canvas.shadow([hull(base + ring(canvas, *canvas.cast(x, y, z), 0, radius))], canvas.camera.scale(x, y) * 0.5)
    center, radii = extent(base)
    canvas.paint([base], hollow(darker(color, 1.15), center, radii, -0.1, 60))
    canvas.paint([hull(top + ring(canvas, x, y, z + 0.4, radius * 0.94))], hollow(color, center, radii, -0.25, 80))
    canvas.paint([hull(ring(canvas, x, y, z + 2, 1.2) + ring(canvas, x, y, z + 4, 1.8))], BLACK)


def food(canvas: Canvas, rng: Rng, x: float, y: float, radius: float, z: float, owner: int, inside: Shape) -> None:
    """Pieces of food of class `owner`, often on a bed of sauce, clipped to `inside`, the opening of the dish."""
    s = canvas.camera.scale(x, y)
    base = pick(
        rng,
        ((190, 130, 50), (150, 70, 40), (214, 190, 110), (110, 130, 60), (200, 60, 40), (120, 84, 56), (236, 228, 206)),
    )
    if chance(rng, 0.6):
        bed = ring(canvas, x, y, z, radius * uniform(rng, 0.6, 1.0))
        canvas.paint(
            [bed], speckled(rng, near(rng, base, 20), uniform(rng, 0.1, 0.4), 0.8 * s + 2), owner, within=inside
        )
    for _ in range(int(rng.integers(3, 22))):
        dx, dy = turn(radius * 0.85 * math.sqrt(uniform(rng, 0, 1)), 0, uniform(rng, 0, 360))
        a, b = (
            canvas.camera.project(x + dx, y + dy, z),
            canvas.camera.project(x + dx + uniform(rng, -2, 2), y + dy + 1, z),
        )
        size = uniform(rng, 0.4, 1.5) * s
        canvas.paint(
            chain((a, b), (size, size * 0.8)), puffy(near(rng, base, 45), size * 0.5, 1.2), owner, within=inside
        )


PANS = (
    (38, 39, 42),
    (52, 54, 58),
    (30, 30, 32),
    (70, 72, 76),
    (66, 58, 52),
    (150, 152, 156),
    (186, 188, 190),
    (150, 34, 30),
    (40, 74, 120),
    (206, 190, 160),
    (120, 70, 40),
    (60, 110, 90),
    (234, 232, 226),
)
"""Colours of pans; the first four are dark."""
CERAMIC = ((234, 232, 226), (224, 214, 196), (206, 190, 160), (190, 196, 190))
"""Colours of light coatings inside of pans."""


def pan(
    canvas: Canvas,
    rng: Rng,
    x: float,
    y: float,
    heading: float,
    z: float = 0,
    radius: float | None = None,
    contents: Callable[[Shape], None] | None = None,
    dark: bool = False,
    reach: float = 1,
) -> None:
    """A frying pan and its handle, of class pan. Food in the pan is of class pan too, but eggs are of class egg.

    `heading` is the direction of the handle and `reach` a factor on its length. `contents` is as in `vessel`.
    """
    outside = near(rng, pick(rng, PANS[:4] if dark or chance(rng, 0.45) else PANS), 8)
    if chance(rng, 0.12):
        inside = near(rng, pick(rng, CERAMIC), 10)
    else:
        inside = near(rng, pick(rng, PANS[:4]), 8) if chance(rng, 0.75) else outside
    radius = radius or uniform(rng, 9, 15)
    depth = uniform(rng, 2.2, 5.0)
    foot = radius * uniform(rng, 0.72, 0.88)
    edge = pick(rng, (darker(outside, 1.5), darker(inside, 1.25), STEEL, darker(outside, 0.8)))
    grip = pick(rng, (BLACK, BLACK, BLACK, outside, STEEL, (130, 84, 48)))
    colors = (outside, edge, darker(inside, uniform(rng, 0.6, 1.1)), inside)
    rim, shine, glow = uniform(rng, 0.2, 0.5), uniform(rng, 5, 90), uniform(rng, -8, 45)
    handle(canvas, rng, x, y, z, radius, depth, heading, near(rng, grip, 6), reach)
    vessel(canvas, rng, x, y, z, radius, foot, depth, colors, PAN, rim, shine, glow, contents)
    dx, dy = turn(radius - rim, 0, heading)
    for side in (-1, 1) if chance(rng, 0.6) else ():  # the rivets
        rivet = canvas.camera.project(
            x + dx * 0.985 - side * dy * 0.07, y + dy * 0.985 + side * dx * 0.07, z + depth * 0.7
        )
        canvas.paint([disc(*rivet, 0.35 * canvas.camera.scale(x, y))], darker(STEEL, 0.8), PAN)


def handle(
    canvas: Canvas,
    rng: Rng,
    x: float,
    y: float,
    z: float,
    radius: float,
    depth: float,
    heading: float,
    color: Color,
    reach: float,
) -> None:
    dx, dy = turn(1, 0, heading)
    length, lift = uniform(rng, 14, 20) * reach, uniform(rng, 0, 4)
    width = uniform(rng, 1.0, 1.7)
    neck, start = uniform(rng, 0.5, 0.9) * width, uniform(rng, 2.0, 5.0)

    def slab(begin: float, end: float, wide0: float, wide1: float) -> Shape:
        ends = []
        for t, w in ((begin, wide0), (end, wide1)):
            h = z + depth * 0.75 + lift * t / length
            cx, cy, r = x + dx * (radius - 0.6 + t), y + dy * (radius - 0.6 + t), w * 0.55
            for side in (-1, 1):
                ends += [
                    canvas.camera.project(cx - side * dy * (w - r) + r * c, cy + side * dx * (w - r) + r * i, h + e)
                    for c, i in TURN[::6]
                    for e in (-0.5, 0.5)
                ]
        return [hull(ends)]

    s = canvas.camera.scale(x, y)
    end = canvas.cast(x + dx * (radius + length), y + dy * (radius + length), z + depth + lift)
    root = canvas.cast(x + dx * radius, y + dy * radius, z + depth)
    canvas.shadow(
        chain((canvas.camera.project(*root), canvas.camera.project(*end)), (width * s, width * s)), 0.7 * s, 0.6
    )
    canvas.paint(
        slab(-0.6, start + 0.5, neck * 1.3, neck),
        puffy(near(rng, STEEL) if chance(rng, 0.7) else color, 0.4 * s, 2),
        PAN,
    )
    canvas.paint(slab(start, length, width * 0.85, width), puffy(color, 0.55 * s, 2.2), PAN)
    if chance(rng, 0.7):  # the hole for hanging the pan
        hole = slab(length - 1.6, length - 0.4, width * 0.42, width * 0.42)
        canvas.paint(hole, darker(color, 0.35), PAN)
