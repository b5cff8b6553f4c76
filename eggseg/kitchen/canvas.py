"""A canvas: a photo and its class ids, drawn from the same polygons through the same camera.

The world is a table plane in centimetres, x to the right, y away from the camera, z up. A later shape covers earlier
ones in both the photo and the class ids, so occlusion is exact. Every processor gives the same pixels: transcendental
functions are computed on scalars only, points are rounded to 1/16 pixel, and operations on arrays are only arithmetic
and square roots.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

T = TypeVar("T")
Rng = np.random.Generator
Color = tuple[float, float, float]
Point = tuple[float, float]
Shape = list[list[Point]]  # a union of polygons, pixels
Box = tuple[int, int, int, int]  # left, top, right, bottom, pixels
Shade = Callable[
    ["Canvas", Image.Image, Box], np.ndarray
]  # returns colours of a box, (h, w, 3) uint8; the image is the coverage of the box by the shape, 'L' 0..255

# (cosine, sine) of 48 angles, 7.5 degrees apart.
TURN = tuple((round(math.cos(i * math.pi / 24), 12), round(math.sin(i * math.pi / 24), 12)) for i in range(48))
BACKGROUND = 0  # the first class of any class table


# Random numbers.
def uniform(rng: Rng, low: float, high: float) -> float:
    return low + (high - low) * float(rng.random())


def chance(rng: Rng, probability: float) -> bool:
    return float(rng.random()) < probability


def pick(rng: Rng, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]


def near(rng: Rng, color: Color, spread: float = 12) -> Color:
    """A colour near `color`, 0..255: lighter or darker by up to `spread`, each channel by up to `spread` / 3 more."""
    light = uniform(rng, -spread, spread)
    red, green, blue = (min(255.0, max(0.0, c + light + uniform(rng, -spread, spread) / 3)) for c in color)
    return red, green, blue


def anycolor(rng: Rng) -> Color:
    """A random colour, 0..255: grey (40 %), muted (35 %), or vivid like packaging (25 %)."""
    grey, roll = uniform(rng, 20, 240), uniform(rng, 0, 1)
    if roll < 0.4:
        return near(rng, (grey, grey, grey), 8)
    vivid = (uniform(rng, 10, 245), uniform(rng, 10, 235), uniform(rng, 10, 235))
    if roll > 0.75:
        return vivid
    red, green, blue = (0.3 * c + 0.7 * g for c, g in zip(vivid, (grey * 1.05, grey * 0.95, grey * 0.82), strict=True))
    return red, green, blue


def child(rng: Rng) -> Rng:
    """A separate generator for one object, so that the numbers it draws do not change other objects."""
    return np.random.default_rng(int(rng.integers(1 << 32)))


def darker(color: Color, factor: float) -> Color:
    red, green, blue = (min(255.0, c * factor) for c in color)
    return red, green, blue


# Geometry.
class Camera:
    """A pinhole camera over the table: converts centimetres to pixels.

    `distance` is from `target` on the table, in centimetres. Angles are in degrees; with a `pitch` of 90 the camera
    looks straight down. `focal` is the focal length divided by the long side of the photo.
    """

    def __init__(
        self,
        size: tuple[int, int],
        distance: float,
        pitch: float,
        roll: float = 0,
        focal: float = 1.0,
        target: Point = (0, 0),
    ) -> None:
        self.size = size
        self.focal = focal * max(size)
        p, r = math.radians(pitch), math.radians(roll)
        self.forward = (0.0, math.cos(p), -math.sin(p))
        up = (0.0, math.sin(p), math.cos(p))
        self.right = (math.cos(r), math.sin(r) * up[1], math.sin(r) * up[2])
        self.up = (-math.sin(r), math.cos(r) * up[1], math.cos(r) * up[2])
        self.place = (target[0], target[1] - distance * self.forward[1], -distance * self.forward[2])

    def _depth(self, x: float, y: float, z: float) -> tuple[float, float, float, float]:
        dx, dy, dz = x - self.place[0], y - self.place[1], z - self.place[2]
        # Depth is at least 2 cm: points behind the camera move out of the frame instead of being mirrored.
        return dx, dy, dz, max(2.0, dx * self.forward[0] + dy * self.forward[1] + dz * self.forward[2])

    def project(self, x: float, y: float, z: float = 0) -> Point:
        """A point in centimetres to (u, v), pixels from the left and the top edge of the photo, rounded to 1/16."""
        dx, dy, dz, depth = self._depth(x, y, z)
        u = self.size[0] / 2 + self.focal * (dx * self.right[0] + dy * self.right[1] + dz * self.right[2]) / depth
        v = self.size[1] / 2 - self.focal * (dx * self.up[0] + dy * self.up[1] + dz * self.up[2]) / depth
        return round(u * 16) / 16, round(v * 16) / 16

    def scale(self, x: float, y: float, z: float = 0) -> float:
        """Pixels per centimetre at a point given in centimetres."""
        return max(1, round(self.focal / self._depth(x, y, z)[3] * 64)) / 64

    def ground(self, u: float, v: float) -> Point:
        """The point on the table, centimetres, at (u, v) in the photo, pixels."""
        a, b = (u - self.size[0] / 2) / self.focal, (self.size[1] / 2 - v) / self.focal
        ray = [f + a * r + b * w for f, r, w in zip(self.forward, self.right, self.up, strict=True)]
        t = self.place[2] / max(0.02, -ray[2])
        return self.place[0] + t * ray[0], self.place[1] + t * ray[1]

    def plane_of_pixel(self, left: int, top: int) -> list[float]:
        """Coefficients (a .. i) of x = (a u + b v + c) / w, y = (d u + e v + f) / w, w = g u + h v + i, at z = 0.

        (x, y) is in centimetres. (u, v) is in pixels; the origin is the centre of the pixel (left, top).
        """
        u0, v0 = left + 0.5 - self.size[0] / 2, top + 0.5 - self.size[1] / 2
        rays = [
            (r / self.focal, -u / self.focal, f + (r * u0 - u * v0) / self.focal)
            for r, u, f in zip(self.right, self.up, self.forward, strict=True)
        ]
        height = self.place[2]
        return [self.place[axis] * rays[2][i] - height * rays[axis][i] for axis in (0, 1) for i in range(3)] + [
            *rays[2]
        ]


def hull(points: Sequence[Point]) -> list[Point]:
    """The convex hull of points, as its corners in order along the outline."""
    ordered = sorted(set(points))
    sides = []
    for line in (ordered, ordered[::-1]):
        side: list[Point] = []
        for p in line:
            while len(side) > 1 and (
                (side[-1][0] - side[-2][0]) * (p[1] - side[-2][1]) <= (side[-1][1] - side[-2][1]) * (p[0] - side[-2][0])
            ):
                side.pop()
            side.append(p)
        sides += side[:-1]
    return sides


def disc(u: float, v: float, radius: float, squash: float = 1) -> list[Point]:
    return [(round(16 * (u + radius * c)) / 16, round(16 * (v + radius * squash * s)) / 16) for c, s in TURN[::2]]


def chain(points: Sequence[Point], radii: Sequence[float]) -> Shape:
    """A capsule from each point to the next; `radii` has the radius at each point. All in pixels."""
    discs = [disc(u, v, r) for (u, v), r in zip(points, radii, strict=True)]
    return [hull(a + b) for a, b in itertools.pairwise(discs)]


def turn(dx: float, dy: float, degrees: float) -> Point:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return dx * c - dy * s, dx * s + dy * c


# Textures.
def noise(rng: Rng, size: tuple[int, int], cells: tuple[int, int]) -> np.ndarray:
    """Smooth noise, (h, w) float32 in -1..1; `size`, pixels, and `cells`, random values, are (across, down)."""
    grid = Image.frombytes("L", cells, rng.bytes(cells[0] * cells[1]))
    return (np.asarray(grid.resize(size, Image.Resampling.BICUBIC), np.float32) - 127.5) / 127.5


def tint(color: Color, value: np.ndarray, add: np.ndarray | float = 0) -> np.ndarray:
    """A colour times a brightness, (h, w), plus a highlight in grey levels: (h, w, 3) uint8."""
    add = np.asarray(add, np.float32)
    bands = [np.clip(value * np.float32(c) + add + np.float32(0.5), 0, 255).astype(np.uint8) for c in color]
    return np.stack(bands, -1)


def texture(rng: Rng, kind: str, color: Color, side: int = 512) -> Image.Image:
    """A square texture of table, wall or cloth; `kind` is plain, wood, granite, tile, stripes or steel."""
    size, value = (side, side), np.ones((side, side), np.float32)
    value += uniform(rng, 0.02, 0.09) * noise(rng, size, (7, 7)) + uniform(rng, 0, 0.035) * noise(rng, size, (60, 60))
    ramp = np.arange(side, dtype=np.int32)
    if kind == "wood":
        value += uniform(rng, 0.03, 0.12) * noise(rng, size, (5, 70)) + uniform(rng, 0.03, 0.1) * noise(
            rng, size, (9, 300)
        )
        if chance(rng, 0.4):
            value[ramp % int(rng.integers(50, 140)) < 2] *= 0.7
    elif kind == "granite":
        specks = noise(rng, size, (side * 2 // 3, side * 2 // 3))
        value += uniform(rng, 0.15, 0.5) * specks + uniform(rng, 0, 0.5) * (specks > 0.55)
    elif kind == "tile":
        period, joint = int(rng.integers(40, 130)), uniform(rng, 0.6, 1.3)
        seam = ramp % period < 3
        value[seam] *= joint
        value[:, seam] *= joint
    elif kind == "stripes":
        period = int(rng.integers(12, 60))
        value += uniform(rng, -0.5, 0.5) * (ramp % period < period // int(rng.integers(2, 5)))[:, None]
        if chance(rng, 0.4):
            value += uniform(rng, -0.3, 0.3) * (ramp % period < period // 2)[None]
    elif kind == "steel":
        value += uniform(rng, 0.03, 0.08) * noise(rng, size, (3, 400)) + 0.2 * noise(rng, size, (3, 4))
    else:
        value += uniform(rng, 0, 0.08) * noise(rng, size, (side // 2, side // 2))
    return Image.fromarray(tint(color, value))


# The canvas.
class Canvas:
    """A photo being drawn, its class ids at full size, and the camera and the light of the scene.

    `light` is the unit vector from the scene to the lamp; its components point right, down and towards the camera.
    `full` is the (width, height) of the class ids; the photo, which has the camera's size, may be smaller.
    """

    def __init__(self, camera: Camera, full: tuple[int, int], light: tuple[float, float, float], color: Color) -> None:
        self.camera, self.light = camera, light
        self.color = color
        self.photo = Image.new("RGB", camera.size, tuple(int(c) for c in color))
        self.ids = Image.new("L", full, BACKGROUND)
        self.zoom = (full[0] / camera.size[0], full[1] / camera.size[1])
        self.shadow_strength = 0.5
        self.ambient = 0.5
        self.skin: Color = (226, 178, 150)
        self.sleeve: Color | None = None
        self._queue: list[tuple[float, Callable[[], None]]] = []

    def put(self, rng: Rng, thing: Callable[..., Any], x: float, y: float, *args: Any, **kwargs: Any) -> None:
        """Queue an object to draw at (x, y) on the table, centimetres, with a random generator of its own."""
        own = child(rng)
        self._queue.append((-y, lambda: thing(self, own, x, y, *args, **kwargs)))

    def flush(self) -> None:
        """Draw the queued objects, the largest y first, so that near objects cover far ones."""
        for _, draw in sorted(self._queue, key=lambda item: item[0]):
            draw()
        self._queue.clear()

    def paint(
        self,
        shape: Shape,
        shade: Shade | Color,
        owner: int | None = BACKGROUND,
        within: Shape | None = None,
        outside: Shape | None = None,
        opacity: float = 1,
    ) -> None:
        """Draw a shape of class `owner` (None keeps the class ids), only inside `within` and not inside `outside`."""
        box = _box(shape, self.photo.size, (1, 1))
        if box is None:
            return
        alpha = _cut(shape, box, (1, 1), within, outside)
        inked = alpha if opacity == 1 else alpha.point([round(opacity * i) for i in range(256)])
        if callable(shade):
            self.photo.paste(Image.fromarray(shade(self, alpha, box)), box, inked)
        else:
            self.photo.paste(tuple(int(c) for c in shade), box, inked)
        if owner is None:
            return
        if self.zoom != (1, 1):
            box = _box(shape, self.ids.size, self.zoom)
            if box is None:
                return
            alpha = _cut(shape, box, self.zoom, within, outside)
        self.ids.paste(owner, box, alpha.point(_HALF))

    def shadow(self, shape: Shape, softness: float, strength: float = 1) -> None:
        """Darken the photo under a shape; `softness` is the standard deviation of the blur, pixels."""
        grow = int(2 * softness) + 2
        box = _box(shape, self.photo.size, (1, 1), grow)
        if box is None:
            return
        # Drawn at a quarter of the size, because a shadow has no detail.
        small = _coverage(shape, box, (0.25, 0.25), 1).filter(ImageFilter.GaussianBlur(softness / 4))
        factor = strength * self.shadow_strength
        alpha = small.resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.BILINEAR)
        self.photo.paste((6, 6, 9), box, alpha.point([round(min(1, factor) * i) for i in range(256)]))

    def cast(self, x: float, y: float, z: float) -> Point:
        """The point on the table where the shadow of the point (x, y, z) falls, approximately; all in centimetres."""
        lift = z * 0.6 / max(0.35, self.light[2])
        return x - self.light[0] * lift, y + self.light[1] * lift

    def surface(self, corners: Sequence[Point], skin: Image.Image, span: float, degrees: float = 0) -> None:
        """Cover a polygon of the table, centimetres, with the square texture `skin`, `span` centimetres wide."""
        shape = [[self.camera.project(x, y) for x, y in corners]]

        def shade(canvas: Canvas, alpha: Image.Image, box: Box) -> np.ndarray:
            m = canvas.camera.plane_of_pixel(box[0], box[1])
            k, half = skin.width / span, skin.width / 2
            c, s = turn(k, 0, degrees)
            across = [c * m[i] + s * m[3 + i] + half * m[6 + i] for i in range(3)]
            down = [c * m[3 + i] - s * m[i] + half * m[6 + i] for i in range(3)]
            unit = m[8] if abs(m[8]) > 1e-9 else 1e-9
            data = [round(value / unit, 10) for value in (*across, *down, m[6], m[7])]
            return np.asarray(skin.transform(alpha.size, Image.Transform.PERSPECTIVE, data, Image.Resampling.BILINEAR))

        self.paint(shape, shade)


_HALF = [255 * (i > 127) for i in range(256)]


def _box(shape: Shape, size: tuple[int, int], zoom: tuple[float, float], grow: int = 1) -> Box | None:
    us, vs = [u * zoom[0] for p in shape for u, _ in p], [v * zoom[1] for p in shape for _, v in p]
    if not us:
        return None
    left, top = max(0, math.floor(min(us)) - grow), max(0, math.floor(min(vs)) - grow)
    right, bottom = min(size[0], math.ceil(max(us)) + grow), min(size[1], math.ceil(max(vs)) + grow)
    return (left, top, right, bottom) if left < right and top < bottom else None


def _coverage(shape: Shape, box: Box, zoom: tuple[float, float], fine: int | None = None) -> Image.Image:
    """The coverage of each pixel of a box by the shape, 'L' 0..255; a `zoom` below 1 shrinks the image."""
    w, h = (max(1, round((box[2] - box[0]) * min(1, zoom[0]))), max(1, round((box[3] - box[1]) * min(1, zoom[1]))))
    # Many pixels of a small shape lie on its edge, so a small shape gets more subpixels.
    fine = fine or (4 if w * h < 60_000 else 2)
    image = Image.new("L", (w * fine, h * fine))
    pen = ImageDraw.Draw(image)
    left, top = (box[0], box[1]) if zoom[0] >= 1 else (box[0] * zoom[0], box[1] * zoom[1])
    for polygon in shape:
        if len(polygon) > 2:
            pen.polygon(
                [((u * zoom[0] - left) * fine - 0.5, (v * zoom[1] - top) * fine - 0.5) for u, v in polygon], 255
            )
    return image.reduce(fine) if fine > 1 else image


def _cut(shape: Shape, box: Box, zoom: tuple[float, float], within: Shape | None, outside: Shape | None) -> Image.Image:
    alpha = _coverage(shape, box, zoom)
    fine = 4 if alpha.width * alpha.height < 60_000 else 2
    if within is not None:
        alpha = ImageChops.multiply(alpha, _coverage(within, box, zoom, fine))
    if outside is not None:
        alpha = ImageChops.multiply(alpha, ImageChops.invert(_coverage(outside, box, zoom, fine)))
    return alpha


# Shades.
def grid(box: Box) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres of a box: x, (1, w) float32, and y, (h, 1) float32."""
    x = np.arange(box[0], box[2], dtype=np.float32)[None] + np.float32(0.5)
    return x, np.arange(box[1], box[3], dtype=np.float32)[:, None] + np.float32(0.5)


