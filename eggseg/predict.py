"""`eggseg predict`: predict a mask for each photo, at the photo's size."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from eggseg import callable_command, cli, pretrained
from eggseg.errors import InputError, printable
from eggseg.files import write_csv
from eggseg.pictures.pillow import fault
from eggseg.prediction import inputs, outputs
from eggseg.prediction.outputs import Entry, Journal, Seen
from eggseg.prediction.settings import Settings


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(cli.parse(Settings, argv, "eggseg.predict")))


def run(settings: Settings) -> int:
    """Predict all inputs; return 0, or 1 if an input could not be read or an output could not be written.

    `InputError` if no photo is found, if outputs exist that the settings do not replace or continue, if the model
    cannot be loaded, or if the disk is full.
    """
    photos, failed = _possible(inputs.named(settings.inputs, settings.recursive, settings.output_dir), settings)
    seen = {name: Seen.of(path) for name, path in photos.items()}
    journal = _journal(settings, photos)
    done = _done(journal, seen, settings)
    for kind in settings.kinds:
        (settings.output_dir / kind).mkdir(parents=True, exist_ok=True)

    # Imported late: TensorFlow takes seconds to load, and the checks above report faults of the inputs before that.
    from rich.progress import track

    from eggseg.exported import saved_model
    from eggseg.prediction import writing

    if settings.model is None:
        print(pretrained.told())
    model = saved_model.find(settings.model or pretrained.model())
    segmenter = saved_model.load(model, settings.precision, settings.max_pixels)
    if settings.unsure:
        _ = segmenter.classes.void_value  # an error now rather than in the first photo
    record = {
        "model": saved_model.fingerprint(model),
        "precision": segmenter.precision,
        "min_area": settings.min_area,
        "unsure": settings.unsure,
    }
    if journal.record:  # of an earlier version, which knew no --unsure
        journal.record.setdefault("unsure", 0.0)
    journal.expect(record)
    if settings.overwrite:
        (settings.output_dir / outputs.SUMMARY).unlink(missing_ok=True)
    journal.begin(record, done)
    remaining = {name: path for name, path in photos.items() if name not in done}
    if len(remaining) < len(photos):
        print(f"{len(photos) - len(remaining)} photos are done already, {len(remaining)} are left")
    rows, start = [], time.perf_counter()
    try:
        with contextlib.closing(writing.write(segmenter, remaining, settings)) as results:
            for result in track(results, "predicting", len(remaining)):
                if isinstance(result, str):
                    print(f"error: {result}", file=sys.stderr)
                    failed += 1
                else:
                    journal.add(Entry(seen[result["file"]], result))
                    rows.append(result)
    except OSError as error:
        raise InputError(
            f"{printable(error.filename)}: {error.strerror}; "
            f"{len(journal.entries)} photos are done, and --resume continues"
        ) from error
    finally:
        _summarize(journal, photos)
    if rows:
        rate = len(rows) / (time.perf_counter() - start)
        median = np.median([row["seconds"] for row in rows]) * 1000
        print(
            f"{len(rows)} masks in {settings.output_dir / 'masks'}, {rate:.1f} per second, "
            f"median {median:.0f} ms per photo"
        )
    return 1 if failed else 0


def _possible(photos: Mapping[str, Path], settings: Settings) -> tuple[dict[str, Path], int]:
    """The photos whose output paths are valid, and the number of other photos; prints an error for each other photo."""
    possible = {}
    for name, photo in photos.items():
        try:
            for path in settings.outputs(name).values():
                outputs.exists(path)
            possible[name] = photo
        except OSError as error:
            print(f"error: {fault(path, error)}", file=sys.stderr)
    return possible, len(photos) - len(possible)


def _journal(settings: Settings, photos: Mapping[str, Path]) -> Journal:
    """The journal to continue, or an empty one; `InputError` if outputs exist that no flag allows to replace."""
    if settings.overwrite and settings.resume:
        raise InputError("--overwrite starts over and --resume continues: expected one of them")
    folder = settings.output_dir
    journal = Journal(folder)
    if settings.resume:
        journal.read()
    if settings.overwrite or journal.record:
        return journal
    wanted = [path for name in photos for path in settings.outputs(name).values()]
    present = [path for path in (*wanted, folder / outputs.SUMMARY, journal.path) if outputs.exists(path)]
    if present:
        others = f" and {len(present) - 1} more are" if len(present) > 1 else " is"
        resume = "--resume continues, " if outputs.exists(journal.path) else ""
        raise InputError(f"{printable(present[0])}{others} there already: {resume}--overwrite replaces them")
    return journal


def _done(journal: Journal, seen: Mapping[str, Seen], settings: Settings) -> dict[str, Entry]:
    """The journal entries to keep: unchanged photos with all outputs, and photos of other calls with masks.

    `InputError` if a photo with the name of a different photo would replace its outputs.
    """
    done = {}
    for name, entry in journal.entries.items():
        kinds = settings.kinds if name in seen else ["masks"]
        files = outputs.paths(settings.output_dir, name, kinds).values()
        if all(map(outputs.exists, files)) and (name not in seen or entry.photo.is_unchanged(seen[name])):
            done[name] = entry
    return done


def _summarize(journal: Journal, photos: Mapping[str, Path]) -> None:
    """Write the summary of all photos that are done: first in the order of `photos`, then photos of other calls."""
    names = [name for name in photos if name in journal.entries]
    names += [name for name in journal.entries if name not in photos]
    if names:
        write_csv(journal.path.with_name(outputs.SUMMARY), [journal.entries[name].row for name in names])


callable_command(__name__)

if __name__ == "__main__":
    raise SystemExit(main())
