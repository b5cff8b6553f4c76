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
"""The folders of outputs, and the suffix that each adds to a photo's name."""

SUMMARY = "summary.csv"

JOURNAL = "journal.jsonl"
"""Its first line records the model and settings of the outputs; each further line records a finished photo."""


def paths(folder: Path, name: str, kinds: Iterable[str]) -> dict[str, Path]:
    """Files of a photo's outputs. The name keeps the photo's suffix: a.jpg and a.png are different photos."""
    return {kind: folder / kind / (name + KINDS[kind]) for kind in kinds}


def exists(path: Path) -> bool:
    """Whether the file exists; `OSError` if the name is impossible, for example too long."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def earlier(photo: Path, folder: Path) -> Path | None:
    """The output folder that a picture lies in, below `folder` or any folder with a journal; None if it lies in none.

    Both paths must be resolved.
    """
    for parent in photo.parents:
        if parent.name in KINDS and (parent.parent == folder or (parent.parent / JOURNAL).is_file()):
            return parent
    return None


@dataclasses.dataclass(frozen=True)
class Seen:
    """Resolved path, size and modification time of a photo; -1 if they cannot be read."""

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
        """Whether size and time are the same, at any path; `InputError` if it is another photo of that name."""
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

    A photo's line is added after all its files, so even after a kill every line is true. A line that was cut off is
    ignored: its photo is predicted again.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL
        self.record: dict[str, Any] = {}
        """Model and settings; empty until `read` or `begin` sets them."""
        self.entries: dict[str, Entry] = {}
        """Finished photos by name."""

    def read(self) -> None:
        """Read the journal, if there is one."""
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
