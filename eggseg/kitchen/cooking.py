"""Places where eggs and meals are cooked and served, close to the camera; the functions are as in `places`."""

from __future__ import annotations

from collections.abc import Callable

from eggseg.kitchen import clutter, dishes, props
from eggseg.kitchen.canvas import BACKGROUND, Canvas, Rng, Shape, chance, child, near, pick, turn, uniform
from eggseg.kitchen.places import TABLES, Size, Taken, apart, backdrop, eggs_inside, reach, stage, strew, table


def frying(size: Size, full: Size, place: Rng, now: Rng) -> Canvas:
    """A pan on a hob, on a table or in an oven, close to the camera and often cut by the frame, mostly full of food."""
    canvas = stage(size, full, place, now, (20, 62), (22, 90), (0.8, 1.3), 25, 0.06, near(place, (170, 164, 156), 60))
    canvas.ambient = uniform(place, 0.4, 0.8)
    backdrop(canvas, place, int(place.integers(0, 6)))
    table(canvas, place, (90, uniform(place, 20, 60)), pick(place, TABLES), uniform(place, -40, 40), 160)
    x, y, z = uniform(now, -9, 9), uniform(now, -7, 7), 0.0
    roll = uniform(place, 0, 1)
    if roll < 0.5:  # on the front left burner
        width, depth = uniform(place, 54, 66), uniform(place, 48, 54)
        clutter.hob(canvas, place, x + 0.24 * width, y + 0.22 * depth, width, depth)
        z = 2.5
    elif roll < 0.62:  # in an oven
        table(canvas, place, (90, 90), ("plain", (40, 38, 36)))
        clutter.rack(canvas, place, uniform(place, -20, 20))
    looks, radius = child(place), uniform(place, 10, 17)
    strew(canvas, place, int(place.integers(0, 4)), (40, 30), [(x, y, 17)])
    heading = uniform(looks, -150, -30) if chance(looks, 0.6) else uniform(looks, 0, 360)
    contents = _contents(canvas, now, x, y, z, radius)
    canvas.put(looks, props.pan, x, y, heading, z, radius, contents, chance(looks, 0.4), pick(looks, (0.35, 0.6, 1, 1)))
    canvas.flush()
    if chance(now, 0.15):  # a spatula or spoon in the pan
        clutter.knife(canvas, now, x + uniform(now, -8, 8), y + uniform(now, -8, 8), z + 3)
    if chance(now, 0.15):
        reach(canvas, now, (x + uniform(now, -12, 12), y + uniform(now, -12, 0)), None, 5)
    return canvas


def _contents(canvas: Canvas, now: Rng, x: float, y: float, z: float, radius: float) -> Callable[[Shape], None] | None:
    """What is in the pan: about half of the time a meal, which is of class pan, else eggs or nothing."""
    roll, dice, level = uniform(now, 0, 1), child(now), z + uniform(now, 0.5, 2.5)
    if roll < 0.2:
        return None
    if roll < 0.3:
        return eggs_inside(canvas, now, x, y, radius, int(now.integers(1, 5)), z + 0.4)

    def fill(inside: Shape) -> None:
        if roll < 0.78:
            dishes.meal(canvas, dice, x, y, radius * uniform(dice, 0.6, 0.98), level, props.PAN, inside)
        elif chance(dice, 0.2):
            dishes.meal(canvas, dice, x, y, radius * 0.9, z + 0.4, props.PAN, inside)
        if roll > 0.78:
            for _ in range(int(dice.integers(1, 5))):
                dx, dy = turn(radius * 0.6 * uniform(dice, 0, 1), 0, uniform(dice, 0, 360))
                draw = dishes.fried_egg if roll < 0.95 else dishes.raw_eggs
                draw(canvas, dice, x + dx, y + dy, z + 0.6, inside)

    return fill


def served(size: Size, full: Size, place: Rng, now: Rng) -> Canvas:
    """Fried, halved or raw eggs on a plate, in a bowl or on the table, with other food, close to the camera."""
    canvas = stage(size, full, place, now, (16, 45), (32, 90), (0.8, 1.3), 30, 0.06, near(place, (180, 170, 158), 60))
    canvas.ambient, canvas.shadow_strength = uniform(place, 0.45, 0.9), uniform(place, 0.1, 0.6)
    backdrop(canvas, place, int(place.integers(0, 5)))
    table(canvas, place, (80, 60), pick(place, TABLES), uniform(place, -60, 60), 120)
    x, y, radius = uniform(now, -3, 3), uniform(now, -3, 3), uniform(place, 8, 14)
    dice, kind = (
        child(now),
        pick(now, (dishes.fried_egg, dishes.fried_egg, dishes.half_egg, dishes.half_egg, dishes.raw_eggs)),
    )

    def fill(inside: Shape | None) -> None:
        if chance(dice, 0.5):
            dx, dy = turn(radius * uniform(dice, 0, 0.6), 0, uniform(dice, 0, 360))
            dishes.meal(canvas, dice, x + dx, y + dy, radius * uniform(dice, 0.3, 0.9), 0.5, BACKGROUND, inside)
        taken: Taken = []
        count = pick(dice, (1, 1, 2, 2, 3, 4, 6)) if kind is not dishes.raw_eggs else 1
        spots = [apart(dice, taken, (radius * 0.6, radius * 0.6), 2.6) for _ in range(count)]
        for a, b in sorted(spots, key=lambda p: -p[1]):
            kind(canvas, dice, x + a, y + b, uniform(dice, 0.5, 1.2), inside)

    on_plate = chance(place, 0.8)
    if on_plate:
        canvas.put(place, props.plate, x, y, radius, fill)
    strew(canvas, place, int(place.integers(0, 3)), (35, 25), [(x, y, radius)])
    canvas.flush()
    if not on_plate:
        fill(None)
    return canvas


def rows(size: Size, full: Size, place: Rng, now: Rng) -> Canvas:
    """Rows of whole eggs on a table or in a full carton, close to the camera."""
    canvas = stage(size, full, place, now, (24, 60), (35, 90), (0.8, 1.3), 15, 0.05)
    canvas.ambient = uniform(place, 0.5, 0.85)
    backdrop(canvas, place, 1)
    table(canvas, place, (90, 60), pick(place, TABLES), uniform(place, -20, 20), 140)
    heading = uniform(place, -12, 12)
    columns, lines = pick(place, ((6, 1), (4, 2), (6, 2), (5, 3), (6, 5), (3, 2)))
    if chance(place, 0.5):
        canvas.put(place, clutter.carton, 0, 0, columns, max(2, lines), uniform(now, 0.8, 1.1), heading, now)
        canvas.flush()
        return canvas
    gap, brown, lie = uniform(place, 5.4, 8), pick(place, (0.0, 0.5, 1.0)), uniform(place, 0, 360)
    for line in range(lines):
        for column in range(columns):
            dx, dy = turn((column - (columns - 1) / 2) * gap, (line - (lines - 1) / 2) * gap, heading)
            dice = child(place)
            canvas.put(place, props.egg, dx, dy, 0, chance(dice, brown), None, lie + uniform(now, -15, 15))
    canvas.flush()
    return canvas
