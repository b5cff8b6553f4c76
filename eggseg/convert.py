"""`eggseg convert`: what labelling tools write to photos and masks, and masks to COCO."""

from __future__ import annotations

import collections
import dataclasses
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from rich.progress import track

from eggseg import cli, files
from eggseg.annotations import coco, cvat, labelme, voc
from eggseg.annotations.regions import UNKNOWN, Annotated, Reader, coco_api
from eggseg.data import findings, masks, pairs
from eggseg.data.classes import EGGS_AND_PANS, ClassTable
from eggseg.errors import InputError, printable
from eggseg.pictures import pillow
from eggseg.pictures.pillow import MAX_PIXELS, MOST_PIXELS, SUFFIXES, PictureError

READERS: dict[str, Reader] = {"coco": coco.read, "labelme": labelme.read, "cvat": cvat.read, "voc": voc.read}


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
    max_pixels: int = MAX_PIXELS
    """Pixels of the largest photo that is converted."""
    polygons: bool = False
    """Write outlines to COCO instead of run lengths: other tools can edit them, but holes are lost."""
    overwrite: bool = False
    """Replace files that are there already."""


@dataclasses.dataclass(frozen=True)
class Painted:
    """A photo, and the mask that is to be written for it."""

    photo: Path
    mask: bytes
    """A PNG file."""


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(cli.parse(Settings, argv, "eggseg.convert")))


def run(settings: Settings) -> int:
    if not 1 <= settings.max_pixels <= MOST_PIXELS:
        raise InputError(f"--max_pixels {settings.max_pixels}: expected 1 to {MOST_PIXELS}")
    classes = ClassTable.read(settings.classes) if settings.classes else EGGS_AND_PANS
    kind = settings.format if settings.format != "auto" else _kind(settings.source)
    if kind == "masks":
        _write_coco(settings, classes)
    else:
        _write_pairs(READERS[kind], settings, classes)
    return 0


def _kind(source: Path) -> str:
    """What a source is, by its ending or its content."""
    if source.suffix.lower() == ".json":
        return "coco"
    if source.suffix.lower() == ".xml":
        return "cvat"
    if (source / "SegmentationClass").is_dir():
        return "voc"
    if source.is_dir() and labelme.listed(source):
        return "labelme"
    if source.is_dir() and pillow.listed(source):
        return "masks"
    raise InputError(f"{source} is no annotation that can be told by itself: expected --format, or another place")


def _write_pairs(reader: Reader, settings: Settings, classes: ClassTable) -> None:
    """Write photos and masks, after a look at all of them: a fault in the last leaves no half of a data set."""
    painted, remarks = _painted(reader, settings, classes)
    places = {name: (Path("images", name), Path("masks", f"{name}.png")) for name in painted}
    _refuse_unusable(dict(places.values()), settings.output)
    _refuse_replacing([settings.output / path for pair in places.values() for path in pair], settings)
    for name, one in track(painted.items(), "writing"):
        photo, mask = (settings.output / path for path in places[name])
        with files.replacing(photo) as temporary:
            shutil.copyfile(one.photo, temporary)
        files.write_bytes(mask, one.mask)
    print(f"{len(painted)} photos and masks in {settings.output}: eggseg audit {settings.output} looks at them")
    for remark in remarks:
        print(remark)


def _painted(reader: Reader, settings: Settings, classes: ClassTable) -> tuple[dict[str, Painted], list[str]]:
    """The photos by their names, and what there is to say of them; `InputError` lists the faults of all."""
    coco_api()  # missing, it would be missing for every photo
    rename = _renames(settings.rename, classes)
    painted: dict[str, Painted] = {}
    faults: list[str] = []
    empty: list[str] = []
    skipped: collections.Counter[str] = collections.Counter()
    for read in track(reader(settings.source, settings.images, settings.max_pixels), "reading"):
        try:
            one = read()
            if one.name in painted:
                raise InputError(f"{settings.source} has {printable(one.name)} twice")
            painted[one.name] = Painted(one.photo, _png(one, classes, rename, settings.max_pixels))
        except InputError as error:
            faults.append(str(error))
            continue
        skipped.update(one.skipped)
        if not one.regions:
            what = f"only shapes without an area ({len(one.skipped)})" if one.skipped else "no annotation"
            empty.append(f"{printable(one.name)} has {what}: its mask is all background")
    if faults:
        raise InputError(pairs.summary(faults, "faults, and nothing was written"))
    if not painted:
        raise InputError(f"{settings.source} holds no annotated photo")
    remarks = [pairs.summary(empty, "masks are all background")] if empty else []
    if skipped:
        kinds = ", ".join(f"{count} x {kind}" for kind, count in skipped.most_common())
        remarks.append(f"{skipped.total()} shapes have no area and were skipped: {kinds}")
    return painted, remarks


