"""Atomic writes, so that files appear whole or not at all; parsing, hashing, and the cache folder."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from eggseg.errors import InputError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file next to `path`: it replaces `path` if the block succeeds, and is deleted if the block fails.

    The temporary name ends like that of `path`, because writers choose the format by the suffix.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{secrets.token_hex(4)}-{path.name[-60:]}"
    try:
        # Not with `tempfile`, whose files are private: here the permissions follow the umask, as for any new file.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        # The error of a full disk does not name the file.
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def inside(folder: Path, name: str) -> Path:
    """The path of a file in a folder; `InputError` if `name` leads out of the folder."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{name!r} leads out of {folder}")
    return path


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def link(path: Path, target: Path) -> None:
    """Make the file at `path` available at `target` too: as a hard link, or as a copy if hard links fail."""
    if target.exists() and target.samefile(path):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(path.resolve(), target)
    except OSError:
        with replacing(target) as temporary:
            shutil.copyfile(path, temporary)


def digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """The JSON value in a file; `InputError` if it cannot be read."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from None


@contextlib.contextmanager
def parsing(path: Path) -> Iterator[None]:
    """Wrap code that parses a file: failures become an `InputError` with `path`, except `OSError` with a file name."""
    try:
        yield
    except Exception as error:  # parsers may raise anything for a damaged file
        if isinstance(error, OSError) and error.filename:
            raise
        missing = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        reason = next(iter(missing.strip().splitlines()), type(error).__name__)
        raise InputError(f"{path} is damaged or of another kind: {reason}") from None


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON to `path`, whole or not at all. NaN becomes null."""
    write_bytes(path, (json.dumps(_plain(value), indent=2, allow_nan=False) + "\n").encode())


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV to `path`, whole or not at all. All rows have the columns of the first.

    A text that a spreadsheet could take for a formula gets a leading `'`, and so does a text that begins with `'`.
    Removing one leading `'` restores the text. Numbers stay numbers.
    """
    lines = [list(rows[0]), *([row[name] for name in rows[0]] for row in rows)]
    text = "".join(map(_csv_line, lines))
    write_bytes(path, text.encode(errors="surrogateescape"))


def cache() -> Path:
    """The user's cache folder, for files that can be made again.

    Without a writable home, this is a folder in the temporary folder; `InputError` if other users can write there.
    """
    with contextlib.suppress(OSError, RuntimeError):
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eggseg"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    folder = Path(tempfile.gettempdir(), f"eggseg-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    # A cached model can contain code: never load one that another user may have put there.
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise InputError(f"{folder} can be written by others: set XDG_CACHE_HOME to a folder of your own")
    return folder


def _csv_line(cells: Sequence[Any]) -> str:
    """A line of CSV. A cell with a carriage return is quoted, because readers take this character for a line end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow([_no_formula(cell) for cell in cells])
    return text.getvalue().removesuffix("\r\n") + "\n"


def _no_formula(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(tuple("=+-@\t\r\n'")) else cell


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value != value:
        return None
    return value
