"""One photo of a request: its size, and its mask."""

from __future__ import annotations

import io

import numpy as np
import tensorflow as tf

from eggseg.exported.endpoint import BadRequest
from eggseg.exported.saved_model import Segmenter
from eggseg.pictures import headers, pillow
from eggseg.pictures.pillow import PictureError
from eggseg.serving.turns import Answer


class Masks:
    """Predicts masks of encoded photos of at most `max_pixels` pixels. Its methods are thread-safe."""

    def __init__(self, segmenter: Segmenter, max_pixels: int) -> None:
        self.segmenter = segmenter
        self.max_pixels = min(max_pixels, segmenter.max_pixels)
        # A graph: eager execution takes milliseconds, during which it holds the GIL.
        self._shape = tf.function(headers.shape, input_signature=[tf.TensorSpec((), tf.string)])

    def pixels(self, photo: bytes) -> int:
        """Number of pixels of an encoded photo, from its header; `BadRequest` if too large or unreadable."""
        # The graph decodes the photo, so first read the header with the graph's code. Pillow reads other formats.
        try:
            height, width = self._shape(tf.constant(photo)).numpy().tolist()
        except tf.errors.OpError:
            height = width = 0
        if not height or not width:
            try:
                with pillow.opened(io.BytesIO(photo), self.max_pixels) as picture:
                    width, height = picture.size
            except PictureError as error:
                raise _refused(error) from None
        if height * width > self.max_pixels:
            raise _refused(pillow.TooLarge(width, height, self.max_pixels))
        return height * width

    def segment(self, photo: bytes) -> Answer:
        """Predict the mask of an encoded photo, with the signature `serving_default`; `BadRequest` if it is damaged.

        If the graph cannot decode the photo, Pillow decodes it, and the signature `class_ids` predicts the mask.
        """
        try:
            out = self.segmenter.signatures["serving_default"](image_bytes=tf.constant([photo]))
            return out["mask_bytes"].numpy()[0], out["class_pixels"].numpy()[0].tolist()
        except tf.errors.InvalidArgumentError:
            pass
        try:
            frame, _ = pillow.decode(photo, self.max_pixels)
        except PictureError as error:
            raise _refused(error) from None
        classes = self.segmenter.classes
        ids = self.segmenter.class_ids(frame)
        counts = np.bincount(ids.ravel(), minlength=len(classes)).tolist()
        return pillow.png(classes.paint(ids)), counts


def _refused(error: PictureError) -> BadRequest:
    return BadRequest(413 if isinstance(error, pillow.TooLarge) else 400, f"the photo {error}")
