"""Baselines of predict_speed.py: prediction around a network in PyTorch or ONNX Runtime, with Pillow.

For each photo: decode, letterbox, network, scores resized to the photo's size, argmax, mask file. This module does not
import TensorFlow, so that its memory use can be measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.nn import functional

Network = Callable[[torch.Tensor], torch.Tensor]
"""From (1, 3, size, size) float32, 0..255, to logits (1, classes, size, size) float32."""


def torch_float32(folder: Path) -> Network:
    return torch.load(folder / "twin.pt", weights_only=False)


def torch_bfloat16(folder: Path) -> Network:
    module = torch.load(folder / "twin.pt", weights_only=False)

    def call(image: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return module(image)

    return call


def onnx_float32(folder: Path) -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # the cores that this process may use
    session = onnxruntime.InferenceSession(folder / "twin.onnx", options, providers=["CPUExecutionProvider"])
    return lambda image: torch.from_numpy(session.run(None, {"image": image.contiguous().numpy()})[0])


def predict(network: Network, photos: Sequence[Path], folder: Path, size: int, values: np.ndarray) -> None:
    """Write the mask of each photo to `folder`; `size` is the network's, `values` (classes,) are the mask values."""
    for path in photos:
        with Image.open(path) as picture:
            photo = ImageOps.exif_transpose(picture).convert("RGB")
        scale = size / max(photo.size)
        width, height = (max(1, round(length * scale)) for length in photo.size)
        top, left = (size - height) // 2, (size - width) // 2
        square = np.zeros((size, size, 3), np.float32)
        square[top : top + height, left : left + width] = photo.resize((width, height), Image.Resampling.BILINEAR)
        with torch.inference_mode():
            # A view, in the `channels_last` layout.
            logits = network(torch.from_numpy(square).permute(2, 0, 1)[None])
            inner = logits[:, :, top : top + height, left : left + width]
            scores = functional.interpolate(inner, photo.size[::-1], mode="bilinear")
            ids = scores.argmax(1)[0].to(torch.uint8).numpy()
        Image.fromarray(values[ids]).save(folder / f"{path.name}.png", compress_level=1)
