"""Distractors, drawn as background: other objects of a kitchen or a desk, and hands. Some look like eggs or pans.

Positions and sizes are in centimetres, angles in degrees, unless a docstring says otherwise.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from eggseg.kitchen.canvas import (
    TURN,
    Canvas,
    Color,
    Point,
    Rng,
    anycolor,
    chain,
    chance,
    darker,
    disc,
    hollow,
    hull,
    near,
    pick,
    puffy,
    speckled,
    turn,
    uniform,
)
from eggseg.kitchen.props import BLACK, STEEL, bowl, egg, extent, lid, lookalike, plate, pot, ring


def slab(
    canvas: Canvas,
    rng: Rng,
    x: float,
    y: float,
    w: float,
    d: float,
    h: float,
    heading: float,
    color: Color,
    z: float = 0,
    skin: str | None = None,
) -> list[Point]:
    """Draw a cuboid of w x d x h centimetres; return the four corners of its top in pixels.

    `z` is the height of the bottom. The skin "label" prints one to four coloured areas on the top.
    """
    offsets = [turn(sx * w / 2, sy * d / 2, heading) for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    low = [canvas.camera.project(x + dx, y + dy, z) for dx, dy in offsets]
    top = [canvas.camera.project(x + dx, y + dy, z + h) for dx, dy in offsets]
    cast = [canvas.camera.project(*canvas.cast(x + dx, y + dy, h)) for dx, dy in offsets]
    canvas.shadow([hull(low + cast)], (0.3 + 0.06 * h) * canvas.camera.scale(x, y), 0.8)
    for i in sorted(range(4), key=lambda i: -offsets[i][1] - offsets[(i + 1) % 4][1]):
        j = (i + 1) % 4
        canvas.paint([hull([low[i], low[j], top[i], top[j]])], darker(color, 0.55 + 0.12 * (i % 3)))
    canvas.paint([top], speckled(rng, color, 0.06, 9))
    if skin == "label":
        for _ in range(int(rng.integers(1, 5))):
            a, b = uniform(rng, 0.05, 0.5), uniform(rng, 0.05, 0.6)
            e, f = a + uniform(rng, 0.1, 0.45), b + uniform(rng, 0.05, 0.35)
            canvas.paint([[blend(top, p, q) for p, q in ((a, b), (e, b), (e, f), (a, f))]], anycolor(rng))
    return top


def blend(quad: Sequence[Point], p: float, q: float) -> Point:
    """Interpolate in a quadrilateral, pixels: `p` runs from the first corner to the second, `q` to the last."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = quad
    u = (1 - q) * ((1 - p) * ax + p * bx) + q * ((1 - p) * dx + p * cx)
    v = (1 - q) * ((1 - p) * ay + p * by) + q * ((1 - p) * dy + p * cy)
    return round(u * 16) / 16, round(v * 16) / 16


def package(canvas: Canvas, rng: Rng, x: float, y: float) -> None:
    color = pick(rng, ((176, 140, 98), (230, 228, 220), None, None)) or anycolor(rng)
    slab(
        canvas,
        rng,
        x,
        y,
        uniform(rng, 4, 16),
        uniform(rng, 3, 14),
        uniform(rng, 1, 14),
        uniform(rng, 0, 90),
        color,
        0,
        "label",
    )


def board(canvas: Canvas, rng: Rng, x: float, y: float) -> None:
    color = pick(
        rng, ((190, 150, 100), (214, 180, 130), (40, 120, 180), (230, 230, 226), (120, 170, 90), (130, 90, 60))
    )
    slab(canvas, rng, x, y, uniform(rng, 20, 34), uniform(rng, 16, 24), 1.5, uniform(rng, -25, 25), near(rng, color))
    knife(canvas, rng, x + uniform(rng, -5, 5), y, 1.6)


