"""The folder that `predict` writes: which files, and the journal by which a call that was stopped goes on."""

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
"""The folders of outputs, and what is added there to a photo's name."""

SUMMARY = "summary.csv"

JOURNAL = "journal.jsonl"
"""Its first line says which model and settings made the outputs; each further one tells of a photo that is done."""


def paths(folder: Path, name: str, kinds: Iterable[str]) -> dict[str, Path]:
    """The files that a photo's outputs go to. The photo's own ending stays: a.jpg and a.png are different photos."""
    return {kind: folder / kind / (name + KINDS[kind]) for kind in kinds}


def exists(path: Path) -> bool:
    """Whether there is a file of that name; `OSError` where there can be none, as with a name that is too long."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def earlier(photo: Path, folder: Path) -> Path | None:
    """The folder of outputs that a picture lies in: of `folder`, or of any other that has a journal; None if in none.

    Both paths are resolved.
    """
    for parent in photo.parents:
        if parent.name in KINDS and (parent.parent == folder or (parent.parent / JOURNAL).is_file()):
            return parent
    return None


@dataclasses.dataclass(frozen=True)
class Seen:
    """A photo as it was when it was looked at."""

    path: str
    bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, photo: Path) -> Seen:
        try:
            stat = photo.stat()
        except OSError:  # it is told when it is read
            return cls(os.path.realpath(photo), -1, -1)
        return cls(os.path.realpath(photo), stat.st_size, stat.st_mtime_ns)

    def is_unchanged(self, now: Seen) -> bool:
        """Whether the photo is the same still; moved or not. `InputError` where it is another one of the same name."""
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
    """A photo that is done, and its row of the summary."""

    photo: Seen
    row: dict[str, Any]


class Journal:
    """What was made in a folder of outputs, by which model and settings, photo by photo.

    A photo's line is added when all its files are there, so after a kill at any moment no line says too much. One that
    was cut off is passed over: that photo is done again.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL
        self.record: dict[str, Any] = {}
        """Model and settings; nothing before it has begun."""
        self.entries: dict[str, Entry] = {}
        """By the names of the photos."""

    def read(self) -> None:
        """Read what is there, if anything is."""
        if not exists(self.path):
            return
        first, *lines = self.path.read_bytes().split(b"\n")
        try:
            self.record = dict(json.loads(first))
        except (ValueError, TypeError):
            raise InputError(f"{self.path} is no journal of eggseg predict: --overwrite replaces it") from None
        for line in lines:
            try:
                value = json.loads(line)
                entry = Entry(Seen(**value["photo"]), value["row"])
                self.entries[entry.row["file"]] = entry
            except (ValueError, TypeError, KeyError):
                continue

    def begin(self, record: Mapping[str, Any], entries: Mapping[str, Entry]) -> None:
        """Begin anew, with that record and what stays of the entries."""
        self.record, self.entries = dict(record), dict(entries)
        write_bytes(self.path, b"".join(map(_line, [self.record, *map(dataclasses.asdict, entries.values())])))

    def expect(self, record: Mapping[str, Any]) -> None:
        """`InputError` where the outputs were made by another model or other settings."""
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
