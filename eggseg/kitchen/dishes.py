"""Cooked and opened eggs, and meals that fill a pan. One function (canvas, rng, x, y, z, ...) draws each dish;
`meal` also takes a radius.

Positions and sizes are in centimetres on the table. `within` clips a dish to an outline, such as the opening of a pan.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from eggseg.kitchen.canvas import (
    BACKGROUND,
    TURN,
    Canvas,
    Color,
    Point,
    Rng,
    Shape,
    chain,
    chance,
    darker,
    disc,
    hull,
    near,
    pick,
    puffy,
    speckled,
    turn,
    uniform,
)
from eggseg.kitchen.props import EGG, ring

YOLKS: tuple[Color, ...] = ((248, 184, 36), (240, 140, 26), (226, 110, 20), (250, 206, 84))
ALBUMEN: tuple[Color, ...] = ((246, 244, 236), (238, 232, 216), (250, 248, 244), (228, 220, 200))
GREENS: tuple[Color, ...] = ((74, 110, 48), (110, 150, 60), (48, 84, 40))
MEALS: tuple[tuple[Color, ...], ...] = (
    ((168, 84, 34), (200, 130, 60), (120, 60, 30), (214, 160, 80)),  # curry
    ((190, 50, 30), (220, 100, 50), (240, 232, 220), (90, 130, 60)),  # tomato
    ((216, 190, 130), (236, 214, 160), (180, 140, 80), (120, 84, 46)),  # potato, noodles, rice
    ((110, 70, 40), (150, 100, 56), (80, 50, 30), (60, 40, 26)),  # meat
    ((90, 120, 50), (150, 170, 90), (200, 190, 120), (210, 70, 50)),  # vegetables
    ((240, 222, 150), (250, 240, 200), (220, 180, 90), (160, 120, 60)),  # omelette, pancake
    ((236, 228, 212), (214, 200, 170), (200, 180, 150), (246, 242, 232)),  # cream, dough
)
"""The colours of meals."""


def wobble(rng: Rng, amount: float) -> list[float]:
    """48 factors of a radius, one for each angle of `TURN`, whose outline is irregular by about `amount`."""
    waves = [(k, uniform(rng, 0, 360), uniform(rng, 0, amount * 2 / k)) for k in (2, 3, 4, 5, 7, 11)]
    return [
        1 + sum(height * math.cos(math.radians(k * 7.5 * i + phase)) for k, phase, height in waves)
        for i in range(len(TURN))
    ]


def patch(canvas: Canvas, x: float, y: float, z: float, radius: float, factors: Sequence[float]) -> list[Point]:
    """The outline of a flat patch at height `z`, pixels."""
    return [
        canvas.camera.project(x + radius * f * c, y + radius * f * s, z)
        for (c, s), f in zip(TURN, factors, strict=True)
    ]


def yolk(canvas: Canvas, rng: Rng, x: float, y: float, z: float, color: Color, within: Shape | None) -> None:
    """A raw or fried yolk: a dome with a highlight, of class egg."""
    s, radius = canvas.camera.scale(x, y, z), uniform(rng, 1.5, 2.3)
    dome = hull(ring(canvas, x, y, z, radius) + ring(canvas, x, y, z + uniform(rng, 0.3, 1.1), radius * 0.7))
    canvas.paint([dome], puffy(near(rng, color, 8), 0.7 * s, 1.2), EGG, within)
    u, v = canvas.camera.project(x, y, z + 1)
    u, v = u + canvas.light[0] * radius * 0.5 * s, v + canvas.light[1] * radius * 0.5 * s
    for _ in range(int(rng.integers(0, 3))):
        spot = disc(u + uniform(rng, -0.4, 0.4) * s, v + uniform(rng, -0.4, 0.4) * s, uniform(rng, 0.1, 0.35) * s)
        canvas.paint([spot], (255, 250, 240), EGG, within, opacity=uniform(rng, 0.4, 0.9))


def fried_egg(canvas: Canvas, rng: Rng, x: float, y: float, z: float = 0.3, within: Shape | None = None) -> None:
    """A fried egg, of class egg: an irregular white, often with a brown edge, and one or two yolks."""
    s, radius, factors = canvas.camera.scale(x, y, z), uniform(rng, 3.8, 6.5), wobble(rng, 0.16)
    outline = patch(canvas, x, y, z, radius, factors)
    canvas.shadow([outline], 0.3 * s, 0.5)
    white, inner = near(rng, pick(rng, ALBUMEN), 8), 1.0
    if chance(rng, 0.5):
        crisp = near(rng, pick(rng, ((176, 120, 62), (140, 84, 44), (206, 160, 96))), 15)
        canvas.paint([outline], speckled(rng, crisp, 0.3, 0.4 * s + 1), EGG, within)
        inner = uniform(rng, 0.82, 0.96)
    body = patch(canvas, x, y, z + 0.2, radius * inner, factors)
    canvas.paint([body], puffy(white, 0.6 * s, uniform(rng, 0.5, 1.3), rng, uniform(rng, 0.02, 0.1)), EGG, within)
    for _ in range(int(rng.integers(0, 8))):  # bubbles, brown spots and pepper
        dx, dy = turn(radius * uniform(rng, 0, 0.8), 0, uniform(rng, 0, 360))
        spot = patch(canvas, x + dx, y + dy, z + 0.2, uniform(rng, 0.1, 0.9), wobble(rng, 0.3))
        tone = pick(rng, (darker(white, 0.85), (190, 140, 80), (60, 50, 40)))
        canvas.paint([spot], tone, EGG, within, opacity=uniform(rng, 0.2, 0.6))
    color = pick(rng, YOLKS)
    veiled = chance(rng, 0.15)  # over easy: the yolk shows through a skin of white
    for _ in range(pick(rng, (1, 1, 1, 2))):
        dx, dy = turn(radius * uniform(rng, 0, 0.4), 0, uniform(rng, 0, 360))
        yolk(canvas, rng, x + dx, y + dy, z + 0.3, darker(white, 0.95) if veiled else color, within)


def half_egg(canvas: Canvas, rng: Rng, x: float, y: float, z: float = 0, within: Shape | None = None) -> None:
    """Half of a boiled egg, cut lengthwise, with the cut face up or leaning; of class egg, like its yolk."""
    heading, lean = uniform(rng, 0, 360), uniform(rng, -50, 50)
    a, b = uniform(rng, 2.6, 3.2), uniform(rng, 1.9, 2.4)
    along, across, rise = turn(1, 0, heading), turn(0, 1, heading), turn(1, 0, lean)

    def face(factor: float, drop: float, shift: float = 0) -> list[Point]:
        points = []
        for c, s in TURN:
            p, q = a * (factor * c + shift) * (1 - 0.08 * c), b * factor * s
            # The normal of the face leans towards `across`.
            px = x + along[0] * p + across[0] * (q * rise[0] + drop * rise[1])
            py = y + along[1] * p + across[1] * (q * rise[0] + drop * rise[1])
            points.append(canvas.camera.project(px, py, z + b + q * rise[1] - drop * rise[0]))
        return points

    s = canvas.camera.scale(x, y, z)
    white = near(rng, pick(rng, ALBUMEN), 6)
    body = hull(face(1, 0) + face(0.85, 0.5 * b) + face(0.45, 0.9 * b))
    canvas.shadow([hull(face(0.8, b) + face(0.8, b))], 0.6 * s, 0.7)
    canvas.paint([body], puffy(darker(white, 0.92), 0.8 * s, 1.4), EGG, within)
    canvas.paint([face(0.99, 0)], speckled(rng, white, 0.03, s + 1), EGG, within)
    color, shift = near(rng, pick(rng, (*YOLKS, (222, 196, 96), (240, 220, 120))), 10), uniform(rng, -0.15, 0.15)
    middle = face(uniform(rng, 0.5, 0.64), 0, shift)
    canvas.paint([middle], speckled(rng, color, uniform(rng, 0.03, 0.2), 0.3 * s + 1), EGG, within)
    if chance(rng, 0.25):  # filled: lumps of yolk cream
        for c, i in TURN[:: int(rng.integers(4, 9))]:
            u, v = canvas.camera.project(x + 1.1 * c, y + 0.9 * i, z + b + 0.5)
            canvas.paint(
                [disc(u, v, uniform(rng, 0.5, 0.9) * s)], puffy(near(rng, color, 10), 0.3 * s, 1.5), EGG, within
            )


def raw_eggs(canvas: Canvas, rng: Rng, x: float, y: float, z: float = 0.3, within: Shape | None = None) -> None:
    """One to four raw eggs that were broken into one puddle, of class egg."""
    count = int(rng.integers(1, 5))
    s, radius = canvas.camera.scale(x, y, z), uniform(rng, 3.5, 5) * count**0.5
    puddle = patch(canvas, x, y, z, radius, wobble(rng, 0.12))
    glair = near(rng, pick(rng, ((226, 196, 130), (236, 220, 180), (214, 170, 90), (240, 236, 220))), 12)
    canvas.paint([puddle], puffy(glair, 0.5 * s, 0.8, rng, 0.06), EGG, within, opacity=uniform(rng, 0.6, 0.95))
    color = pick(rng, YOLKS)
    for k in range(count):
        dx, dy = turn(radius * uniform(rng, 0.15, 0.5), 0, k * 360 / count + uniform(rng, -25, 25))
        yolk(canvas, rng, x + dx, y + dy, z + 0.2, color, within)


def meal(
    canvas: Canvas,
    rng: Rng,
    x: float,
    y: float,
    radius: float,
    z: float,
    owner: int = BACKGROUND,
    within: Shape | None = None,
) -> None:
    """A meal of class `owner` that covers a disc of `radius`, more or less: sauce with pieces, pieces, or one cake."""
    s, tones = canvas.camera.scale(x, y, z), pick(rng, MEALS)
    kind = uniform(rng, 0, 1)
    if kind < 0.65:
        bed = patch(canvas, x, y, z, radius * uniform(rng, 0.85, 1.05), wobble(rng, 0.05))
        color = near(rng, pick(rng, tones), 15)
        canvas.paint([bed], speckled(rng, color, uniform(rng, 0.1, 0.5), uniform(rng, 0.2, 1.5) * s + 1), owner, within)
        canvas.paint([bed], speckled(rng, near(rng, color, 25), 0.4, 0.15 * s + 1), owner, within, opacity=0.4)
    if kind > 0.8:  # an omelette, a pancake, a flat bread, a cake
        cake = patch(canvas, x, y, z + 0.4, radius * uniform(rng, 0.6, 0.95), wobble(rng, 0.05))
        canvas.shadow([cake], 0.4 * s, 0.6)
        color = near(rng, pick(rng, MEALS[-2] + MEALS[2]), 12)
        canvas.paint([cake], puffy(color, uniform(rng, 0.4, 2) * s, 1.0, rng, 0.15), owner, within)
        canvas.paint(
            [cake],
            speckled(rng, darker(color, 0.7), 0.5, uniform(rng, 0.3, 1.5) * s + 1),
            owner,
            within,
            opacity=uniform(rng, 0.1, 0.5),
        )
        return
    large = chance(rng, 0.3)
    for _ in range(int(rng.integers(2, 7) if large else rng.integers(15, 70))):
        dx, dy = turn(radius * 0.92 * math.sqrt(uniform(rng, 0, 1)), 0, uniform(rng, 0, 360))
        size = uniform(rng, 2, 4.5) if large else uniform(rng, 0.3, 1.6)
        color = near(rng, pick(rng, GREENS) if chance(rng, 0.1) else pick(rng, tones), 18)
        if large or chance(rng, 0.5):
            piece = patch(canvas, x + dx, y + dy, z + 0.3, size, wobble(rng, 0.2))
            canvas.shadow([piece], 0.3 * s, 0.5)
            canvas.paint([piece], puffy(color, 0.35 * size * s, 1.5, rng, 0.1), owner, within)
        else:
            ends = [
                canvas.camera.project(x + dx + f * uniform(rng, -2, 2), y + dy + f * uniform(rng, -2, 2), z + 0.3)
                for f in (0, 1)
            ]
            canvas.paint(
                chain(ends, (0.6 * size * s, 0.5 * size * s)), puffy(color, 0.3 * size * s, 1.4), owner, within
            )