def knife(canvas: Canvas, rng: Rng, x: float, y: float, z: float = 0) -> None:
    """A knife, spoon or spatula. Its thin handle looks like the handle of a pan, but is background."""
    dx, dy = turn(1, 0, uniform(rng, 0, 360))
    s, blade = canvas.camera.scale(x, y), near(rng, pick(rng, (STEEL, (200, 202, 204), (190, 150, 100), BLACK)), 20)
    tip, neck, end = (canvas.camera.project(x + dx * t, y + dy * t, z + 0.4) for t in (14, 0, -11))
    canvas.shadow(chain((tip, end), (s, s)), 0.4 * s, 0.5)
    head = uniform(rng, 0.5, 2.6)
    canvas.paint(chain((tip, neck), (head * s, 0.5 * s)), puffy(blade, 0.4 * s, 1.5))
    canvas.paint(chain((neck, end), (0.6 * s, 0.9 * s)), puffy(pick(rng, (BLACK, blade, (120, 80, 50))), 0.4 * s, 2))


def can(canvas: Canvas, rng: Rng, x: float, y: float) -> None:
    """A cup or jar, drawn as one truncated cone, or a bottle, drawn as three."""
    color, radius, height = anycolor(rng), uniform(rng, 2, 5), uniform(rng, 4, 20)
    cap = anycolor(rng)
    levels = [(0.0, radius, color), (height, radius * uniform(rng, 0.85, 1.15), color)]
    if chance(rng, 0.5):
        levels += [(height * 1.25, radius * 0.4, color), (height * 1.4, radius * 0.4, cap)]
    s = canvas.camera.scale(x, y)
    cast = [
        canvas.camera.project(px + radius * c, py + radius * i)
        for px, py in ((x, y), canvas.cast(x, y, height))
        for c, i in TURN[::4]
    ]
    canvas.shadow([hull(cast)], 0.6 * s, 0.8)
    for (z0, r0, _), (z1, r1, tone) in itertools.pairwise(levels):
        canvas.paint(
            [hull(ring(canvas, x, y, z0, r0) + ring(canvas, x, y, z1, r1))], puffy(tone, radius * 0.5 * s, 1.2)
        )
        canvas.paint([ring(canvas, x, y, z1, r1)], darker(tone, 1.1))
    z, r, _ = levels[-1]
    canvas.paint([ring(canvas, x, y, z, r * 0.88)], darker(cap, uniform(rng, 0.2, 1)))


def reel(canvas: Canvas, rng: Rng, x: float, y: float) -> None:
    """A roll of tape, a coin or a coaster: flat and round."""
    radius, height = uniform(rng, 1.2, 5), uniform(rng, 0.2, 3)
    color = near(rng, pick(rng, ((214, 190, 140), STEEL, BLACK, (240, 240, 236), (160, 150, 120))), 15)
    canvas.shadow([ring(canvas, *canvas.cast(x, y, height), 0, radius)], 0.4 * canvas.camera.scale(x, y))
    top = ring(canvas, x, y, height, radius)
    canvas.paint([hull(top + ring(canvas, x, y, 0, radius))], darker(color, 0.7))
    canvas.paint([top], speckled(rng, color, 0.12, 3))
    if chance(rng, 0.5):
        canvas.paint([ring(canvas, x, y, height, radius * 0.7)], darker(color, 0.4))


def cable(canvas: Canvas, rng: Rng, x: float, y: float) -> None:
    color = near(rng, pick(rng, (BLACK, BLACK, (230, 230, 226), (40, 70, 170), (180, 180, 170))))
    heading, bend, points = uniform(rng, 0, 360), uniform(rng, -30, 30), []
    for _ in range(int(rng.integers(8, 20))):
        points.append(canvas.camera.project(x, y, 0.3))
        dx, dy = turn(uniform(rng, 2, 4), 0, heading)
        x, y, heading = x + dx, y + dy, heading + bend + uniform(rng, -25, 25)
        bend += uniform(rng, -12, 12)
    thick = max(0.7, 0.3 * canvas.camera.scale(x, y))
    canvas.shadow(chain(points, [thick * 1.3] * len(points)), thick, 0.5)
    canvas.paint(chain(points, [thick] * len(points)), puffy(color, thick * 0.6, 1.5))


def laptop(canvas: Canvas, rng: Rng, x: float, y: float) -> None:
    """The keyboard half of a laptop; the keys are five rows of dark rectangles."""
    top = slab(canvas, rng, x, y, 33, 23, 1.5, uniform(rng, -40, 40), near(rng, (214, 216, 218)))
    for row in range(5):
        for key in range(12):
            p, q = 0.06 + 0.075 * key, 0.45 + 0.1 * row
            corners = ((p, q), (p + 0.06, q), (p + 0.06, q + 0.075), (p, q + 0.075))
            canvas.paint([[blend(top, a, b) for a, b in corners]], (32, 32, 34))


