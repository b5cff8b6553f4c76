"""`python -m eggseg.predict`: photos to masks of their own size."""

from __future__ import annotations

import dataclasses
import glob
import io
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import tyro

from eggseg import cli
from eggseg.errors import InputError
from eggseg.files import write_bytes, write_csv, write_json
from eggseg.pictures import SUFFIXES, listed, png, why_unreadable

if TYPE_CHECKING:
    from eggseg.export import Segmenter


@dataclasses.dataclass(frozen=True)
class Settings:
    """Write the masks of photos, each of its photo's own size, as OUTPUT_DIR/masks/NAME.png."""

    inputs: tyro.conf.Positional[tuple[str, ...]]
    """Photos, folders of photos, or patterns such as 'kitchen/*.jpg'."""
    model: Path
    """A run folder of eggseg.train, or its saved_model."""
    output_dir: Path
    """Folder for masks/, overlays/, probabilities/, objects/ and summary.csv."""
    recursive: bool = False
    """Take photos in folders below the given ones too."""
    overlay: bool = False
    """Also write each photo tinted by its mask, as overlays/NAME.png."""
    probabilities: bool = False
    """Also write probabilities/NAME.npz: `probabilities`, (height, width, classes) float32."""
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
    names = name_inputs(settings.inputs, settings.recursive)
    outputs = {name: _outputs(settings, name) for name in names}
    present = [str(path) for paths in outputs.values() for path in paths.values() if path.exists()]
    if present and not settings.overwrite:
        more = f" and {len(present) - 1} more are" if len(present) > 1 else " is"
        raise InputError(f"{present[0]}{more} there already: --overwrite replaces them")
    for kind in {path.parent for paths in outputs.values() for path in paths.values()}:
        kind.mkdir(parents=True, exist_ok=True)

    # Only now: TensorFlow takes seconds, and what is wrong with the inputs is known.
    import tensorflow as tf
    from rich.progress import track

    from eggseg.export import load

    segmenter = load(settings.model, settings.precision)
    rows, seconds, failed = [], [], 0
    for name, path in track(names.items(), "predicting"):
        try:
            data = path.read_bytes()
            start = time.perf_counter()
            frame = segmenter.decode(data)
        except (OSError, tf.errors.OpError) as error:
            reason = f"{path}: {error.strerror}" if isinstance(error, OSError) else f"{path} {why_unreadable(path)}"
            print(f"error: {reason}", file=sys.stderr)
            failed += 1
            continue
        ids = _predict_one(segmenter, frame, outputs[name], settings)
        seconds.append(time.perf_counter() - start)
        rows.append(_row(name, ids, segmenter, seconds[-1]))
    if rows:
        write_csv(settings.output_dir / "summary.csv", rows)
        # The first photo of a process also pays for the network's set-up.
        typical = np.median(seconds[1:] or seconds) * 1000
        print(f"{len(rows)} masks in {settings.output_dir / 'masks'}, {typical:.0f} ms a photo (median)")
    return 1 if failed else 0


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
    wanted |= {"objects": ".json"} if settings.objects else {}
    return {kind: settings.output_dir / kind / (name + ending) for kind, ending in wanted.items()}


def _predict_one(segmenter: Segmenter, frame: np.ndarray, outputs: dict[str, Path], settings: Settings) -> np.ndarray:
    """Write all outputs of one frame; its class ids."""
    from eggseg import images, objects

    classes = segmenter.classes
    if settings.probabilities or settings.objects:
        ids, probabilities = segmenter(frame)
    else:
        ids = segmenter.class_ids(frame)
    write_bytes(outputs["masks"], png(classes.paint(ids)))
    if settings.overlay:
        write_bytes(outputs["overlays"], png(images.overlay(frame, ids, classes)))
    if settings.probabilities:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, probabilities=probabilities)
        write_bytes(outputs["probabilities"], buffer.getvalue())
    if settings.objects:
        write_json(outputs["objects"], objects.find(ids, probabilities, classes, settings.min_area))
    return ids


def _row(name: str, ids: np.ndarray, segmenter: Segmenter, seconds: float) -> dict[str, Any]:
    counts = np.bincount(ids.ravel(), minlength=len(segmenter.classes))
    pixels = {f"{c}_pixels": int(n) for c, n in zip(segmenter.classes.names, counts, strict=True)}
    shares = {f"{c}_share": round(n / ids.size, 6) for c, n in zip(segmenter.classes.names, counts, strict=True)}
    height, width = ids.shape
    return {"file": name, "width": width, "height": height, **pixels, **shares, "seconds": round(seconds, 4)}


if __name__ == "__main__":
    raise SystemExit(main())
