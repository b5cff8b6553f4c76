"""The places of the scenes, from an office table to a hob. One function (size, full, place, now) draws each place.

`size` is the size of the photo and `full` the size of the class ids, (width, height) in pixels. The generator `place`
starts from the same seed in all frames of a run, `now` from a new seed in each frame. Positions and lengths are in
centimetres on the table, angles in degrees.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from PIL import Image

from eggseg.kitchen import clutter, props
from eggseg.kitchen.canvas import (
    Camera,
    Canvas,
    Color,
    Rng,
    Shape,
    anycolor,
    chain,
    chance,
    child,
    near,
    pick,
    puffy,
    texture,
    turn,
    uniform,
)

Size = tuple[int, int]  # width, height, pixels
Taken = list[tuple[float, float, float]]  # occupied discs: x, y, radius, centimetres


def light(rng: Rng) -> tuple[float, float, float]:
    x, y, z = uniform(rng, -0.8, 0.8), uniform(rng, -0.9, 0.3), uniform(rng, 0.5, 1)
    norm = (x * x + y * y + z * z) ** 0.5
    return round(x / norm, 6), round(y / norm, 6), round(z / norm, 6)


def stage(
    size: Size,
    full: Size,
    place: Rng,
    now: Rng,
    distance: tuple[float, float],
    pitch: tuple[float, float],
    focal: tuple[float, float] = (0.8, 1.2),
    roll: float = 4,
    sway: float = 0.06,
    color: Color | None = None,
) -> Canvas:
    """A canvas with a random camera and light; all frames of a run share them, except for the `sway` of the camera.

    `distance`, `pitch` and `focal` are ranges of arguments of `Camera`; `roll` is the largest roll. `sway` imitates a
    hand-held camera: each frame changes the distance by up to this fraction, and target, pitch and roll in proportion.
    """
    far, low = uniform(place, *distance), uniform(place, *pitch)
    far, low = far * uniform(now, 1 - sway, 1 + sway), min(90.0, low + 60 * sway * uniform(now, -1, 1))
    target = (far * sway * uniform(now, -2, 2), far * sway * uniform(now, -2, 2))
    tilt = uniform(place, -roll, roll) + 30 * sway * uniform(now, -1, 1)
    camera = Camera(size, far, low, tilt, uniform(place, *focal), target)
    canvas = Canvas(camera, full, light(place), color or near(place, (200, 198, 192), 40))
    canvas.shadow_strength = uniform(place, 0.15, 0.8)
    canvas.ambient = uniform(place, 0.38, 0.8)
    canvas.skin = near(place, pick(place, clutter.SKIN))
    canvas.sleeve = anycolor(place) if chance(place, 0.6) else None
    return canvas


def backdrop(canvas: Canvas, rng: Rng, busy: int) -> None:
    """Draw the background behind the table: a wall or a floor, and `busy` objects, drawn as coloured quadrilaterals."""
    w, h = canvas.photo.size
    skin = texture(rng, pick(rng, ("plain", "plain", "tile", "wood")), near(rng, canvas.color, 20), 256)
    canvas.photo.paste(skin.resize((w, h), Image.Resampling.BILINEAR))
    for _ in range(busy):
        x, y, side = uniform(rng, 0, w), uniform(rng, 0, h), uniform(rng, 0.03, 0.3) * w
        dx, dy = turn(side, 0, uniform(rng, -25, 25))
        flat = uniform(rng, 0.2, 1.2)
        quad = [(x, y), (x + dx, y + dy), (x + dx - dy * flat, y + dy + dx * flat), (x - dy * flat, y + dx * flat)]
        canvas.paint([quad], puffy(anycolor(rng), 4, 0.6, rng))
        if chance(rng, 0.4):
            end = (x + dx * 2, y + uniform(rng, -0.15, 0.15) * w)
            canvas.paint(chain(((x, y), end), (0.004 * w, 0.006 * w)), anycolor(rng))


TABLES: tuple[tuple[str, Color], ...] = (
    ("plain", (92, 96, 98)),
    ("plain", (74, 76, 80)),
    ("granite", (60, 66, 76)),
    ("granite", (150, 146, 138)),
    ("wood", (190, 140, 86)),
    ("wood", (150, 100, 62)),
    ("wood", (84, 50, 36)),
    ("wood", (214, 180, 132)),
    ("plain", (226, 224, 218)),
    ("tile", (206, 200, 190)),
    ("steel", (168, 170, 172)),
    ("stripes", (190, 170, 150)),
    ("plain", (36, 36, 38)),
    ("plain", (190, 190, 186)),
    ("stripes", (110, 130, 160)),
    ("granite", (196, 190, 178)),
)
"""Kind and colour of the `texture` of table tops. Items 0 to 2 are dark, items 4 to 7 are wood."""


def table(
    canvas: Canvas,
    rng: Rng,
    half: tuple[float, float],
    top: tuple[str, Color],
    heading: float = 0,
    span: float | None = None,
) -> None:
    """Draw a table top, centred on the origin and rotated by `heading`; `half` is half of its width and depth.

    `top` is the kind and the colour of the `texture`; `span` is the width that the texture covers, None the diagonal.
    """
    corners = [turn(sx * half[0], sy * half[1], heading) for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    diagonal = 2 * (half[0] ** 2 + half[1] ** 2) ** 0.5
    canvas.surface(corners, texture(rng, top[0], near(rng, top[1], 14)), span or diagonal, heading)


def spot(rng: Rng, half: tuple[float, float], heading: float = 0) -> tuple[float, float]:
    return turn(uniform(rng, -half[0], half[0]), uniform(rng, -half[1], half[1]), heading)


def apart(rng: Rng, taken: Taken, half: tuple[float, float], radius: float) -> tuple[float, float]:
    """A random point (x, y) whose disc of `radius` overlaps no disc in `taken`; after ten failed tries, the last point.

    The disc is added to `taken`.
    """
    for _ in range(10):
        x, y = spot(rng, half)
        if all((x - a) ** 2 + (y - b) ** 2 > (r + radius) ** 2 for a, b, r in taken):
            break
    taken.append((x, y, radius))
    return x, y


def along(start: tuple[float, float], distance: float, heading: float) -> tuple[float, float]:
    dx, dy = turn(distance, 0, heading)
    return start[0] + dx, start[1] + dy


def strew(canvas: Canvas, place: Rng, count: int, half: tuple[float, float], taken: Taken) -> None:
    """Put `count` random distractors, the same in all frames of a run that pass equal `taken`.

    `apart` places each distractor as a disc of 5 centimetres. A distractor may hide another one from the camera.
    """
    for _ in range(count):
        canvas.put(place, pick(place, clutter.DISTRACTORS), *apart(place, taken, half, 5))


def eggs_inside(
    canvas: Canvas, now: Rng, x: float, y: float, radius: float, count: int, z: float = 0.4
) -> Callable[[Shape], None]:
    """A function that draws `count` eggs in a pan, placed with `apart`, the farthest from the camera first."""
    taken: Taken = []
    spots = sorted((apart(now, taken, (radius * 0.5, radius * 0.5), 2.4) for _ in range(count)), key=lambda p: -p[1])
    dice = [child(now) for _ in spots]

    def fill(inside: Shape) -> None:
        for (a, b), d in zip(spots, dice, strict=True):
            props.egg(canvas, d, x + a, y + b, z)

    return fill


def meal(canvas: Canvas, now: Rng, x: float, y: float, radius: float) -> Callable[[Shape], None]:
    dice = child(now)
    return lambda inside: props.food(canvas, dice, x, y, radius * 0.8, 0.6, props.PAN, inside)


def put_pan(
    canvas: Canvas,
    place: Rng,
    now: Rng,
    x: float,
    y: float,
    radius: float,
    heading: float,
    z: float = 0,
    dark: bool = False,
    eggs: float = 0.3,
    food: float = 0.15,
) -> None:
    """Put a pan that looks the same in all frames of a run; its contents change from frame to frame.

    The pan holds eggs with probability `eggs`, food with probability `food`, never eggs and food together.
    """
    inside = None
    roll = uniform(now, 0, 1)
    if roll < eggs:
        inside = eggs_inside(canvas, now, x, y, radius, 1 + int(now.integers(3)) * int(now.integers(2)), z + 0.4)
    elif roll < eggs + food:
        inside = meal(canvas, now, x, y, radius)
    canvas.put(place, props.pan, x, y, heading, z, radius, inside, dark)


def reach(
    canvas: Canvas,
    now: Rng,
    target: tuple[float, float],
    egg: bool | None = None,
    z: float = 2,
    from_below: float = 0.8,
) -> None:
    """Draw a hand that reaches for `target` on the table; `egg` says if the hand holds an egg, None is random.

    `z` is the height of the fingers. With probability `from_below` the arm comes from the lower edge of the photo,
    otherwise from a random side.
    """
    u, v = canvas.camera.project(*target, z)
    s = canvas.camera.scale(*target, z + 3)
    heading = uniform(now, -140, -40) if chance(now, from_below) else uniform(now, 0, 360)
    egg = chance(now, 0.45) if egg is None else egg
    dx, dy = turn(-1.2 * s, 0, heading)
    x, y = canvas.camera.ground(u + dx, v + dy)
    brown = chance(now, 0.6)

    def held() -> None:
        props.egg(canvas, now, x, y, 0, brown, uniform(now, -60, 60), shadow=False)

    grip = uniform(now, 0.35, 0.95) if egg else None
    clutter.hand(
        canvas,
        now,
        u,
        v,
        heading,
        s,
        canvas.skin,
        canvas.sleeve,
        grip,
        held if egg else None,
        pick(now, (4, 4, 3, 2, 1)),
    )


def overhead(size: Size, full: Size, place: Rng, now: Rng) -> Canvas:
    """A camera above a work table: small eggs (20 to 40 pixels of 640), often a dark pan, a hotplate or hands."""
    canvas = stage(size, full, place, now, (105, 150), (80, 90), (0.8, 1.05), 6, 0.008, near(place, (70, 66, 60), 40))
    backdrop(canvas, place, int(place.integers(6, 16)))
    half, heading = (uniform(place, 45, 62), uniform(place, 24, 36)), uniform(place, -9, 9)
    top = ("plain", (100, 108, 112)) if chance(place, 0.65) else pick(place, TABLES)
    table(canvas, place, half, top, heading)
    taken: Taken = []
    if chance(place, 0.7):
        side = pick(place, (-1, 1))
        x, y = turn(side * half[0] * 0.8, uniform(place, -0.5, 0.5) * half[1], heading)
        taken.append((x, y, 18))
        canvas.put(place, clutter.hotplate, x, y)
    for x, y in [spot(place, (half[0] * 1.15, half[1] * 1.15)) for _ in range(int(place.integers(0, 4)))]:
        canvas.put(
            place,
            clutter.marker if chance(place, 0.3) else clutter.package,
            x * 1.05,
            half[1] * (1.1 if y > 0 else -1.2),
        )
    inner = (half[0] * 0.85, half[1] * 0.8)
    for thing in (clutter.can, clutter.reel, clutter.reel, clutter.cable, props.lookalike, clutter.knife):
        if chance(place, 0.4):
            canvas.put(place, thing, *apart(place, taken, inner, 4))
    grips: list[tuple[float, float]] = []  # a point on the pan's handle, if there is a pan
    radius, looks = uniform(place, 9, 13), child(place)
    if chance(now, 0.62):
        pan_at = apart(now, taken, inner, radius)
        angle = uniform(now, 0, 360)
        put_pan(canvas, looks, now, *pan_at, radius, angle, 0, chance(looks, 0.8), 0.12, 0.05)
        grips.append(along(pan_at, radius + 12, angle))
    spots = [apart(now, taken, inner, 3) for _ in range(int(now.integers(0 if grips else 1, 4)))]
    for x, y in spots:
        canvas.put(now, props.egg, x, y)
    canvas.flush()
    for _ in range(int(now.integers(0, 3))):
        reach(canvas, now, pick(now, [*spots, *grips, spot(now, inner)]))
    return canvas


def aslant(size: Size, full: Size, place: Rng, now: Rng) -> Canvas:
    """A table, usually dark, seen at a slant, usually with a dark pan; eggs may lie in the pan or on the table."""
    canvas = stage(size, full, place, now, (42, 88), (25, 62), (0.75, 1.1), 8, 0.06, near(place, (205, 206, 204), 30))
    backdrop(canvas, place, int(place.integers(0, 4)))
    half, heading = (uniform(place, 38, 75), uniform(place, 28, 45)), uniform(place, -40, 40)
    top = pick(place, TABLES[:3]) if chance(place, 0.6) else pick(place, TABLES)
    table(canvas, place, half, top, heading)
    taken: Taken = []
    strew(canvas, place, int(place.integers(0, 4)), (half[0] * 0.8, half[1] * 0.8), taken)
    radius, looks = uniform(place, 10, 15), child(place)
    grips = [spot(now, (20, 12))]
    count = int(now.integers(0, 4))
    if chance(now, 0.88):
        pan_at = apart(now, taken, (22, 12), radius)
        angle = uniform(now, -110, 20) if chance(now, 0.7) else uniform(now, 0, 360)
        put_pan(canvas, looks, now, *pan_at, radius, angle, 0, chance(looks, 0.7), 0.4, 0.05)
        grips.append(along(pan_at, radius + 13, angle))
    else:
        count = max(1, count)
    for _ in range(count):
        canvas.put(now, props.egg, *apart(now, taken, (24, 14), 3))
    canvas.flush()
    if chance(now, 0.25):
        reach(canvas, now, pick(now, grips))
    return canvas


def plate_top(size: Size, full: Size, place: Rng, now: Rng) -> Canvas:
    """A plate with one to three eggs, seen from above, mostly on wood, next to a flat round object such as a coin."""
    canvas = stage(size, full, place, now, (28, 52), (62, 90), (0.8, 1.2), 10, 0.05)
    top = pick(place, TABLES[4:8]) if chance(place, 0.6) else pick(place, TABLES)
    table(canvas, place, (80, 80), top, uniform(place, -10, 10), 70)
    taken: Taken = []
    x, y = uniform(place, -5, 5) + uniform(now, -2, 2), uniform(place, -4, 4)
    radius = uniform(place, 9, 13)
    count = pick(now, (1, 1, 1, 1, 2, 3))
    dice = [child(now) for _ in range(count)]
    spots = sorted((apart(now, taken, (radius * 0.45, radius * 0.45), 2.6) for _ in dice), key=lambda p: -p[1])
    brown = uniform(place, -0.3, 1.3)

    def fill(inside: Shape) -> None:
        for (a, b), d in zip(spots, dice, strict=True):
            props.egg(canvas, d, x + a, y + b, 0.3, chance(d, brown))

    canvas.put(place, props.plate, x, y, radius, fill)
    canvas.put(place, clutter.reel, x - pick(place, (-1, 1)) * (radius + 5), y + uniform(place, -6, 6))
    strew(canvas, place, int(place.integers(0, 3)), (40, 25), [(x, y, radius)])
    canvas.flush()
    if chance(now, 0.3):
        a, b = spots[-1]
        reach(canvas, now, (x + a + uniform(now, -6, 6), y + b - uniform(now, 3, 8)), False)
    return canvas


def plate_side(size: Size, full: Size, place: Rng, now: Rng) -> Canvas:
    """One egg on a plate, in a pan or on the table, seen at a pitch of 4 to 22 degrees, in front of a wall."""
    canvas = stage(size, full, place, now, (35, 60), (6, 20), (1.0, 1.4), 3, 0.03, near(place, (160, 120, 84), 50))
    backdrop(canvas, place, int(place.integers(0, 3)))
    top = pick(place, TABLES[4:8]) if chance(place, 0.6) else pick(place, TABLES)
    table(canvas, place, (60, 28), top)
    x, y, radius = uniform(place, -6, 6) + uniform(now, -3, 3), uniform(place, -2, 6), uniform(place, 8, 11)
    dice = child(now)
    a, b, brown = uniform(now, -3, 3), uniform(now, -2, 2), chance(place, 0.8)

    def fill(inside: Shape) -> None:
        props.egg(canvas, dice, x + a, y + b, 0.4, brown)

    if chance(place, 0.75):
        canvas.put(place, props.plate, x, y, radius, fill)
    elif chance(place, 0.5):
        canvas.put(place, props.pan, x, y, uniform(place, 0, 360), 0, radius + 3, fill)
    else:
        canvas.put(now, props.egg, x, y)
    strew(canvas, place, int(place.integers(0, 4)), (25, 20), [(x, y, radius)])
    canvas.flush()
    return canvas


def closeup(size: Size, full: Size, place: Rng, now: Rng) -> Canvas:
    """An egg close to the camera, on a plate or on the table, often with a hand that points at the egg."""
    if chance(place, 0.4):
        return peeled(size, full, place, now)
    canvas = stage(size, full, place, now, (14, 38), (35, 85), (0.8, 1.3), 12, 0.08, near(place, (150, 150, 150), 60))
    backdrop(canvas, place, int(place.integers(6, 14)))
    dark = (("plain", (34, 34, 36)), ("plain", (44, 46, 50)))
    top = pick(place, dark if chance(place, 0.4) else (("plain", (232, 230, 226)), *TABLES))
    table(canvas, place, (uniform(place, 16, 40), uniform(place, 14, 30)), top, uniform(place, -30, 30))
    x, y = uniform(now, -4, 4), uniform(now, -4, 4)
    brown = chance(place, 0.5)
    dice = child(now)

    def fill(inside: Shape) -> None:
        props.egg(canvas, dice, x, y, 0.3, brown)

    if chance(place, 0.5):
        canvas.put(place, props.plate, uniform(place, -3, 3), uniform(place, -3, 3), uniform(place, 11, 15), fill)
    else:
        canvas.put(now, props.egg, x, y, 0, brown)
    canvas.flush()
    if chance(now, 0.6):
        point_at(canvas, now, x, y, pick(now, (1, 1, 4)))
    return canvas


def peeled(size: Size, full: Size, place: Rng, now: Rng) -> Canvas:
    """One or two white eggs, like peeled boiled eggs, on a white plate close to the camera, in soft, bright light.

    In 30 % of the frames the eggs are brown, so that the network does not learn that all eggs are white.
    """
    canvas = stage(size, full, place, now, (10, 26), (50, 90), (0.8, 1.3), 20, 0.08, near(place, (225, 223, 216), 20))
    canvas.ambient, canvas.shadow_strength = uniform(place, 0.66, 0.92), uniform(place, 0.1, 0.4)
    backdrop(canvas, place, 0)
    table(canvas, place, (40, 40), pick(place, TABLES), uniform(place, -30, 30))
    x, y, dice = uniform(now, -3, 3), uniform(now, -3, 3), child(now)
    color, brown = near(place, pick(place, props.WHITE), 6), chance(now, 0.3)

    def fill(inside: Shape) -> None:
        for _ in range(pick(now, (1, 1, 1, 1, 2))):
            props.egg(canvas, dice, x + uniform(dice, -1, 1), y + uniform(dice, -1, 1), 0.3, brown)

    plate = functools.partial(props.plate, color=color)
    canvas.put(place, plate, uniform(place, -4, 4), uniform(place, -4, 4), uniform(place, 12, 20), fill)
    canvas.flush()
    if chance(now, 0.8):
        point_at(canvas, now, x, y, pick(now, (1, 1, 1, 4)))
    return canvas


def point_at(canvas: Canvas, now: Rng, x: float, y: float, fingers: int) -> None:
    """Draw a hand that comes from the left and points at (x, y) on the table; `fingers` as in `clutter.hand`."""
    heading = uniform(now, -60, 60)
    u, v = canvas.camera.project(x, y, 2)
    s = canvas.camera.scale(x, y, 3) * uniform(now, 0.8, 1.2)
    dx, dy = turn(-s * uniform(now, 2.2, 8), 0, heading)
    clutter.hand(canvas, now, u + dx, v + dy, heading, s, canvas.skin, fingers=fingers)


def carton_scene(size: Size, full: Size, place: Rng, now: Rng) -> Canvas:
    """An open egg carton, on average 40 to 100 % full; often a pan or single eggs lie next to the carton."""
    canvas = stage(size, full, place, now, (45, 85), (40, 85), (0.85, 1.2), 10, 0.05)
    backdrop(canvas, place, 2)
    top = pick(place, TABLES)
    table(canvas, place, (uniform(place, 40, 80), uniform(place, 35, 60)), top, uniform(place, -25, 25))
    columns, rows = pick(place, ((5, 2), (5, 2), (3, 2), (6, 2), (4, 3), (6, 5)))
    fill, x, y = uniform(now, 0.4, 1), uniform(place, -6, 6), uniform(place, -6, 2)
    taken = [(x, y, 17.0)]
    canvas.put(place, clutter.carton, x, y, columns, rows, fill, uniform(place, -22, 22), now)
    strew(canvas, place, int(place.integers(0, 4)), (40, 26), taken)
    if chance(place, 0.35):
        radius = uniform(place, 10, 14)
        put_pan(canvas, place, now, *apart(place, taken, (34, 24), radius), radius, uniform(place, 0, 360))
    for _ in range(int(now.integers(0, 3))):
        canvas.put(now, props.egg, *apart(now, taken, (26, 18), 3))
    canvas.flush()
    if chance(now, 0.35):
        reach(canvas, now, (x + uniform(now, -10, 10), y + uniform(now, -5, 5)))
    return canvas


def stove(size: Size, full: Size, place: Rng, now: Rng) -> Canvas:
    """A hob with pans of several colours, pots and lids on its burners, seen from above or at a slant."""
    canvas = stage(size, full, place, now, (75, 120), (42, 88), (0.8, 1.1), 8, 0.05)
    backdrop(canvas, place, 4)
    table(canvas, place, (110, 42), pick(place, TABLES), span=230)
    middles = clutter.hob(
        canvas, place, uniform(place, -18, 18), uniform(place, -4, 4), uniform(place, 54, 66), uniform(place, 48, 54)
    )
    for x, y in middles:
        roll, radius = uniform(place, 0, 1), uniform(place, 9, 14)
        looks = child(place)
        if roll < 0.5:
            heading = uniform(looks, -120, -60) if chance(looks, 0.5) else uniform(looks, 0, 360)
            put_pan(canvas, looks, now, x, y, radius, heading + uniform(now, -8, 8), 2, False, 0.25, 0.4)
        elif roll < 0.65:
            canvas.put(place, props.pot, x, y)
        elif roll < 0.75:
            canvas.put(place, props.lid, x, y, 2)
    for side in (-1, 1):
        for _ in range(int(place.integers(0, 4))):
            canvas.put(place, pick(place, clutter.DISTRACTORS), side * uniform(place, 42, 70), uniform(place, -30, 35))
    if chance(now, 0.4):
        side = pick(now, (-1, 1))
        for k in range(int(now.integers(1, 4))):
            canvas.put(now, props.egg, side * (48 + 6 * k), uniform(now, -25, 10))
    if chance(place, 0.25):
        canvas.put(
            place,
            clutter.carton,
            pick(place, (-1, 1)) * 55,
            uniform(place, -20, 10),
            3,
            2,
            0.7,
            uniform(place, -20, 20),
            now,
        )
    canvas.flush()
    if chance(now, 0.45):
        reach(canvas, now, pick(now, middles), None, 6)
    return canvas


def kitchen(size: Size, full: Size, place: Rng, now: Rng) -> Canvas:
    """The view of a cook's head camera: a cluttered worktop, often with a hob, and hands that often hold eggs."""
    canvas = stage(
        size, full, place, now, (65, 105), (38, 80), (0.55, 0.75), 20, 0.08, near(place, (130, 124, 116), 60)
    )
    backdrop(canvas, place, int(place.integers(4, 12)))
    heading = uniform(place, -30, 30)
    table(canvas, place, (120, uniform(place, 30, 50)), pick(place, TABLES), heading, 260)
    taken: Taken = []
    if chance(place, 0.6):
        side = pick(place, (-1, 1))
        for x, y in clutter.hob(canvas, place, side * uniform(place, 30, 48), uniform(place, -4, 8), 56, 50):
            looks = child(place)
            roll = uniform(place, 0, 1)
            if roll < 0.4:
                put_pan(
                    canvas,
                    looks,
                    now,
                    x,
                    y,
                    uniform(looks, 9, 14),
                    uniform(looks, -150, -30),
                    2,
                    chance(looks, 0.6),
                    0.15,
                    0.5,
                )
            elif roll < 0.6:
                canvas.put(place, props.pot, x, y)
            taken.append((x, y, 13))
    elif chance(place, 0.6):
        x, y = apart(place, taken, (35, 18), 13)
        put_pan(canvas, place, now, x, y, 13, uniform(place, 0, 360), 0, False, 0.2, 0.4)
    for _ in range(int(place.integers(5, 16))):
        canvas.put(place, pick(place, clutter.DISTRACTORS), *apart(place, taken, (75, 32), 6))
    if chance(place, 0.4):
        canvas.put(place, clutter.carton, *apart(place, taken, (25, 14), 12), 3, 2, 0.6, uniform(place, -50, 50), now)
    for _ in range(int(now.integers(0, 4))):
        canvas.put(now, props.egg, *apart(now, taken, (24, 18), 3))
    canvas.flush()
    if chance(now, 0.85):
        for side in (-1, 1) if chance(now, 0.7) else (1,):
            reach(
                canvas,
                now,
                (side * uniform(now, 3, 16), uniform(now, -16, 6)),
                chance(now, 0.55),
                uniform(now, 4, 20),
                1,
            )
    return canvas


