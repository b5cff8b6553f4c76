"""A folder of made-up scenes: images/ and masks/, with the same names in both.

A mask has the format of its photo: the mask of a JPEG photo is a lossy JPEG, as in the real data; PNG masks are exact.
A scene depends only on its index, the seed and `run_length`: a folder of 200 scenes begins with the same scenes as a
folder of 100. Called again, the command draws only the missing scenes. The drawn pixels are the same on any machine
with the same versions of Pillow and NumPy; the files also need the same versions of the JPEG and zlib libraries.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Sequence
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
from eggseg.kitchen.processes import Pool

RECORD = "scenes.json"
FEW = 50
"""Below this number of scenes, one process is faster than several."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Draw made-up photos of eggs and frying pans, and their masks. PNG masks are exact, JPEG masks are lossy."""

    out: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="OUT")]]
    """Folder to write; created if missing."""
    count: int = 200
    """Number of scenes; each is a photo and its mask."""
    seed: int = 0
    """Seed of all randomness, 0 or more; the same seed and --run_length give the same scenes."""
    run_length: int | None = None
    """Number of consecutive photos of one camera that share table, camera position and light, as in a video. With 1,
    each scene has its own. The default is 5, but 2 for files named image_*, frying-*, served-* and dozen-*."""
    overwrite: bool = False
    """Delete the scenes that the folder has, and draw new ones. If another version of eggseg drew the old ones, all
    files in images/ and masks/ are deleted."""


def write(settings: Settings) -> int:
    """Draw the missing scenes of the folder; with `overwrite`, delete those of an earlier run first. Returns 0.

    `InputError` if a setting is out of range, or as in `_check_folder`.
    """
    for name, value, least in (
        ("count", settings.count, 1),
        ("seed", settings.seed, 0),
        ("run_length", settings.run_length, 1),
    ):
        if value is not None and value < least:
            raise InputError(f"--{name} is {value}, expected {least} or more")
    before = _recorded(settings.out)
    _check_folder(settings, before)
    if before and settings.overwrite:
        for path in _own(settings.out, before):
            path.unlink(missing_ok=True)
        before = {}
    record = _identity(settings) | {"count": max(settings.count, before.get("count", 0))}
    # Written first, so that the next run recognises the folder even if this run is interrupted.
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
    with Pool() as pool:
        yield from pool.map(work, todo, chunksize=8)


def _identity(settings: Settings) -> dict[str, int]:
    """What determines a scene besides its index, as in `RECORD`; `run_length` is 0 if none was given."""
    return {"version": scenes.VERSION, "seed": settings.seed, "run_length": settings.run_length or 0}


def pair(settings: Settings, index: int) -> tuple[Path, Path]:
    """The paths of a scene's photo and mask."""
    name = scenes.frame(settings.seed, index, settings.run_length).name
    return settings.out / "images" / name, settings.out / "masks" / name


def write_scene(settings: Settings, index: int) -> None:
    """Draw scene `index`, and write its photo and its mask."""
    photo, ids = scenes.draw(settings.seed, index, run_length=settings.run_length)
    # The 4 makes this random stream independent of those of `scenes`, which have 1 to 3.
    quality = int(np.random.default_rng([settings.seed, index, 4]).integers(40, 96))
    image_path, mask_path = pair(settings, index)
    _save(Image.fromarray(photo), image_path, quality)
    # Three equal channels, like the real masks; quality 95 keeps a lossy mask near the values of its classes.
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
        raise InputError(
            f"{path} is damaged, or eggseg synthetic did not write it ({error!r}); choose another folder"
        ) from error


def _check_folder(settings: Settings, before: dict[str, int]) -> None:
    """`InputError` if the folder holds files that `write` did not make or, without `overwrite`, other scenes.

    Other scenes are those of other settings, or of another version of eggseg.

    This keeps data sets from being mixed by accident. Hidden files are ignored.
    """
    out = settings.out
    wanted = _identity(settings)
    present = {key: before[key] for key in wanted if before}
    if present and present != wanted and not settings.overwrite:
        raise InputError(
            f"{out} holds scenes of {_text(present)}; expected {_text(wanted)}: "
            "choose another folder, or add --overwrite"
        )
    own = {out / RECORD, *(_own(out, before) if before else ())}
    foreign = [p for p in out.rglob("*") if p.is_file() and not p.name.startswith(".") and p not in own]
    if foreign:
        raise InputError(
            f"{out} holds files that eggseg synthetic did not write ({len(foreign)}), for example {min(foreign)}; "
            "choose an empty folder"
        )


def _text(identity: dict[str, int]) -> str:
    length = identity["run_length"] or "default"
    return f"version {identity['version']} (seed {identity['seed']}, run length {length})"


def _own(out: Path, record: dict[str, int]) -> list[Path]:
    """The photos and masks of the recorded scenes; all files in images/ and masks/ if they are of another version.

    The names of files depend on seed and index alone, but may differ in another version.
    """
    if record["version"] != scenes.VERSION:
        return [path for folder in ("images", "masks") for path in (out / folder).glob("*")]
    names = [scenes.frame(record["seed"], index).name for index in range(record["count"])]
    return [out / folder / name for name in names for folder in ("images", "masks")]
