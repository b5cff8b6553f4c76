"""`python -m eggseg.predict`: photos to masks of their own size."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import io
import os
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import tyro

from eggseg import cli, pretrained
from eggseg.errors import InputError, printable
from eggseg.files import write_bytes, write_csv, write_json
from eggseg.pictures.pillow import MOST_PIXELS, PictureError, TooLarge, fault, opened, png
from eggseg.prediction import inputs, outputs
from eggseg.prediction.outputs import Entry, Journal, Seen
from eggseg.prediction.room import Room

if TYPE_CHECKING:
    import tensorflow as tf

    from eggseg.data.classes import ClassTable
    from eggseg.exported.saved_model import Segmenter

MOST_AT_A_TIME = 4
"""Photos that are worked on at once, where there are as many cores."""

BYTES_A_PIXEL, WITH_OVERLAY, WITH_PROBABILITIES = 8, 16, 44
"""Memory that a photo takes, for each of its pixels: with its mask alone, with an overlay, and with probabilities,
which confidence and objects take too. Measured: 7, 14 and 42, at 50 megapixels."""

MOST_BYTES = 1 << 30
"""Memory of the photos that are worked on at once: four of 12 megapixels, two of 50. A larger one goes alone."""

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors after which no further file can be written."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Write the masks of photos, each of its photo's own size, as OUTPUT_DIR/masks/NAME.png."""

    inputs: tyro.conf.Positional[tuple[str, ...]]
    """Photos, folders of photos, or patterns such as 'kitchen/*.jpg'."""
    model: Path | None = None
    """A run folder of eggseg.train, or its saved_model; without it the model that comes with eggseg."""
    output_dir: Path = Path("predictions")
    """Folder for masks/, overlays/, probabilities/, confidence/, objects/ and summary.csv, which tells of each photo
    how many pixels each class has, and the seconds from its bytes to its files, meanwhile others are worked on too.
    What lies in these folders is never taken for a photo."""
    recursive: bool = False
    """Take photos in folders below the given ones too."""
    overlay: bool = False
    """Also write each photo tinted by its mask, as overlays/NAME.png."""
    probabilities: bool = False
    """Also write probabilities/NAME.npz: `probabilities`, (height, width, classes) float32."""
    confidence: bool = False
    """Also write confidence/NAME.png: how probable the class of each pixel is, 255 for certain. With masks/ and photos
    in images/ beside it, eggseg.train --pseudo learns from such a folder."""
    objects: bool = False
    """Also write objects/NAME.json: class, box, centroid, area, contour and confidence of each egg and pan."""
    min_area: int = 16
    """Smallest object in objects/, pixels of the photo."""
    overwrite: bool = False
    """Begin anew: replace the outputs and the summary of an earlier call."""
    resume: bool = False
    """Go on where an earlier call with the same model stopped: photos whose outputs are all there are left as they are,
    and summary.csv tells of them too. Where nothing is there yet it begins."""
    max_pixels: int | None = None
    """Pixels of the largest photo that is decoded; without it what the model was trained with."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the network: auto is bfloat16 where the processor has it, else float32."""

    def __post_init__(self) -> None:
        if self.max_pixels is not None and not 1 <= self.max_pixels <= MOST_PIXELS:
            raise InputError(f"--max_pixels is {self.max_pixels}, expected 1 to {MOST_PIXELS}")


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(cli.parse(Settings, argv, "eggseg.predict")))


def run(settings: Settings) -> int:
    """Predict all inputs; 0, or 1 if some could not be read or their outputs not be written."""
    photos, failed = _possible(inputs.named(settings.inputs, settings.recursive, settings.output_dir), settings)
    seen = {name: Seen.of(path) for name, path in photos.items()}
    journal = _journal(settings, photos)
    done = _done(journal, seen, settings)
    for kind in _kinds(settings):
        (settings.output_dir / kind).mkdir(parents=True, exist_ok=True)

    # Only now: TensorFlow takes seconds, and what is wrong with the inputs is known.
    from rich.progress import track

    from eggseg.exported import saved_model

    if settings.model is None:
        print(pretrained.told())
    model = saved_model.find(settings.model or pretrained.model())
    segmenter = saved_model.load(model, settings.precision, settings.max_pixels)
    record = {"model": saved_model.fingerprint(model), "precision": segmenter.precision, "min_area": settings.min_area}
    journal.expect(record)
    if settings.overwrite:
        (settings.output_dir / outputs.SUMMARY).unlink(missing_ok=True)
    journal.begin(record, done)
    left = {name: path for name, path in photos.items() if name not in done}
    if len(left) < len(photos):
        print(f"{len(photos) - len(left)} photos are done already, {len(left)} are left")
    rows, start = [], time.perf_counter()
    try:
        with contextlib.closing(predict(segmenter, left, settings)) as results:
            for result in track(results, "predicting", len(left)):
                if isinstance(result, str):
                    print(f"error: {result}", file=sys.stderr)
                    failed += 1
                else:
                    journal.add(Entry(seen[result["file"]], result))
                    rows.append(result)
    except OSError as error:
        raise InputError(
            f"{printable(error.filename)}: {error.strerror}; "
            f"{len(journal.entries)} photos are done, and --resume goes on"
        ) from error
    finally:
        _summarize(journal, photos)
    if rows:
        rate = len(rows) / (time.perf_counter() - start)
        typical = np.median([row["seconds"] for row in rows]) * 1000
        print(
            f"{len(rows)} masks in {settings.output_dir / 'masks'}, {rate:.1f} a second, "
            f"{typical:.0f} ms from a photo to its mask (median)"
        )
    return 1 if failed else 0