def desk(size: Size, full: Size, place: Rng, now: Rng) -> Canvas:
    """A wide view of a desk, not a kitchen: often a laptop, slits of a radiator, an egg on the desk or in a hand."""
    canvas = stage(size, full, place, now, (26, 55), (20, 60), (0.55, 0.9), 25, 0.08, near(place, (224, 226, 222), 20))
    backdrop(canvas, place, int(place.integers(0, 5)))
    heading = uniform(place, -40, 40)
    table(canvas, place, (70, uniform(place, 12, 40)), ("plain", near(place, (206, 208, 204), 30)), heading)
    if chance(place, 0.6):
        clutter.grille(canvas, place, uniform(place, -14, 4), heading)
    if chance(place, 0.6):
        clutter.laptop(canvas, place, uniform(place, 14, 34) * pick(place, (-1, 1)), uniform(place, -10, 10))
    strew(canvas, place, int(place.integers(0, 4)), (40, 20), [])
    if chance(now, 0.7):
        canvas.put(place, props.egg, uniform(now, -16, 16), uniform(now, -10, 8), 0, chance(place, 0.35))
    canvas.flush()
    if chance(now, 0.65):
        reach(canvas, now, (uniform(now, -18, 18), uniform(now, -10, 8)), chance(now, 0.6), 5, 0.6)
    return canvas