def puffy(color: Color, soft: float, depth: float = 1, rng: Rng | None = None, grain: float = 0.04) -> Shade:
    """Shade like a cushion: the coverage, blurred by `soft` pixels, is a height map lit from the side."""
    dice = None if rng is None else child(rng)

    def shade(canvas: Canvas, alpha: Image.Image, box: Box) -> np.ndarray:
        # A wide slope is computed at a small size: at full size the 8-bit steps of the height map would show.
        wide = max(0.6, soft)
        shrink = max(1.0, wide / 5)
        small = alpha.resize([max(1, round(side / shrink)) for side in alpha.size], Image.Resampling.BOX)
        height = np.asarray(small.filter(ImageFilter.GaussianBlur(wide / shrink)), np.float32) / 255
        slope = np.zeros_like(height)
        gain = np.float32(depth * wide / shrink)
        slope[:, 1:-1] -= (height[:, 2:] - height[:, :-2]) * np.float32(canvas.light[0])
        slope[1:-1] -= (height[2:] - height[:-2]) * np.float32(canvas.light[1])
        value = np.clip(0.72 + 0.3 * height + gain * slope, 0.25, 1.5)
        if shrink > 1:
            lit = Image.fromarray((value * 128).astype(np.uint8)).resize(alpha.size, Image.Resampling.BICUBIC)
            value = np.asarray(lit, np.float32) / 128
        if dice is not None:
            w, h = alpha.size
            value = value + np.float32(grain) * noise(dice, (w, h), (max(2, w // 4), max(2, h // 4)))
        return tint(color, value)

    return shade


def speckled(rng: Rng, color: Color, amount: float, cell: float = 6) -> Shade:
    """Shade with a flat colour and lighter and darker lumps of `cell` pixels; `amount` is the contrast."""
    dice = child(rng)

    def shade(canvas: Canvas, alpha: Image.Image, box: Box) -> np.ndarray:
        w, h = alpha.size
        cells = (max(2, min(w, int(w / cell))), max(2, min(h, int(h / cell))))
        return tint(color, 1 + np.float32(amount) * noise(dice, (w, h), cells))

    return shade


def hollow(color: Color, center: Point, radii: Point, curve: float, streak: float = 0, glow: float = 0) -> Shade:
    """Shade the inside of a round dish: brighter away from the lamp if `curve` is positive, else brighter towards it.

    `streak` is the strength, in grey levels, of the two bright streaks that light makes on turned metal; `glow` is the
    strength, in grey levels, of a haze that is brightest in the middle.
    """

    def shade(canvas: Canvas, alpha: Image.Image, box: Box) -> np.ndarray:
        x, y = grid(box)
        lx, ly = np.float32(canvas.light[0]), np.float32(canvas.light[1])
        p, q = (x - np.float32(center[0])) / np.float32(radii[0]), (y - np.float32(center[1])) / np.float32(radii[1])
        far, r2 = p * lx + q * ly, p * p + q * q + np.float32(1e-3)
        along = far * far / (r2 * (lx * lx + ly * ly + np.float32(1e-3)))
        shine = along * along
        shine = shine * shine * np.sqrt(np.minimum(r2, 1))
        return tint(
            color, 1 - np.float32(curve) * far, np.float32(streak) * shine * shine + np.float32(glow) * (1 - 0.6 * r2)
        )

    return shade