def predict(
    segmenter: Segmenter, photos: Mapping[str, Path], settings: Settings
) -> Generator[dict[str, Any] | str, None, None]:
    """Write the outputs of named photos, several at a time; in order, each one's row of the summary or what is wrong.

    Each thread takes a photo all the way, so that one is decoded or written while another is in the network. What is
    in memory at a time is bounded by the threads and by MOST_BYTES: nothing but rows waits for its turn. `OSError`
    where the disk is full; what was done before has been returned.
    """
    room = Room(MOST_BYTES)

    def one(name: str) -> dict[str, Any] | str:
        try:
            size = _bytes(photos[name], segmenter.max_pixels, settings)
        except TooLarge as error:
            return fault(photos[name], error)
        with room.taken(size):
            return _predict_one(segmenter, name, photos[name], settings)

    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_AT_A_TIME))
    try:
        yield from pool.map(one, photos)
    finally:
        # Where something ends this early, the photos that have not begun are left.
        pool.shutdown(cancel_futures=True)


def _possible(photos: Mapping[str, Path], settings: Settings) -> tuple[dict[str, Path], int]:
    """The photos without those whose outputs can have no such name, each of which is told, and the number of these."""
    possible = {}
    for name, photo in photos.items():
        try:
            for path in _outputs(settings, name).values():
                outputs.exists(path)
            possible[name] = photo
        except OSError as error:
            print(f"error: {fault(path, error)}", file=sys.stderr)
    return possible, len(photos) - len(possible)


def _journal(settings: Settings, photos: Mapping[str, Path]) -> Journal:
    """The journal to go on with, or a new one; `InputError` where files are there that nobody said to replace."""
    if settings.overwrite and settings.resume:
        raise InputError("--overwrite begins anew and --resume goes on: expected one of them")
    folder = settings.output_dir
    journal = Journal(folder)
    if settings.resume:
        journal.read()
    if settings.overwrite or journal.record:
        return journal
    wanted = [path for name in photos for path in _outputs(settings, name).values()]
    present = [path for path in (*wanted, folder / outputs.SUMMARY, journal.path) if outputs.exists(path)]
    if present:
        more = f" and {len(present) - 1} more are" if len(present) > 1 else " is"
        goes_on = "--resume goes on, " if outputs.exists(journal.path) else ""
        raise InputError(f"{printable(present[0])}{more} there already: {goes_on}--overwrite replaces them")
    return journal


def _done(journal: Journal, seen: Mapping[str, Seen], settings: Settings) -> dict[str, Entry]:
    """What stays of a journal: photos whose outputs are all there, and those of other calls whose masks are."""
    done = {}
    for name, entry in journal.entries.items():
        kinds = _kinds(settings) if name in seen else ["masks"]
        files = outputs.paths(settings.output_dir, name, kinds).values()
        if all(map(outputs.exists, files)) and (name not in seen or entry.photo.is_unchanged(seen[name])):
            done[name] = entry
    return done


def _summarize(journal: Journal, photos: Mapping[str, Path]) -> None:
    """Write the summary of all that is done: the photos in their order, then those of other calls."""
    names = [name for name in photos if name in journal.entries]
    names += [name for name in journal.entries if name not in photos]
    if names:
        write_csv(journal.path.with_name(outputs.SUMMARY), [journal.entries[name].row for name in names])


def _kinds(settings: Settings) -> list[str]:
    asked = {
        "overlays": settings.overlay,
        "probabilities": settings.probabilities,
        "confidence": settings.confidence,
        "objects": settings.objects,
    }
    return ["masks", *(kind for kind, wanted in asked.items() if wanted)]


def _outputs(settings: Settings, name: str) -> dict[str, Path]:
    return outputs.paths(settings.output_dir, name, _kinds(settings))


def _needs_probabilities(settings: Settings) -> bool:
    return settings.probabilities or settings.confidence or settings.objects


def _bytes(path: Path, max_pixels: int, settings: Settings) -> int:
    """Memory that the photo will take, by what its header says; all there is where that cannot be read, `TooLarge` for
    a photo of more than `max_pixels`."""
    each = WITH_OVERLAY if settings.overlay else BYTES_A_PIXEL
    try:
        with opened(path, max_pixels) as picture:
            return picture.width * picture.height * (WITH_PROBABILITIES if _needs_probabilities(settings) else each)
    except TooLarge:
        raise
    except (PictureError, OSError):
        return MOST_BYTES


def _predict_one(segmenter: Segmenter, name: str, path: Path, settings: Settings) -> dict[str, Any] | str:
    """Write all outputs of one photo; its row of the summary, or why it cannot be read or they cannot be written."""
    start = time.perf_counter()
    try:
        frame = segmenter.decode_to_tensor(path.read_bytes())
    except (PictureError, OSError) as error:
        return fault(path, error)
    if _needs_probabilities(settings):
        ids, probabilities = segmenter(frame)
    else:
        ids, probabilities = segmenter.class_ids(frame), None
    try:
        _write(segmenter.classes, frame, ids, probabilities, settings, _outputs(settings, name))
    except OSError as error:
        if error.errno in FULL:
            raise
        return fault(Path(error.filename or path), error)
    return _row(name, ids, segmenter) | {"seconds": round(time.perf_counter() - start, 4)}


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

    write_bytes(files["masks"], png(classes.paint(ids)))
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


if __name__ == "__main__":
    raise SystemExit(main())
