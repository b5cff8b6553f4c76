"""Baseline of data_speed.py: a PyTorch `DataLoader` whose workers decode and letterbox photos, and masks, with Pillow.

    python benchmarks/pillow_loader.py SIZE PHOTO... [--masks MASK...]

A mask becomes class ids by a lookup table of the default classes, without a report of its values. Prints the seconds
until the first batch, and the photos per second from then on. It runs in a process of its own, because its workers are
forked, and a process with TensorFlow's threads should not be forked.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.utils.data import DataLoader, Dataset

WORKERS, BATCH = 2, 8
IDS = [int(value > 64) + int(value > 192) for value in range(256)]
"""Nearest class of each grey value, of 0, 128 and 255."""


class Squares(Dataset):
    """Photos, and their masks if there are any, as letterboxed squares, (size, size, 3 or 4) uint8."""

    def __init__(self, photos: list[Path], masks: list[Path], size: int) -> None:
        self.photos = photos
        self.masks = masks
        self.size = (size, size)

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.photos[index]) as photo:
            upright = ImageOps.exif_transpose(photo.convert("RGB"))
        square = np.array(ImageOps.pad(upright, self.size, Image.Resampling.BILINEAR))
        if self.masks:
            with Image.open(self.masks[index]) as mask:
                ids = ImageOps.exif_transpose(mask.convert("L")).point(IDS)
            padded = np.array(ImageOps.pad(ids, self.size, Image.Resampling.NEAREST, color=255))
            square = np.concatenate([square, padded[..., None]], -1)
        return torch.from_numpy(square)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("size", type=int, help="side of the square, pixels")
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--masks", type=Path, nargs="*", default=[])
    args = parser.parse_args()
    start = time.perf_counter()
    batches = iter(DataLoader(Squares(args.photos, args.masks, args.size), batch_size=BATCH, num_workers=WORKERS))
    next(batches)
    first = time.perf_counter()
    for _ in batches:
        pass
    print(first - start, (len(args.photos) - BATCH) / (time.perf_counter() - first))


if __name__ == "__main__":
    main()
