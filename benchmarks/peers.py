"""Prediction as one writes it around a network in PyTorch or ONNX Runtime, with Pillow: what eggseg is compared with.

Photo by photo: decode, letterbox, network, scores back to the photo's size, best class, mask file. Nothing here knows
of TensorFlow, so that the memory which this takes is its own.
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
    """Write the mask of each photo to `folder`; `size` is the network's, `values` (classes,) those of a mask."""
    for path in photos:
        with Image.open(path) as picture:
            photo = ImageOps.exif_transpose(picture).convert("RGB")
        scale = size / max(photo.size)
        width, height = (max(1, round(length * scale)) for length in photo.size)
        top, left = (size - height) // 2, (size - width) // 2
        square = np.zeros((size, size, 3), np.float32)
        square[top : top + height, left : left + width] = photo.resize((width, height), Image.Resampling.BILINEAR)
        with torch.inference_mode():
            # A view: its memory is as `channels_last` has it.
            logits = network(torch.from_numpy(square).permute(2, 0, 1)[None])
            inner = logits[:, :, top : top + height, left : left + width]
            scores = functional.interpolate(inner, photo.size[::-1], mode="bilinear")
            ids = scores.argmax(1)[0].to(torch.uint8).numpy()
        Image.fromarray(values[ids]).save(folder / f"{path.name}.png", compress_level=1)
