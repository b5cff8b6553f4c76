"""`python -m eggseg.convert`: what labelling tools write to photos and masks, and masks to COCO."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import tyro
from rich.progress import track

from eggseg import cli, files, masks, pairs, pictures
from eggseg.annotations import coco, cvat, labelme, voc
from eggseg.annotations.regions import UNKNOWN, Annotated
from eggseg.classes import EGGS_AND_PANS, ClassTable
from eggseg.errors import InputError
from eggseg.pictures import SUFFIXES, PictureError

READERS: dict[str, Callable[[Path, Path | None], Iterator[Annotated]]] = {
    "coco": coco.read,
    "labelme": labelme.read,
    "cvat": cvat.read,
    "voc": voc.read,
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Turn the annotations of a labelling tool into a folder that eggseg.train takes: OUTPUT/images and OUTPUT/masks.
    Or turn masks, such as those of eggseg.predict, into COCO's JSON."""

    source: tyro.conf.Positional[Path]
    """A COCO JSON file, a CVAT XML file, a folder of LabelMe's JSON files or of Pascal VOC, or a folder of masks."""
    output: tyro.conf.Positional[Path]
    """The folder for images/ and masks/, or, of masks, the JSON file."""
    format: Literal["auto", "coco", "labelme", "cvat", "voc", "masks"] = "auto"
    """What SOURCE is; auto tells by its ending and by what lies in it."""
    images: Path | None = None
    """Folder of the photos, where they do not lie where SOURCE says."""
    rename: tuple[str, ...] = ()
    """What labels are called here: `--rename "frying pan=pan" hand=background blur=void`; void is left out of
    training."""
    classes: Path | None = None
    """Class table in JSON, as eggseg.train takes it; without it background 0, egg 128, pan 255."""
    polygons: bool = False
    """Write outlines to COCO instead of run lengths: other tools can edit them, but holes are lost."""
    overwrite: bool = False
    """Replace files that are there already."""


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(cli.parse(Settings, argv, "eggseg.convert")))


def run(settings: Settings) -> int:
    classes = ClassTable.read(settings.classes) if settings.classes else EGGS_AND_PANS
    kind = settings.format if settings.format != "auto" else _kind(settings.source)
    if kind == "masks":
        _write_coco(settings, classes)
    else:
        _write_pairs(READERS[kind](settings.source, settings.images), settings, classes)
    return 0


def _kind(source: Path) -> str:
    """What a source is, by its ending or its content."""
    if source.suffix.lower() == ".json":
        return "coco"
    if source.suffix.lower() == ".xml":
        return "cvat"
    if (source / "SegmentationClass").is_dir():
        return "voc"
    if source.is_dir() and next(source.rglob("*.json"), None):
        return "labelme"
    if source.is_dir() and pictures.listed(source):
        return "masks"
    raise InputError(f"{source} is no annotation that can be told by itself: expected --format, or another place")


def _write_pairs(annotated: Iterator[Annotated], settings: Settings, classes: ClassTable) -> None:
    """Write photos and masks, after a look at all of them: a fault in the last leaves no half of a data set."""
    rename = _renames(settings.rename, classes)
    painted: dict[str, tuple[Path, bytes]] = {}
    for one in track(annotated, "reading"):
        if one.name in painted:
            raise InputError(f"{settings.source} has {one.name} twice")
        if not one.photo.is_file():
            raise InputError(f"{one.photo} is not there: --images says where the photos lie")
        width, height = pairs.size(one.photo)
        if sorted((height, width)) != sorted(one.size):
            raise InputError(f"{one.photo} is {width}x{height}, its annotation is {one.size[1]}x{one.size[0]}")
        painted[one.name] = one.photo, pictures.png(classes.paint_with_void(one.ids(classes, rename)))
    if not painted:
        raise InputError(f"{settings.source} holds no annotated photo")
    places = {name: (settings.output / "images" / name, settings.output / "masks" / f"{name}.png") for name in painted}
    _refuse_replacing([path for pair in places.values() for path in pair], settings)
    for name, (photo, mask) in track(painted.items(), "writing"):
        to, mask_to = places[name]
        with files.replacing(to) as temporary:
            shutil.copyfile(photo, temporary)
        files.write_bytes(mask_to, mask)
    print(f"{len(painted)} photos and masks in {settings.output}: eggseg audit {settings.output} looks at them")


def _renames(given: Sequence[str], classes: ClassTable) -> dict[str, str]:
    renames = {}
    for pair in given:
        label, sign, name = pair.partition("=")
        if not sign or name not in (*classes.names, UNKNOWN):
            raise InputError(
                f"--rename {pair}: expected LABEL=NAME, NAME one of {', '.join((*classes.names, UNKNOWN))}"
            )
        renames[label] = name
    return renames


def _write_coco(settings: Settings, classes: ClassTable) -> None:
    if settings.output.suffix.lower() != ".json":
        raise InputError(f"{settings.output}: masks are written to a file that ends in .json")
    _refuse_replacing([settings.output], settings)
    found = []
    for path in track(pictures.listed(settings.source), "converting"):
        try:
            found.append((_photo_name(path.relative_to(settings.source)), masks.read(path.read_bytes(), classes).ids))
        except (PictureError, OSError) as error:
            raise InputError(pictures.fault(path, error)) from None
    content = coco.content(found, classes, as_polygons=settings.polygons)
    files.write_json(settings.output, content)
    print(f"{len(content['annotations'])} objects of {len(found)} masks in {settings.output}")


def _photo_name(mask: Path) -> str:
    """The photo that a mask belongs to: `a.jpg.png` is that of `a.jpg`."""
    bare = mask.with_suffix("")
    return (bare if bare.suffix.lower() in SUFFIXES else mask).as_posix()


def _refuse_replacing(paths: Sequence[Path], settings: Settings) -> None:
    present = [path for path in paths if path.exists()]
    if present and not settings.overwrite:
        raise InputError(f"{present[0]} is there already: --overwrite replaces it")


if __name__ == "__main__":
    raise SystemExit(main())
