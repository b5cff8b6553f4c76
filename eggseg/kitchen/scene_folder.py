"""A folder of made-up scenes: images/ and masks/, with the same names in both.

A mask has the format of its photo: the mask of a JPEG photo is a lossy JPEG, as in the real data; PNG masks are exact.
A scene depends only on the seed and its index: the first 100 of 200 scenes equal a set of 100, and a second run draws
only missing scenes. Pixels are the same on any machine with the same Pillow and NumPy; files need the same JPEG library
too.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from PIL import Image
from rich.progress import track

from eggseg import files
from eggseg.data.classes import EGGS_AND_PANS
from eggseg.errors import InputError
from eggseg.kitchen import scenes

RECORD = "scenes.json"
FEW = 50
"""Below this number of scenes, one process is faster than several."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Draw procedural photos of eggs and frying pans, with exact masks."""

    out: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="OUT")]]
    """Folder to write; created if missing."""
    count: int = 200
    """Number of scenes; each is a photo and its mask."""
    seed: int = 0
    """Seed of all randomness, 0 or more; the same seed gives the same scenes."""
    run_length: int | None = None
    """Frames in a row that share place, camera and light, as in a video; 1 draws a new place for each scene. The
    default is 5, and 2 in one of the sessions."""
    overwrite: bool = False
    """Replace the scenes of an earlier run in the folder, whatever its seed."""


def write(settings: Settings) -> int:
    """Draw the missing scenes of the folder; return the exit code."""
    run_length = 1 if settings.run_length is None else settings.run_length
    for name, value, least in (("count", settings.count, 1), ("seed", settings.seed, 0), ("run_length", run_length, 1)):
        if value < least:
            raise InputError(f"--{name} is {value}, expected {least} or more")
    before = _recorded(settings.out)
    _refuse_strangers(settings, before)
    if before and settings.overwrite:
        for path in _own(settings.out, before):
            path.unlink(missing_ok=True)
        before = {}
    record = _kind(settings) | {"count": max(settings.count, before.get("count", 0))}
    # The record is written first: the next run recognises the folder of an interrupted run.
    files.write_json(settings.out / RECORD, record)
    todo = [index for index in range(settings.count) if not all(path.exists() for path in pair(settings, index))]
    drawn = _each(functools.partial(write_scene, settings), todo)
    for _ in track(drawn, "drawing scenes", len(todo), transient=True):
        pass
    print(f"{settings.out}: {len(todo)} scenes drawn, {settings.count - len(todo)} were there already")
    return 0


def _each(work: Callable[[int], None], todo: Sequence[int]) -> Iterator[None]:
    """Do the work for all scenes, in several processes if there are enough scenes."""
    if len(todo) < FEW:
        yield from map(work, todo)
        return
    # Spawned, not forked: the progress bar's thread does not survive a fork.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, todo, chunksize=8)


def _kind(settings: Settings) -> dict[str, int]:
    """The settings that determine the scenes: folders with equal values hold the same scenes."""
    return {"version": scenes.VERSION, "seed": settings.seed, "run_length": settings.run_length or 0}


def pair(settings: Settings, index: int) -> tuple[Path, Path]:
    """The paths of a scene's photo and mask."""
    name = scenes.frame(settings.seed, index, settings.run_length).name
    return settings.out / "images" / name, settings.out / "masks" / name


def write_scene(settings: Settings, index: int) -> None:
    photo, ids = scenes.draw(settings.seed, index, run_length=settings.run_length)
    quality = int(np.random.default_rng([settings.seed, index, 4]).integers(40, 96))
    image_path, mask_path = pair(settings, index)
    _save(Image.fromarray(photo), image_path, quality)
    # Three equal channels, like the real masks; at quality 95 a lossy mask stays near its values.
    _save(Image.fromarray(EGGS_AND_PANS.paint(ids)).convert("RGB"), mask_path, 95)


def _save(image: Image.Image, path: Path, quality: int) -> None:
    lossy = path.suffix.lower() == ".jpg"
    options: dict[str, Any] = {"quality": quality} if lossy else {"compress_level": 4}
    with files.replacing(path) as temporary:
        image.save(temporary, "JPEG" if lossy else "PNG", **options)


def _recorded(out: Path) -> dict[str, int]:
    """The record of the run that made the folder; empty if there is none."""
    path = out / RECORD
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file, expected a folder or nothing")
    if not path.exists():
        return {}
    try:
        record = json.loads(path.read_text())
        return {key: int(record[key]) for key in ("version", "seed", "run_length", "count")}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a valid record of this command ({error!r}); choose another folder") from error


def _refuse_strangers(settings: Settings, before: dict[str, int]) -> None:
    """`InputError` if the folder holds other files or scenes of another seed: data sets must not mix by accident."""
    out = settings.out
    wanted = _kind(settings)
    present = {key: before[key] for key in wanted if before}
    if present and present != wanted and not settings.overwrite:
        raise InputError(f"{out} holds scenes of {present}, expected {wanted}; choose another folder or --overwrite")
    own = {out / RECORD, *(_own(out, before) if before else ())}
    strangers = [p for p in out.rglob("*") if p.is_file() and not p.name.startswith(".") and p not in own]
    if strangers:
        raise InputError(
            f"{out} holds {len(strangers)} files that are not this command's, for example {min(strangers)}; "
            "choose an empty folder"
        )


def _own(out: Path, record: dict[str, int]) -> list[Path]:
    """The files of the recorded scenes; for another version, whose names are unknown, all files of both folders."""
    if record["version"] != scenes.VERSION:
        return [path for folder in ("images", "masks") for path in (out / folder).glob("*")]
    names = [scenes.frame(record["seed"], index).name for index in range(record["count"])]
    return [out / folder / name for name in names for folder in ("images", "masks")]