def grille(canvas: Canvas, rng: Rng, y: float, heading: float) -> None:
    """Four to eight parallel slits of a radiator, 140 centimetres long."""
    gap, tone = uniform(rng, 1.2, 2.6), darker((200, 200, 190), uniform(rng, 0.25, 0.8))
    for k in range(int(rng.integers(4, 9))):
        slit = [turn(a, y + gap * (k + b), heading) for a, b in ((-70, 0), (70, 0), (70, 0.5), (-70, 0.5))]
        canvas.paint([[canvas.camera.project(*p) for p in slit]], tone)


def rack(canvas: Canvas, rng: Rng, heading: float) -> None:
    """The bars of an oven rack: bright parallel bars across the whole photo."""
    gap, tone = uniform(rng, 1.8, 4), darker(STEEL, uniform(rng, 0.4, 1.1))
    for k in range(-20, 21):
        ends = [canvas.camera.project(*turn(a, gap * k, heading), 0.2) for a in (-80, 80)]
        bar = max(0.7, 0.25 * canvas.camera.scale(0, 0))
        canvas.paint(chain(ends, (bar, bar)), puffy(tone, bar * 0.6, 2))


def marker(canvas: Canvas, rng: Rng, x: float, y: float) -> None:
    """A sheet with a square fiducial marker: random black and white cells inside a black border."""
    side, cells, heading = uniform(rng, 9, 14), int(rng.integers(5, 8)), uniform(rng, -20, 20)
    top = slab(canvas, rng, x, y, side, side, 0.1, heading, (236, 236, 232))
    dark = rng.integers(0, 2, (cells, cells))
    dark[0], dark[-1], dark[:, 0], dark[:, -1] = 1, 1, 1, 1
    m = 0.14
    step = (1 - 2 * m) / cells
    for i, j in zip(*np.nonzero(dark), strict=True):
        a, b = m + step * float(i), m + step * float(j)
        canvas.paint(
            [[blend(top, p, q) for p, q in ((a, b), (a + step, b), (a + step, b + step), (a, b + step))]], BLACK
        )


def hotplate(canvas: Canvas, rng: Rng, x: float, y: float) -> None:
    """A hotplate: a white box with a round black plate, which is background, and often a small box on the plate."""
    heading, color = uniform(rng, -15, 15), near(rng, (232, 234, 236), 10)
    slab(canvas, rng, x, y, 22, 25, 6, heading, color)
    canvas.paint([ring(canvas, x, y, 6.5, 9.6)], near(rng, STEEL))
    plate_ring = ring(canvas, x, y, 7.2, 9)
    canvas.paint([hull(plate_ring + ring(canvas, x, y, 6.2, 9))], (20, 20, 22))
    canvas.paint([plate_ring], hollow(near(rng, BLACK, 8), *extent(plate_ring), 0.05, 20, 12))
    if chance(rng, 0.7):
        slab(
            canvas,
            rng,
            x,
            y,
            4,
            5,
            4,
            uniform(rng, 0, 90),
            pick(rng, ((220, 190, 30), BLACK, (200, 60, 40))),
            7.2,
            "label",
        )
    cable(canvas, rng, x - 5, y + 10)


def hob(canvas: Canvas, rng: Rng, x: float, y: float, w: float, d: float) -> list[Point]:
    """Draw a cooker top with four burners, electric or gas; return the centres of the burners in centimetres."""
    color = near(rng, pick(rng, ((28, 28, 30), (40, 40, 44), (226, 226, 222), STEEL)), 8)
    slab(canvas, rng, x, y, w, d, 1, 0, color)
    gas = chance(rng, 0.5)
    middles = [(x + sx * w * 0.24, y + sy * d * 0.22) for sy in (1, -1) for sx in (-1, 1)]
    for mx, my in middles:
        radius = uniform(rng, 7, 10)
        tone = near(rng, (60, 58, 58) if color[0] < 90 else (44, 42, 42), 10)
        outer = ring(canvas, mx, my, 1.2, radius * (0.55 if gas else 1))
        canvas.paint([outer], hollow(tone, *extent(outer), 0.1, 25))
        canvas.paint([ring(canvas, mx, my, 1.3, radius * 0.42)], darker(tone, 0.7))
        for k in range(4 if gas else 0):
            dx, dy = turn(radius * 1.2, 0, 45 + 90 * k)
            a, b = canvas.camera.project(mx + dx, my + dy, 3), canvas.camera.project(mx + dx * 0.25, my + dy * 0.25, 3)
            bar = 0.5 * canvas.camera.scale(mx, my)
            canvas.paint(chain((a, b), (bar, bar)), puffy(BLACK, bar * 0.6, 2))
    for k in range(4):
        kx = x + (k - 1.5) * w * 0.1
        canvas.paint(
            [hull(ring(canvas, kx, y - d * 0.45, 1, 1.8) + ring(canvas, kx, y - d * 0.45, 3, 1.5))],
            puffy(pick(rng, (BLACK, STEEL, (230, 230, 230))), canvas.camera.scale(kx, y)),
        )
    return middles


