"""Baseline of data_speed.py: a PyTorch `DataLoader` whose workers decode and letterbox photos with Pillow.

    python benchmarks/pillow_loader.py SIZE PHOTO...

Prints the seconds until the first batch, and the photos per second from then on. It runs in a process of its own,
because its workers are forked, and a process with TensorFlow's threads should not be forked.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.utils.data import DataLoader, Dataset

WORKERS, BATCH = 2, 8


class Photos(Dataset):
    """Photos as letterboxed squares, (size, size, 3) uint8."""

    def __init__(self, paths: list[Path], size: int) -> None:
        self.paths = paths
        self.size = (size, size)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.paths[index]) as photo:
            upright = ImageOps.exif_transpose(photo.convert("RGB"))
        return torch.from_numpy(np.array(ImageOps.pad(upright, self.size, Image.Resampling.BILINEAR)))


def main(size: int, paths: list[Path]) -> None:
    start = time.perf_counter()
    batches = iter(DataLoader(Photos(paths, size), batch_size=BATCH, num_workers=WORKERS))
    next(batches)
    first = time.perf_counter()
    for _ in batches:
        pass
    print(first - start, (len(paths) - BATCH) / (time.perf_counter() - first))


if __name__ == "__main__":
    main(int(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