def _png(one: Annotated, classes: ClassTable, rename: Mapping[str, str], max_pixels: int) -> bytes:
    """The mask of a photo as a PNG file, which is read back to the same classes."""
    ids = one.ids(classes, rename)
    data = pillow.png(classes.paint_with_void(ids))
    if not np.array_equal(masks.read(data, classes, max_pixels).ids, ids):
        raise InputError(f"the mask of {printable(one.name)} is not read back as it is: expected another class table")
    return data


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


def _refuse_unusable(new: Mapping[Path, Path], output: Path) -> None:
    """`InputError` unless new photos and masks, paths below `output`, will be found to be pairs, and old ones still.

    Empty files of the same names are matched, on the same disk: what it makes of long or similar names is seen too.
    """
    seen = f"a name that is not hidden and ends in {', '.join(SUFFIXES)}"
    unseen = [
        f"{printable(output / photo)} would not be found: expected {seen}"
        for photo in new
        if photo.suffix.lower() not in SUFFIXES or any(part.startswith(".") for part in photo.parts)
    ]
    if unseen:
        raise InputError(pairs.summary(unseen, "faults, and nothing was written"))
    present = [path.relative_to(output) for kind in ("images", "masks") for path in pillow.listed(output / kind)]
    expected = dict(new)
    if {path.parts[0] for path in present} == {"images", "masks"}:
        expected = _pairs(output) | expected
    disk = next(folder for folder in (output, *output.absolute().parents) if folder.is_dir())
    with tempfile.TemporaryDirectory(prefix=".eggseg-", dir=disk) as name:
        trial = Path(name)
        for path in (*present, *(path for pair in new.items() for path in pair)):
            try:
                (trial / path).parent.mkdir(parents=True, exist_ok=True)
                (trial / path).touch()
            except OSError as error:
                raise InputError(f"{printable(output / path)}: {error.strerror}") from None
        try:
            found = _pairs(trial)
        except InputError as error:
            raise InputError(str(error).replace(name, str(output))) from None
    faults = [_unpaired(output, photo, mask, found) for photo, mask in expected.items() if found.get(photo) != mask]
    if faults:
        raise InputError(pairs.summary(faults, "faults, and nothing was written"))


def _pairs(folder: Path) -> dict[Path, Path]:
    """The masks of photos, both as paths below a folder of images/ and masks/."""
    return {pair.image.relative_to(folder): pair.mask.relative_to(folder) for pair in pairs.match(folder)[0]}


def _unpaired(output: Path, photo: Path, mask: Path, found: Mapping[Path, Path]) -> str:
    why = "its mask would be taken for another's"
    if photo in found:
        why = f"{printable(output / found[photo])} would be taken for its mask"
    return f"{printable(output / photo)} would not be found with {printable(output / mask)}: {why}"


def _write_coco(settings: Settings, classes: ClassTable) -> None:
    if settings.output.suffix.lower() != ".json":
        raise InputError(f"{settings.output}: masks are written to a file that ends in .json")
    _refuse_replacing([settings.output], settings)
    found: dict[str, masks.Mask] = {}
    faults: list[str] = []
    for path in track(pillow.listed(settings.source), "converting"):
        name = _photo_name(path.relative_to(settings.source))
        if name in found:
            faults.append(f"{printable(path)} is a second mask of {printable(name)}")
        try:
            found[name] = masks.read(path.read_bytes(), classes, settings.max_pixels)
        except (PictureError, OSError) as error:
            faults.append(pillow.fault(path, error))
    if faults:
        raise InputError(pairs.summary(faults, "faults, and nothing was written"))
    content = coco.content([(name, one.ids) for name, one in found.items()], classes, as_polygons=settings.polygons)
    files.write_json(settings.output, content)
    print(f"{len(content['annotations'])} objects of {len(found)} masks in {settings.output}")
    for finding in findings.of_labels({name: one.labels for name, one in found.items()}, classes):
        print(finding)


def _photo_name(mask: Path) -> str:
    """The photo that a mask belongs to: `a.jpg.png` is that of `a.jpg`."""
    bare = mask.with_suffix("")
    return (bare if bare.suffix.lower() in SUFFIXES else mask).as_posix()


def _refuse_replacing(paths: Sequence[Path], settings: Settings) -> None:
    present = [path for path in paths if path.exists()]
    if present and not settings.overwrite:
        raise InputError(f"{printable(present[0])} is there already: --overwrite replaces it")


if __name__ == "__main__":
    raise SystemExit(main())
