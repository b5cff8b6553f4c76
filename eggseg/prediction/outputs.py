"""The output folder of `predict`: its files, and the journal from which a stopped call resumes."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from eggseg.errors import InputError, printable
from eggseg.files import write_bytes

KINDS = {"masks": ".png", "overlays": ".png", "probabilities": ".npz", "confidence": ".png", "objects": ".json"}
"""Names of the folders of outputs, and the suffix that the files in each folder add to a photo's name."""

SUMMARY = "summary.csv"

JOURNAL = "journal.jsonl"
"""Name of the journal: its first line records the model and settings, each further line records a finished photo."""


def paths(folder: Path, name: str, kinds: Iterable[str]) -> dict[str, Path]:
    """Paths of a photo's outputs by kind. `name` includes the photo's suffix: a.jpg and a.png are different photos."""
    return {kind: folder / kind / (name + KINDS[kind]) for kind in kinds}


def exists(path: Path) -> bool:
    """Whether the file or link exists; `OSError` if the name is impossible, for example too long."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def earlier(photo: Path, folder: Path) -> Path | None:
    """The folder of outputs that contains a picture; None if there is none.

    This is a folder with a name from `KINDS`, directly in `folder` or in any folder with a journal. Links in `photo`
    and `folder` must be resolved.
    """
    for parent in photo.parents:
        if parent.name in KINDS and (parent.parent == folder or (parent.parent / JOURNAL).is_file()):
            return parent
    return None


@dataclasses.dataclass(frozen=True)
class Seen:
    """Resolved path of a photo, its size and its modification time; the last two are -1 if they cannot be read."""

    path: str
    bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, photo: Path) -> Seen:
        try:
            stat = photo.stat()
        except OSError:  # predicting the photo reports the error
            return cls(os.path.realpath(photo), -1, -1)
        return cls(os.path.realpath(photo), stat.st_size, stat.st_mtime_ns)

    def is_unchanged(self, now: Seen) -> bool:
        """Whether `now` has the same size and time; the path may differ.

        `InputError` if the path differs, and the size or the time too: then `now` is another photo with the same name.
        """
        if (self.bytes, self.mtime_ns) == (now.bytes, now.mtime_ns):
            return True
        if self.path != now.path:
            raise InputError(
                f"{printable(now.path)} would replace the outputs of {printable(self.path)}: "
                "expected photos of other names, or another --output_dir"
            )
        return False


@dataclasses.dataclass(frozen=True)
class Entry:
    """A finished photo, and its row of the summary."""

    photo: Seen
    row: dict[str, Any]


class Journal:
    """Record of an output folder: the model, the settings, and the finished photos.

    A photo's line is added after all files of the photo are written, so every line is true even if the process is
    killed. A line that was cut off is ignored, and its photo is predicted again.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL
        self.record: dict[str, Any] = {}
        """Model and settings; empty until `read` or `begin` sets them."""
        self.entries: dict[str, Entry] = {}
        """Finished photos by name."""

    def read(self) -> None:
        """Read the journal if it exists; `InputError` if the file is not a journal."""
        if not exists(self.path):
            return
        first, *lines = self.path.read_bytes().split(b"\n")
        try:
            self.record = dict(json.loads(first))
        except (ValueError, TypeError):
            raise InputError(f"{self.path} is not a journal of eggseg predict: --overwrite replaces it") from None
        for line in lines:
            try:
                value = json.loads(line)
                entry = Entry(Seen(**value["photo"]), value["row"])
                self.entries[entry.row["file"]] = entry
            except (ValueError, TypeError, KeyError):
                continue

    def begin(self, record: Mapping[str, Any], entries: Mapping[str, Entry]) -> None:
        """Write a new journal with `record` and the entries to keep."""
        self.record, self.entries = dict(record), dict(entries)
        write_bytes(self.path, b"".join(map(_line, [self.record, *map(dataclasses.asdict, entries.values())])))

    def expect(self, record: Mapping[str, Any]) -> None:
        """`InputError` if the outputs were made by another model or with other settings."""
        for name, value in record.items():
            if self.record.get(name, value) != value:
                raise InputError(
                    f"{self.path.parent} was made with {name} {self.record[name]}, now it is {value}: "
                    "expected the same, another --output_dir, or --overwrite"
                )

    def add(self, entry: Entry) -> None:
        self.entries[entry.row["file"]] = entry
        with self.path.open("ab") as file:
            file.write(_line(dataclasses.asdict(entry)))


def _line(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value) + "\n").encode()
