"""A photo with an egg in a pan, annotated in the formats of labelling tools, and its expected masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from helpers.formats import encoded, ramp
from PIL import Image

from eggseg import convert
from eggseg.data import masks
from eggseg.data.classes import EGGS_AND_PANS

WIDTH, HEIGHT = 37, 29
PAN, EGG = (4, 5, 30, 25), (12, 9, 20, 15)
"""Left, top, right, bottom of two rectangles, the egg in the pan."""


def ring(left: int, top: int, right: int, bottom: int) -> list[int]:
    return [left, top, right, top, right, bottom, left, bottom]


def points(rectangle: tuple[int, int, int, int]) -> list[list[int]]:
    flat = ring(*rectangle)
    return [flat[i : i + 2] for i in range(0, 8, 2)]


def bits(rectangle: tuple[int, int, int, int]) -> np.ndarray:
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    left, top, right, bottom = rectangle
    pixels[top:bottom, left:right] = 1
    return pixels


def egg_in_pan() -> np.ndarray:
    return np.where(bits(EGG) > 0, 1, 2 * bits(PAN))


def photo(path: Path, width: int = WIDTH, height: int = HEIGHT, seed: int = 0) -> Path:
    """Write a JPEG; each seed gives another photo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(Image.fromarray(ramp(width, height, seed)), "JPEG"))
    return path


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def coco(*segmentations: tuple[int, object], egg: str = "egg", pan: str = "pan") -> dict[str, Any]:
    """A COCO file with one photo, a.jpg; category 3 is egg, 5 is pan."""
    return {
        "images": [{"id": 7, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 3, "name": egg}, {"id": 5, "name": pan}],
        "annotations": [
            {"id": i, "image_id": 7, "category_id": category, "segmentation": segmentation, "iscrowd": 0}
            for i, (category, segmentation) in enumerate(segmentations)
        ],
    }


def labelme(*shapes: dict[str, Any], path: str = "a.jpg") -> dict[str, Any]:
    return {"imagePath": path, "imageHeight": HEIGHT, "imageWidth": WIDTH, "shapes": list(shapes)}


def shape(kind: str, points: list[list[float]], label: str = "egg", **fields: str) -> dict[str, Any]:
    return {"label": label, "shape_type": kind, "points": points, **fields}


def cvat(path: Path, shapes: str, head: str = "") -> Path:
    image = f'<image id="0" name="a.jpg" width="{WIDTH}" height="{HEIGHT}">{shapes}</image>'
    path.write_text(f"<?xml version='1.0'?>{head}<annotations><version>1.1</version>{image}</annotations>")
    return path


def converted(source: Path, *args: str) -> dict[str, np.ndarray]:
    """Convert `source`; return the class ids (h, w) uint8 of all masks, by the names of their photos."""
    out = source.parent / "out"
    assert convert.main([str(source), str(out), *args]) == 0
    names = [path.relative_to(out / "images").as_posix() for path in sorted((out / "images").rglob("*.*"))]
    return {name: masks.read((out / f"masks/{name}.png").read_bytes(), EGGS_AND_PANS).ids for name in names}


def refused(source: Path, *args: str) -> None:
    """Assert that converting `source` fails and writes nothing, not even a folder."""
    out = source.parent / "out"
    assert convert.main([str(source), str(out), *args]) == 2
    assert not out.exists()