def anything(size: Size, full: Size, place: Rng, now: Rng) -> Canvas:
    """A random table, camera and choice of objects, so that the network does not learn one typical place."""
    canvas = stage(size, full, place, now, (45, 130), (22, 90), (0.6, 1.3), 40, 0.05)
    backdrop(canvas, place, int(place.integers(0, 12)))
    half = (uniform(place, 30, 80), uniform(place, 25, 60))
    color = anycolor(place) if chance(place, 0.4) else None
    kind, usual = pick(place, TABLES)
    table(canvas, place, half, (kind, color or usual), uniform(place, -90, 90))
    area = (min(half[0], 40) * 0.9, min(half[1], 26) * 0.9)
    taken: Taken = []
    strew(canvas, place, int(place.integers(0, 9)), area, taken)
    for looks in [child(place), child(place)][: pick(now, (0, 1, 1, 1, 2, 2))]:
        radius = uniform(looks, 8, 15)
        put_pan(canvas, looks, now, *apart(now, taken, area, radius), radius, uniform(now, 0, 360), 0, False, 0.4, 0.25)
    for _ in range(int(now.integers(0, 5))):
        canvas.put(now, props.egg, *apart(now, taken, area, 3))
    canvas.flush()
    for _ in range(pick(now, (0, 0, 0, 1, 1, 2))):
        reach(canvas, now, spot(now, area), None, uniform(now, 1, 8), 0.5)
    return canvas