def carton(
    canvas: Canvas,
    rng: Rng,
    x: float,
    y: float,
    columns: int = 5,
    rows: int = 2,
    full: float = 0.8,
    heading: float = 0,
    dice: Rng | None = None,
) -> None:
    """An open egg carton: the carton is background, the visible part of each egg is of class egg.

    Each cell holds an egg with probability `full`; the generator `dice` decides which cells do.
    """
    dice = dice or rng
    color = near(
        rng,
        pick(
            rng, ((206, 204, 192), (188, 184, 172), (222, 132, 66), (170, 180, 150), (176, 160, 140), (226, 226, 230))
        ),
    )
    cell, height, brown = uniform(rng, 4.7, 5.2), uniform(rng, 3.4, 4.6), pick(rng, (0.0, 0.1, 0.9, 1.0))
    w, d = columns * cell + 1.5, rows * cell + 1.5
    if chance(rng, 0.75):  # the open lid, behind the cells
        lean = uniform(rng, 0.5, 1.1) * d
        corners = [
            turn(sx * w / 2, sy, heading)
            for sx, sy in ((-1, d / 2), (1, d / 2), (0.97, d / 2 + lean), (-0.97, d / 2 + lean))
        ]
        back = [
            canvas.camera.project(x + dx, y + dy, height + k) for (dx, dy), k in zip(corners, (0, 0, 5, 5), strict=True)
        ]
        canvas.shadow([back], 0.6 * canvas.camera.scale(x, y))
        canvas.paint([hull(back)], puffy(color, 0.8 * canvas.camera.scale(x, y), 1.2, rng))
        for k in range(int(rng.integers(0, 6))):  # printed lines
            q = 0.3 + 0.09 * k
            canvas.paint(
                [[blend(back, a, b) for a, b in ((0.2, q), (0.75, q), (0.75, q + 0.04), (0.2, q + 0.04))]],
                darker(near(rng, (120, 150, 190)), 0.9),
                opacity=0.6,
            )
    top = slab(canvas, rng, x, y, w, d, height, heading, color)
    canvas.paint([top], speckled(rng, darker(color, 0.75), 0.1, 12))
    s = canvas.camera.scale(x, y, height)
    middles = [
        turn((i - (columns - 1) / 2) * cell, (j - (rows - 1) / 2) * cell, heading)
        for j in range(rows)
        for i in range(columns)
    ]
    for dx, dy in middles:
        hole = ring(canvas, x + dx, y + dy, height, cell * 0.47)
        canvas.paint([hole], hollow(darker(color, 0.6), *extent(hole), 0.35))
    for dx, dy in sorted(middles, key=lambda m: -m[1]):
        if chance(dice, full):
            egg(
                canvas,
                rng,
                x + dx,
                y + dy,
                height - uniform(rng, 1.9, 3.0),
                chance(rng, brown),
                uniform(rng, 65, 90),
                shadow=False,
            )
    for i in range(columns - 1):
        for j in range(rows - 1):
            dx, dy = turn((i - columns / 2 + 1) * cell, (j - rows / 2 + 1) * cell, heading)
            post = ring(canvas, x + dx, y + dy, height, 1.1) + ring(canvas, x + dx, y + dy, height + 1.6, 0.6)
            canvas.paint([hull(post)], puffy(darker(color, 0.95), 0.5 * s, 1.5))
    offsets = [turn(sx * w / 2, sy * d / 2, heading) for sx, sy in ((-1, -1), (1, -1), (1, -1 + 0.12), (-1, -1 + 0.12))]
    front = [canvas.camera.project(x + dx, y + dy, h) for dx, dy in offsets[:2] for h in (0, height)]
    front += [canvas.camera.project(x + dx, y + dy, height) for dx, dy in offsets[2:]]
    canvas.paint([hull(front)], puffy(color, 0.6 * s, 1.2, rng))


