"""`eggseg convert`: convert annotations of labelling tools to photos and masks, and masks to COCO."""

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
from eggseg.pictures.limits import MAX_PIXELS, MOST_PIXELS
from eggseg.pictures.pillow import SUFFIXES, PictureError

READERS: dict[str, Reader] = {"coco": coco.read, "labelme": labelme.read, "cvat": cvat.read, "voc": voc.read}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Convert the annotations of a labelling tool to a folder that eggseg.train takes: OUTPUT/images and OUTPUT/masks.
    Or convert masks, for example from eggseg.predict, to COCO JSON."""

    source: tyro.conf.Positional[Path]
    """A COCO JSON file, a CVAT XML file, a folder of LabelMe JSON files, a Pascal VOC folder, or a folder of masks."""
    output: tyro.conf.Positional[Path]
    """The folder for images/ and masks/; if SOURCE is masks, the JSON file."""
    format: Literal["auto", "coco", "labelme", "cvat", "voc", "masks"] = "auto"
    """Format of SOURCE; auto detects it from the suffix or the content."""
    images: Path | None = None
    """Folder of the photos, if they are not where SOURCE says."""
    rename: tuple[str, ...] = ()
    """Class names of labels: `--rename "frying pan=pan" hand=background blur=void`; void is left out of training."""
    classes: Path | None = None
    """Class table in JSON, as eggseg.train takes it; the default is background 0, egg 128, pan 255."""
    max_pixels: int = MAX_PIXELS
    """Pixels of the largest photo that is converted."""
    polygons: bool = False
    """Write polygons to COCO instead of run lengths: other tools can edit them, but holes are lost."""
    overwrite: bool = False
    """Replace existing files."""


@dataclasses.dataclass(frozen=True)
class Painted:
    """A photo and the mask to write for it."""

    photo: Path
    mask: bytes
    """The bytes of a PNG file."""


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
    """Detect the format of a source from its suffix or content."""
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
    raise InputError(f"the format of {source} is not recognised: expected --format, or another SOURCE")


def _write_pairs(reader: Reader, settings: Settings, classes: ClassTable) -> None:
    """Read all photos and annotations, then write the photos and masks: if one photo is faulty, nothing is written."""
    painted, remarks = _painted(reader, settings, classes)
    targets = {name: (Path("images", name), Path("masks", f"{name}.png")) for name in painted}
    _refuse_unusable(dict(targets.values()), settings.output)
    _refuse_replacing([settings.output / path for pair in targets.values() for path in pair], settings)
    for name, item in track(painted.items(), "writing"):
        photo, mask = (settings.output / path for path in targets[name])
        with files.replacing(photo) as temporary:
            shutil.copyfile(item.photo, temporary)
        files.write_bytes(mask, item.mask)
    print(f"{len(painted)} photos and masks in {settings.output}: eggseg audit {settings.output} checks them")
    for remark in remarks:
        print(remark)


def _painted(reader: Reader, settings: Settings, classes: ClassTable) -> tuple[dict[str, Painted], list[str]]:
    """The photos and masks to write, by photo name, and remarks to print; one `InputError` for all faulty photos."""
    coco_api()  # if pycocotools is missing, fail here once, not at every photo
    rename = _renames(settings.rename, classes)
    painted: dict[str, Painted] = {}
    faults: list[str] = []
    empty: list[str] = []
    skipped: collections.Counter[str] = collections.Counter()
    for read in track(reader(settings.source, settings.images, settings.max_pixels), "reading"):
        try:
            annotated = read()
            if annotated.name in painted:
                raise InputError(f"{settings.source} has {printable(annotated.name)} twice")
            painted[annotated.name] = Painted(annotated.photo, _png(annotated, classes, rename, settings.max_pixels))
        except InputError as error:
            faults.append(str(error))
            continue
        skipped.update(annotated.skipped)
        if not annotated.regions:
            content = (
                f"only shapes without an area ({len(annotated.skipped)})" if annotated.skipped else "no annotation"
            )
            empty.append(f"{printable(annotated.name)} has {content}: its mask is all background")
    if faults:
        raise InputError(pairs.summary(faults, "faults, and nothing was written"))
    if not painted:
        raise InputError(f"{settings.source} holds no annotated photo")
    remarks = [pairs.summary(empty, "masks are all background")] if empty else []
    if skipped:
        kinds = ", ".join(f"{count} x {kind}" for kind, count in skipped.most_common())
        remarks.append(f"{skipped.total()} shapes have no area and were skipped: {kinds}")
    return painted, remarks


def _png(annotated: Annotated, classes: ClassTable, rename: Mapping[str, str], max_pixels: int) -> bytes:
    """The mask of a photo as a PNG file; `InputError` unless `masks.read` returns the same class ids."""
    ids = annotated.ids(classes, rename)
    data = pillow.png(classes.paint_with_void(ids))
    if not np.array_equal(masks.read(data, classes, max_pixels).ids, ids):
        raise InputError(
            f"the mask of {printable(annotated.name)} does not read back as it was: expected another class table"
        )
    return data


def _renames(arguments: Sequence[str], classes: ClassTable) -> dict[str, str]:
    renames = {}
    for pair in arguments:
        label, sign, name = pair.partition("=")
        if not sign or name not in (*classes.names, UNKNOWN):
            raise InputError(
                f"--rename {pair}: expected LABEL=NAME, NAME one of {', '.join((*classes.names, UNKNOWN))}"
            )
        renames[label] = name
    return renames


def _refuse_unusable(new: Mapping[Path, Path], output: Path) -> None:
    """`InputError` unless `pairs.match` will find all new pairs, and all pairs that `output` already holds.

    `new` maps photos to masks, as paths below `output`. The check matches empty files of the same names in a temporary
    folder on the same disk. File systems differ in which names are too long, and in which names mean the same file,
    such as `a.png` and `A.png`.
    """
    visible = f"a name that is not hidden and ends in {', '.join(SUFFIXES)}"
    hidden = [
        f"{printable(output / photo)} would not be found: expected {visible}"
        for photo in new
        if photo.suffix.lower() not in SUFFIXES or any(part.startswith(".") for part in photo.parts)
    ]
    if hidden:
        raise InputError(pairs.summary(hidden, "faults, and nothing was written"))
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
            matched = _pairs(trial)
        except InputError as error:
            raise InputError(str(error).replace(name, str(output))) from None
    faults = [_unpaired(output, photo, mask, matched) for photo, mask in expected.items() if matched.get(photo) != mask]
    if faults:
        raise InputError(pairs.summary(faults, "faults, and nothing was written"))


def _pairs(folder: Path) -> dict[Path, Path]:
    """Map each photo with a mask to its mask, as paths below `folder`; `folder` holds images/ and masks/."""
    return {pair.image.relative_to(folder): pair.mask.relative_to(folder) for pair in pairs.match(folder)[0]}


def _unpaired(output: Path, photo: Path, mask: Path, matched: Mapping[Path, Path]) -> str:
    reason = "its mask would be taken for another photo's"
    if photo in matched:
        reason = f"{printable(output / matched[photo])} would be taken for its mask"
    return f"{printable(output / photo)} would not be found with {printable(output / mask)}: {reason}"


def _write_coco(settings: Settings, classes: ClassTable) -> None:
    if settings.output.suffix.lower() != ".json":
        raise InputError(f"{settings.output}: masks are written to a file that ends in .json")
    _refuse_replacing([settings.output], settings)
    by_photo: dict[str, masks.Mask] = {}
    faults: list[str] = []
    for path in track(pillow.listed(settings.source), "converting"):
        name = _photo_name(path.relative_to(settings.source))
        if name in by_photo:
            faults.append(f"{printable(path)} is a second mask of {printable(name)}")
        try:
            by_photo[name] = masks.read(path.read_bytes(), classes, settings.max_pixels)
        except (PictureError, OSError) as error:
            faults.append(pillow.fault(path, error))
    if faults:
        raise InputError(pairs.summary(faults, "faults, and nothing was written"))
    content = coco.content(
        [(name, mask.ids) for name, mask in by_photo.items()], classes, as_polygons=settings.polygons
    )
    files.write_json(settings.output, content)
    print(f"{len(content['annotations'])} objects of {len(by_photo)} masks in {settings.output}")
    for finding in findings.of_labels({name: mask.labels for name, mask in by_photo.items()}, classes):
        print(finding)


def _photo_name(mask: Path) -> str:
    """The name of a mask's photo: `a.jpg` for the mask `a.jpg.png`; `a.png`, the mask's own name, for `a.png`."""
    bare = mask.with_suffix("")
    return (bare if bare.suffix.lower() in SUFFIXES else mask).as_posix()


def _refuse_replacing(paths: Sequence[Path], settings: Settings) -> None:
    present = [path for path in paths if path.exists()]
    if present and not settings.overwrite:
        raise InputError(f"{printable(present[0])} is there already: --overwrite replaces it")


if __name__ == "__main__":
    raise SystemExit(main())
