"""Read and write COCO instances JSON: polygons, and run lengths as a list of numbers or as packed text."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from eggseg.annotations.fields import entry, field, identity, naming, of_kind, outline, shown, size, whole
from eggseg.annotations.photos import below, refuse_misfit
from eggseg.annotations.regions import Annotated, Region, coco_api, counted, outlined
from eggseg.data import pairs
from eggseg.data.classes import VOID, ClassTable
from eggseg.errors import InputError, printable
from eggseg.files import read_json

Row = dict[str, Any]


def read(source: Path, photos: Path | None, max_pixels: int) -> Iterator[Callable[[], Annotated]]:
    """For each image of a COCO file, yield a function that reads the image's annotations.

    The photos lie in the folder `photos` or, if that is None, in the folder of the file. See `regions.Reader`.
    """
    content = read_json(source)
    if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= set(content):
        raise InputError(f"{source} is not a COCO file: expected images, annotations and categories")
    with naming(source):
        images, categories = _by_id(content, "images"), _by_id(content, "categories")
        labels = {key: field(row, "name", str) for key, row in categories.items()}
        rows_of: dict[str, list[Row]] = {key: [] for key in images}
        orphans = []
        for row in field(content, "annotations", list):
            key = identity(entry(row, "image_id"), "image_id")
            if key in rows_of:
                rows_of[key].append(row)
            else:
                orphans.append(f"{source}: {shown(row)} is of image {shown(key)}, which is not among the images")
    if orphans:
        raise InputError(pairs.summary(orphans, "annotations of images that the file does not list"))
    for key, image in images.items():
        yield functools.partial(_annotated, source, image, rows_of[key], labels, photos or source.parent, max_pixels)


def _by_id(content: Row, name: str) -> dict[str, Row]:
    """The rows of the list `name`, by their ids."""
    rows: dict[str, Row] = {}
    for row in field(content, name, list):
        key = identity(entry(row, "id"), "id")
        if key in rows:
            raise ValueError(f"{name} has the id {shown(key)} twice")
        rows[key] = row
    return rows


def _annotated(
    source: Path, image: Row, rows: Sequence[Row], labels: Mapping[str, str], folder: Path, max_pixels: int
) -> Annotated:
    name = shown(image.get("file_name"))
    with naming(source):
        photo = below(folder, field(image, "file_name", str))
        extent = size(entry(image, "height"), entry(image, "width"), max_pixels)
    refuse_misfit(photo, extent, max_pixels)
    try:
        drawn = [shape for row in rows for shape in _regions(row, labels, extent)]
    except ValueError as error:
        raise InputError(f"{printable(source)}: of {name}, {error}") from None
    return Annotated.of(photo.relative_to(folder).as_posix(), photo, extent, drawn)


def _regions(row: Row, labels: Mapping[str, str], extent: tuple[int, int]) -> Iterator[Region | str]:
    """Yield the region of an annotation, and a text for each shape without an area, such as "polygon of 2 points"."""
    category = identity(entry(row, "category_id"), "category_id")
    if category not in labels:
        raise ValueError(f"an annotation is of category {shown(category)}, which is not among the categories")
    shape = row.get("segmentation") or []
    if isinstance(shape, dict):
        if [whole(side, "size") for side in field(shape, "size", list)] != list(extent):
            raise ValueError(f"run lengths are of the size {shown(shape['size'])}, expected {list(extent)}")
        counts = entry(shape, "counts")
        if not isinstance(counts, str):
            runs = [whole(count, "counts") for count in of_kind(counts, "counts", list)]
        else:
            runs = _unpacked(counts)
        yield Region(labels[category], counted(runs, extent))
        return
    rings = [outline(of_kind(ring, "a ring", list), "a ring") for ring in of_kind(shape, "segmentation", list)]
    yield from (f"polygon of {len(ring)} points" for ring in rings if len(ring) < 3)
    if not rings:
        yield "box without an outline"
    if closed := [ring for ring in rings if len(ring) >= 3]:
        yield Region(labels[category], outlined(closed, extent))


def _unpacked(text: str) -> list[int]:
    """Unpack the run lengths that COCO stores as text; `ValueError` if the text is damaged.

    A number takes one or more characters of 5 bits each, the lowest bits first. The first three numbers are run
    lengths. Each later number is the difference between a run length and the run length two places before. pycocotools
    does not unpack the text here, because it would read past the end of a truncated text.
    """
    parts = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero(parts & 32 == 0)
    lengths = np.diff(ends, prepend=-1)
    if parts.size == 0 or parts.min() < 0 or parts.max() > 63 or ends.size == 0 or ends[-1] != parts.size - 1:
        raise ValueError(f"packed run lengths are {shown(text)}, expected characters from 0 to o, the last below P")
    if lengths.max() > 7:
        raise ValueError(f"packed run lengths hold a number of {lengths.max()} characters, expected at most 7")
    place = np.arange(parts.size) - np.repeat(ends - lengths + 1, lengths)
    counts = np.add.reduceat((parts & 31) << 5 * place, ends - lengths + 1)
    counts -= np.where(parts[ends] & 16, 1 << 5 * lengths, 0)  # the highest bit of the last character is the sign
    for first in (1, 2):
        counts[first::2] = np.cumsum(counts[first::2])
    return counts.tolist()


def content(masks: Sequence[tuple[str, np.ndarray]], classes: ClassTable, *, as_polygons: bool) -> dict[str, Any]:
    """Convert masks to the content of a COCO file, with one annotation for each connected region of a class.

    A mask is a photo's name and class ids, (h, w) uint8. Background and VOID get no annotation. Run lengths are exact;
    polygons are outer outlines, so the holes of a region are lost.
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
    """The outer outlines of a region, (h, w) uint8 of 0 and 1: (n, 1, 2) float64 each, x and y in pixels."""
    # OpenCV's contours run through pixel centres: at four times the size, 1/8 of an original pixel inside its edge.
    large = np.kron(np.pad(region, 1), np.ones((4, 4), np.uint8))
    outlines, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [(outline + 0.5) / 4 - 1 for outline in outlines]