SKIN = ((226, 178, 150), (206, 154, 124), (236, 196, 172), (150, 102, 76), (104, 70, 54), (196, 140, 108))


def hand(
    canvas: Canvas,
    rng: Rng,
    u: float,
    v: float,
    heading: float,
    s: float,
    skin: Color,
    sleeve: Color | None = None,
    grip: float | None = None,
    held: Callable[[], None] | None = None,
    fingers: int = 4,
) -> None:
    """An arm that reaches into the photo from outside, with its fingers at pixel (u, v).

    `heading` is the direction in which the hand points, in degrees clockwise from the photo's x axis. `s` is in pixels
    per centimetre. `grip` bends the fingers, from 0, straight, to 1, closed; None is random. Only the last `fingers`
    fingers follow `grip`, the rest are closed. `held` draws the object in the hand, after the fingers and before the
    thumb.
    """
    dx, dy = turn(1, 0, heading)
    side, grip = pick(rng, (-1, 1)), uniform(rng, 0, 1) if grip is None else grip

    def at(ahead: float, aside: float) -> Point:
        x, y = u + s * (ahead * dx - aside * side * dy), v + s * (ahead * dy + aside * side * dx)
        return round(16 * x) / 16, round(16 * y) / 16

    def limb(points: Sequence[Point], radii: Sequence[float], color: Color, depth: float = 1.3) -> None:
        canvas.paint(
            chain(points, [r * s for r in radii]), puffy(near(rng, color, 4), min(radii) * s * 0.6, depth, rng, 0.03)
        )

    bend = uniform(rng, -12, 12)
    elbow = (-36, bend)
    canvas.shadow(chain((at(*elbow), at(-14, 0), at(-3, 0)), [3.4 * s] * 3), 1.4 * s, 0.45)
    limb((at(-200, bend * 9), at(*elbow), at(-17, bend * 0.25), at(-12, 0)), (6.5, 4.4, 3.0, 2.7), skin)
    if sleeve is not None:
        limb((at(-200, bend * 9), at(*elbow), at(-uniform(rng, 15, 32), bend * 0.5)), (9, 6, 4.6), sleeve, 1.6)
    limb((at(-12, 0), at(-9, 0.2), at(-6, 0)), (2.8, 3.7, 3.9), skin)
    spread = uniform(rng, 0, 9)
    for k in (0, 1, 2, 3):
        curl = grip if k >= 4 - fingers else 0.95
        base, length = (k - 1.5) * 1.8, (5.4, 6.8, 7.2, 6.4)[k] * (1 - 0.5 * curl)
        ax, ay = turn(length * 0.55, 0, (k - 1.5) * spread * (1 - curl))
        bx, by = turn(length * 0.5, 0, (k - 1.5) * spread * (1 - curl) - 30 * curl * (k - 1.5))
        knots = (at(-6, base * 0.95), at(-3.5 + ax, base + ay), at(-3.5 + ax + bx, base + ay + by))
        limb(knots, (1.15, 1.02, 0.82), skin, 1.0)
        nail = near(rng, darker(skin, 1.12), 6)
        if curl < 0.6 and s > 6:
            canvas.paint([disc(*at(-3.2 + ax + bx, base + ay + by), uniform(rng, 0.45, 0.65) * s)], nail, opacity=0.7)
    if held is not None:
        held()
    tx, ty = turn(6.0, 0, -30 + 34 * grip)
    limb((at(-9.5, 2.2), at(-6.8, 4.0), at(-6.5 + tx, 4.2 + ty)), (2.2, 1.4, 1.05), skin)


DISTRACTORS = (
    package,
    package,
    can,
    can,
    reel,
    cable,
    knife,
    board,
    bowl,
    plate,
    lid,
    lookalike,
    lookalike,
    pot,
    marker,
)
"""Functions that draw one distractor each; the ones that occur twice are drawn twice as often."""
