"""Segment Anything (Kirillov et al. 2023, arXiv 2304.02643) in ONNX Runtime.

The model is in two ONNX files, encoder and decoder, as the common export writes them.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from eggseg.errors import InputError, missing_extra

SIDE = 1024
"""Side of the encoder's square, pixels; the photo lies in its upper left corner."""

MASK = 256
"""Side of the decoder's masks, pixels; a mask covers the encoder's square."""

PROMPT = {
    "image_embeddings",
    "point_coords",
    "point_labels",
    "mask_input",
    "has_mask_input",
    "orig_im_size",
}
"""Inputs of a decoder in the common export."""

MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Mean and standard deviation of ImageNet's red, green and blue."""


class SegmentAnything:
    """An encoder of photos, and a decoder that gives the mask of the object under a point.

    `InputError` if ONNX Runtime is not installed, or if a file is not a model with the expected inputs.
    """

    def __init__(self, encoder: Path, decoder: Path) -> None:
        try:
            import onnxruntime
        except ModuleNotFoundError:
            raise missing_extra("Segment Anything", "labelfree") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = os.cpu_count() or 1
        sessions = []
        for path in (encoder, decoder):
            try:
                sessions.append(
                    onnxruntime.InferenceSession(path, options, providers=onnxruntime.get_available_providers())
                )
            except Exception as error:  # ONNX Runtime's errors share no base class
                raise InputError(f"{path} is no ONNX model that can be loaded: {str(error).splitlines()[0]}") from None
        self.encoder, self.decoder = sessions
        picture, prompt = ({argument.name for argument in session.get_inputs()} for session in sessions)
        if len(picture) != 1:
            raise InputError(f"{encoder} is no encoder: it takes {', '.join(sorted(picture))}, expected one picture")
        if prompt != PROMPT:
            inputs, expected = (", ".join(sorted(names)) for names in (prompt, PROMPT))
            raise InputError(f"{decoder} is no decoder of the common export: it takes {inputs}, expected {expected}")

    def embed(self, image: np.ndarray) -> np.ndarray:
        """The embedding (256, 64, 64) float32 of a photo (h, w, 3) uint8."""
        scale = SIDE / max(image.shape[:2])
        height, width = (max(1, round(scale * side)) for side in image.shape[:2])
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        square = np.zeros((SIDE, SIDE, 3), np.float32)
        square[:height, :width] = (cv2.resize(image, (width, height), interpolation=method) - MEAN) / DEVIATION
        (name,) = (argument.name for argument in self.encoder.get_inputs())
        return self.encoder.run(None, {name: square.transpose(2, 0, 1)[None]})[0][0]

    def masks(self, embedding: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The mask under each of `points` (n, 2), x and y as shares of the photo's long side.

        Returns logits (n, 256, 256) float32 over the encoder's square, above 0 inside the mask; and the IoU with the
        truth that the decoder predicts for each mask, (n,) float32.
        """
        logits, expected = np.empty((len(points), MASK, MASK), np.float32), np.empty(len(points), np.float32)
        fixed = {
            "image_embeddings": embedding[None],
            "point_labels": np.array([[1, -1]], np.float32),
            "mask_input": np.zeros((1, 1, MASK, MASK), np.float32),
            "has_mask_input": np.zeros(1, np.float32),
            # The decoder also resizes its masks to this size. The resized masks are not used: a small size saves time.
            "orig_im_size": np.array([8, 8], np.float32),
        }
        for i, point in enumerate(points):
            # Without a box, the export takes a second point with label -1 as padding.
            coordinates = np.array([[SIDE * point, (0, 0)]], np.float32)
            prompt = fixed | {"point_coords": coordinates}
            quality, low = (value[0] for value in self.decoder.run(["iou_predictions", "low_res_masks"], prompt))
            # If there are several masks, the first is for prompts of many points. For one point, take the best of the
            # other masks.
            best = 0 if len(quality) == 1 else 1 + quality[1:].argmax()
            expected[i], logits[i] = quality[best], low[best]
        return logits, expected
