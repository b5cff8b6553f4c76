"""Predict photos and write their outputs, several photos at a time."""

from __future__ import annotations

import errno
import io
import os
import time
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eggseg.data.classes import VOID
from eggseg.files import write_bytes, write_json
from eggseg.pictures.pillow import PictureError, TooLarge, fault, opened, png
from eggseg.prediction.room import Room
from eggseg.prediction.settings import Settings

if TYPE_CHECKING:
    import tensorflow as tf

    from eggseg.data.classes import ClassTable
    from eggseg.exported.saved_model import Segmenter

MOST_AT_A_TIME = 4
"""Photos that are processed at once, if there are as many cores."""

BYTES_A_PIXEL, WITH_OVERLAY, WITH_PROBABILITIES = 8, 16, 44
"""Memory of a photo, in bytes per pixel: for the mask alone, with an overlay, and with probabilities, which
confidence, objects and --unsure need too. Measured at 50 megapixels: 7, 14 and 42."""

MOST_BYTES = 1 << 30
"""Largest memory of all photos that are processed at once, in bytes. For masks alone, four photos of 12 megapixels fit,
or two of 50. A photo that needs more is processed alone."""

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers after which no further file can be written."""


def write(
    segmenter: Segmenter, photos: Mapping[str, Path], settings: Settings
) -> Generator[dict[str, Any] | str, None, None]:
    """Write the outputs of named photos; yield, in their order, each photo's row of the summary or its error message.

    Each thread processes one photo from its file to its outputs, so one photo is decoded or written while another is in
    the network. The number of threads and MOST_BYTES limit the memory: only rows and messages wait to be yielded.
    `OSError` if the disk is full; the results of earlier photos have been yielded by then.
    """
    room = Room(MOST_BYTES)

    def process(name: str) -> dict[str, Any] | str:
        try:
            size = _bytes(photos[name], segmenter.max_pixels, settings)
        except TooLarge as error:
            return fault(photos[name], error)
        with room.taken(size):
            return _predict_one(segmenter, name, photos[name], settings)

    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_AT_A_TIME))
    try:
        yield from pool.map(process, photos)
    finally:
        # If the caller stops early, skip the photos that have not begun.
        pool.shutdown(cancel_futures=True)


def _bytes(path: Path, max_pixels: int, settings: Settings) -> int:
    """Memory that the photo will take, in bytes, from its header; MOST_BYTES if the header cannot be read.

    `TooLarge` for a photo of more than `max_pixels` pixels.
    """
    without_probabilities = WITH_OVERLAY if settings.overlay else BYTES_A_PIXEL
    try:
        with opened(path, max_pixels) as picture:
            each = WITH_PROBABILITIES if settings.needs_probabilities else without_probabilities
            return picture.width * picture.height * each
    except TooLarge:
        raise
    except (PictureError, OSError):
        return MOST_BYTES


def _predict_one(segmenter: Segmenter, name: str, path: Path, settings: Settings) -> dict[str, Any] | str:
    """Write all outputs of a photo; returns its summary row, or an error message. `OSError` if the disk is full."""
    start = time.perf_counter()
    try:
        frame = segmenter.decode_to_tensor(path.read_bytes())
    except (PictureError, OSError) as error:
        return fault(path, error)
    if settings.needs_probabilities:
        ids, probabilities = segmenter(frame)
        highest = probabilities.max(-1)
        ids = np.where(highest < settings.unsure, np.uint8(VOID), ids)
    else:
        ids, probabilities = segmenter.class_ids(frame), None
    try:
        _write(segmenter.classes, frame, ids, probabilities, settings, settings.outputs(name))
    except OSError as error:
        if error.errno in FULL:
            raise
        return fault(Path(error.filename or path), error)
    row = _row(name, ids, segmenter)
    if settings.unsure:
        row |= {
            "unsure_share": round(float((ids == VOID).mean()), 6),
            "uncertainty": round(1 - float(highest.mean()), 6),
        }
    return row | {"seconds": round(time.perf_counter() - start, 4)}


def _write(
    classes: ClassTable,
    frame: tf.Tensor,
    ids: np.ndarray,
    probabilities: np.ndarray | None,
    settings: Settings,
    files: Mapping[str, Path],
) -> None:
    from eggseg.evaluation import objects
    from eggseg.evaluation.overlays import overlay

    write_bytes(files["masks"], png(classes.paint_with_void(ids) if settings.unsure else classes.paint(ids)))
    if settings.overlay:
        write_bytes(files["overlays"], png(overlay(frame.numpy(), ids, classes)))
    if probabilities is None:
        return
    if settings.probabilities:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, probabilities=probabilities)
        write_bytes(files["probabilities"], buffer.getvalue())
    if settings.confidence:
        write_bytes(files["confidence"], png(np.rint(255 * probabilities.max(-1)).astype(np.uint8)))
    if settings.objects:
        write_json(files["objects"], objects.find(ids, probabilities, classes, settings.min_area))


def _row(name: str, ids: np.ndarray, segmenter: Segmenter) -> dict[str, Any]:
    counts = [int(np.count_nonzero(ids == i)) for i in range(len(segmenter.classes))]
    pixels = {f"{c}_pixels": n for c, n in zip(segmenter.classes.names, counts, strict=True)}
    shares = {f"{c}_share": round(n / ids.size, 6) for c, n in zip(segmenter.classes.names, counts, strict=True)}
    height, width = ids.shape
    return {"file": name, "width": width, "height": height, **pixels, **shares}
