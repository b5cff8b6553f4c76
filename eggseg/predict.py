"""`python -m eggseg.predict`: photos to masks of their own size."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
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
from eggseg.errors import InputError
from eggseg.files import write_bytes, write_csv, write_json
from eggseg.pictures import SUFFIXES, PictureError, fault, listed, png

if TYPE_CHECKING:
    from eggseg.export import Segmenter

MOST_AT_A_TIME = 4
"""Photos that are worked on at once, where there are as many cores: each may hold 200 MB, or 400 with probabilities."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Write the masks of photos, each of its photo's own size, as OUTPUT_DIR/masks/NAME.png."""

    inputs: tyro.conf.Positional[tuple[str, ...]]
    """Photos, folders of photos, or patterns such as 'kitchen/*.jpg'."""
    model: Path | None = None
    """A run folder of eggseg.train, or its saved_model; without it the model that comes with eggseg."""
    output_dir: Path = Path("predictions")
    """Folder for masks/, overlays/, probabilities/, confidence/, objects/ and summary.csv, which tells of each photo
    how many pixels each class has, and the seconds from its bytes to its files, meanwhile others are worked on too."""
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
    """Replace files that are there already."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the network: auto is bfloat16 where the processor has it, else float32."""


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(cli.parse(Settings, argv, "eggseg.predict")))


def run(settings: Settings) -> int:
    """Predict all inputs; 0, or 1 if some could not be read."""
    photos = name_inputs(settings.inputs, settings.recursive)
    outputs = [path for name in photos for path in _outputs(settings, name).values()]
    present = [path for path in outputs if path.exists()]
    if present and not settings.overwrite:
        more = f" and {len(present) - 1} more are" if len(present) > 1 else " is"
        raise InputError(f"{present[0]}{more} there already: --overwrite replaces them")
    for folder in {path.parent for path in outputs}:
        folder.mkdir(parents=True, exist_ok=True)

    # Only now: TensorFlow takes seconds, and what is wrong with the inputs is known.
    from rich.progress import track

    from eggseg.export import load

    if settings.model is None:
        print(pretrained.told())
    segmenter = load(settings.model or pretrained.model(), settings.precision)
    rows, failed, start = [], 0, time.perf_counter()
    with contextlib.closing(predict(segmenter, photos, settings)) as results:
        for result in track(results, "predicting", len(photos)):
            if isinstance(result, str):
                print(f"error: {result}", file=sys.stderr)
                failed += 1
            else:
                rows.append(result)
    if rows:
        write_csv(settings.output_dir / "summary.csv", rows)
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
    in memory at a time is bounded by the threads: nothing but rows waits for its turn.
    """
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_AT_A_TIME))
    try:
        yield from pool.map(lambda name: _predict_one(segmenter, name, photos[name], settings), photos)
    finally:
        # Where something ends this early, the photos that have not begun are left.
        pool.shutdown(cancel_futures=True)


def name_inputs(inputs: Sequence[str], recursive: bool) -> dict[str, Path]:
    """The photos that the inputs stand for, by the names of their outputs, relative with forward slashes.

    A file is called by its name, a file found in a folder by its path below that folder. `InputError` where an input
    stands for nothing, or where two photos would write one output.
    """
    named: dict[str, Path] = {}
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            photos = [p for p in listed(path) if recursive or p.parent == path]
            found = {p.relative_to(path).as_posix(): p for p in photos}
            if not photos:
                raise InputError(f"{given} holds no photo: expected files that end in {', '.join(SUFFIXES)}")
        elif path.exists():
            found = {path.name: path}
        else:
            found = {Path(p).name: Path(p) for p in sorted(glob.glob(given, recursive=recursive)) if Path(p).is_file()}
            if not found:
                raise InputError(f"{given} is not there")
        for name, photo in found.items():
            if name in named and named[name].resolve() != photo.resolve():
                raise InputError(
                    f"{named[name]} and {photo} would both write {name}.png: give the folder above them, --recursive"
                )
            named[name] = photo
    return named


def _outputs(settings: Settings, name: str) -> dict[str, Path]:
    """The files that a photo's outputs go to. The photo's own ending stays: a.jpg and a.png are different photos."""
    wanted = {"masks": ".png"}
    wanted |= {"overlays": ".png"} if settings.overlay else {}
    wanted |= {"probabilities": ".npz"} if settings.probabilities else {}
    wanted |= {"confidence": ".png"} if settings.confidence else {}
    wanted |= {"objects": ".json"} if settings.objects else {}
    return {kind: settings.output_dir / kind / (name + ending) for kind, ending in wanted.items()}


def _predict_one(segmenter: Segmenter, name: str, path: Path, settings: Settings) -> dict[str, Any] | str:
    """Write all outputs of one photo; its row of the summary, or why it cannot be read."""
    from eggseg import objects
    from eggseg.overlays import overlay

    start = time.perf_counter()
    try:
        frame = segmenter.decode(path.read_bytes())
    except (PictureError, OSError) as error:
        return fault(path, error)
    classes, outputs = segmenter.classes, _outputs(settings, name)
    if settings.probabilities or settings.confidence or settings.objects:
        ids, probabilities = segmenter(frame)
    else:
        ids = segmenter.class_ids(frame)
    write_bytes(outputs["masks"], png(classes.paint(ids)))
    if settings.overlay:
        write_bytes(outputs["overlays"], png(overlay(frame, ids, classes)))
    if settings.probabilities:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, probabilities=probabilities)
        write_bytes(outputs["probabilities"], buffer.getvalue())
    if settings.confidence:
        write_bytes(outputs["confidence"], png(np.rint(255 * probabilities.max(-1)).astype(np.uint8)))
    if settings.objects:
        write_json(outputs["objects"], objects.find(ids, probabilities, classes, settings.min_area))
    return _row(name, ids, segmenter) | {"seconds": round(time.perf_counter() - start, 4)}


def _row(name: str, ids: np.ndarray, segmenter: Segmenter) -> dict[str, Any]:
    counts = [int(np.count_nonzero(ids == i)) for i in range(len(segmenter.classes))]
    pixels = {f"{c}_pixels": n for c, n in zip(segmenter.classes.names, counts, strict=True)}
    shares = {f"{c}_share": round(n / ids.size, 6) for c, n in zip(segmenter.classes.names, counts, strict=True)}
    height, width = ids.shape
    return {"file": name, "width": width, "height": height, **pixels, **shares}


if __name__ == "__main__":
    raise SystemExit(main())
