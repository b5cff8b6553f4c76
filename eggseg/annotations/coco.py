"""COCO's JSON of instances: polygons, and run lengths, packed or not."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from eggseg.annotations.regions import Annotated, Region, coco_api, polygons
from eggseg.classes import VOID, ClassTable
from eggseg.errors import InputError
from eggseg.files import inside, read_json


def read(source: Path, photos: Path | None = None) -> Iterator[Annotated]:
    """The photos of a JSON file; they lie in `photos`, or beside the file."""
    content = read_json(source)
    if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= set(content):
        raise InputError(f"{source} is no COCO file: expected images, annotations and categories")
    folder = photos or source.parent
    try:
        labels = {row["id"]: row["name"] for row in content["categories"]}
        of_photo = collections.defaultdict(list)
        for row in content["annotations"]:
            of_photo[row["image_id"]].append(row)
        for image in content["images"]:
            size = (int(image["height"]), int(image["width"]))
            regions = [
                Region(labels[row["category_id"]], _pixels(row["segmentation"], size)) for row in of_photo[image["id"]]
            ]
            photo = inside(folder, image["file_name"])
            yield Annotated(photo.relative_to(folder).as_posix(), photo, size, tuple(regions))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{source} is no sound COCO file: {error!r}") from None


def _pixels(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    if isinstance(segmentation, list):
        return polygons(segmentation, size)
    api = coco_api()
    if isinstance(segmentation["counts"], list):
        segmentation = api.frPyObjects(segmentation, *size)
    pixels = api.decode(segmentation).astype(bool)
    if pixels.shape != size:
        raise ValueError(f"run lengths of {pixels.shape}, photo of {size}")
    return pixels


def content(masks: Sequence[tuple[str, np.ndarray]], classes: ClassTable, *, as_polygons: bool) -> dict[str, Any]:
    """Names of photos and class ids, (h, w) uint8, as COCO's JSON: an annotation for each connected region.

    Run lengths hold a region exactly; polygons are its outlines, and lose its holes.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for name, ids in masks:
        height, width = ids.shape
        images.append({"id": len(images) + 1, "file_name": name, "height": height, "width": width})
        for c in sorted(set(np.unique(ids).tolist()) - {0, VOID}):
            _, labels = cv2.connectedComponents((ids == c).astype(np.uint8), connectivity=8)
            for label in range(1, labels.max() + 1):
                region = (labels == label).astype(np.uint8)
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": len(images), "category_id": c, "iscrowd": 0}
                    | _annotation(region, as_polygons)
                )
    categories = [{"id": i, "name": name, "supercategory": ""} for i, name in enumerate(classes.names) if i]
    return {"images": images, "categories": categories, "annotations": annotations}


def _annotation(region: np.ndarray, as_polygons: bool) -> dict[str, Any]:
    api = coco_api()
    packed = api.encode(np.asfortranarray(region))
    shape: Any = {"size": packed["size"], "counts": packed["counts"].decode()}
    if as_polygons:
        shape = [ring.ravel().tolist() for ring in _outlines(region)]
    return {"segmentation": shape, "area": int(api.area(packed)), "bbox": api.toBbox(packed).tolist()}


def _outlines(region: np.ndarray) -> Sequence[np.ndarray]:
    """The outlines of a region along the outer edges of its pixels, each (n, 1, 2): whole pixels are inside them."""
    # A pixel of a picture four times as large is a quarter of one here: so lines run between pixels, not through them.
    large = np.kron(np.pad(region, 1), np.ones((4, 4), np.uint8))
    outlines, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [(outline + 0.5) / 4 - 1 for outline in outlines]
