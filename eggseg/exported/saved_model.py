"""The exported graph from photo bytes to mask bytes: writing its SavedModel, and loading it.

    bytes -> decode -> letterbox -> network -> restore -> argmax -> mask values -> PNG

Evaluation after training, the command line and serving all run this graph, so they treat every photo alike.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from eggseg.data.classes import ClassTable
from eggseg.devices import hardware
from eggseg.errors import InputError
from eggseg.files import digest, parsing, read_json
from eggseg.models.normalization import folded
from eggseg.pictures import pillow
from eggseg.pictures.decoding import decode
from eggseg.pictures.geometry import letterbox, restore_in_bands
from eggseg.pictures.limits import MAX_PIXELS

SETTINGS = "eggseg.json"
"""Name of the SavedModel's asset that holds class table and settings."""

SIGNATURES = ("serving_default", "pixels", "class_ids", "decode")

PARALLEL_PHOTOS = 2
"""Number of photos of one request processed at a time: one takes about 6 bytes per pixel, at most 500 MB by default."""


class Graph(tf.Module):
    """The signatures of the SavedModel: decode photos, run the network, encode masks."""

    def __init__(
        self, network: keras.Model, classes: ClassTable, *, tta: bool = False, max_pixels: int = MAX_PIXELS
    ) -> None:
        super().__init__()
        self.network = network
        self.classes = classes
        self.tta = tta
        self.max_pixels = max_pixels

    def scores(self, image: tf.Tensor) -> tf.Tensor:
        """Letterbox a photo, (h, w, 3) uint8, and compute its logits, (size, size, classes) float32."""
        square = tf.cast(letterbox(image, self.network.input_shape[1]), tf.float32)
        views = tf.stack([square, square[:, ::-1]]) if self.tta else square[None]
        scores = self.network(views, training=False)
        return (scores[0] + scores[1, :, ::-1]) / 2 if self.tta else scores[0]

    @tf.function(input_signature=[tf.TensorSpec((), tf.string, "image_bytes")])
    def decode(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"image": decode(image_bytes, max_pixels=self.max_pixels)}

    @tf.function(input_signature=[tf.TensorSpec((None, None, 3), tf.uint8, "image")])
    def class_ids(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        (ids,) = self._restored(image, lambda logits: (_largest(logits),), (tf.uint8,))
        return {"class_ids": ids}

    @tf.function(input_signature=[tf.TensorSpec((None, None, 3), tf.uint8, "image")])
    def pixels(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        def ids_and_probabilities(logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return _largest(logits), tf.nn.softmax(logits)

        ids, probabilities = self._restored(image, ids_and_probabilities, (tf.uint8, tf.float32))
        return {"class_ids": ids, "probabilities": probabilities}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "image_bytes")])
    def serve(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        count = len(self.classes)

        def mask_and_pixels(logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            ids = tf.cast(_largest(logits), tf.int32)
            pixels = tf.math.bincount(tf.reshape(ids, [-1]), minlength=count)
            return tf.gather(self.classes.value_of_id, ids), tf.cast(pixels, tf.int64)[None]

        def segment(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            mask, pixels = self._restored(self.decode(data)["image"], mask_and_pixels, (tf.uint8, tf.int64))
            return tf.io.encode_png(mask), tf.reduce_sum(pixels, 0)

        # Photo by photo: sizes differ, and a mask must not depend on the other photos of the request.
        masks, counts = tf.map_fn(
            segment,
            image_bytes,
            fn_output_signature=(tf.TensorSpec((), tf.string), tf.TensorSpec((count,), tf.int64)),
            parallel_iterations=PARALLEL_PHOTOS,
        )
        return {"mask_bytes": masks, "class_pixels": counts}

    def _restored(self, image: tf.Tensor, of_band: Callable[..., tuple[tf.Tensor, ...]], types: Any) -> Any:
        """Apply `of_band` to the logits at the photo's size, band by band; join the outputs, of dtypes `types`."""
        height, width = tf.unstack(tf.shape(image)[:2])
        return restore_in_bands(self.scores(image), height, width, of_band, types)


def _largest(logits: tf.Tensor) -> tf.Tensor:
    """Argmax: (..., classes) float32 to class ids (...) uint8."""
    return tf.cast(tf.argmax(logits, -1), tf.uint8)


def save(
    network: keras.Model,
    classes: ClassTable,
    settings: dict[str, Any],
    folder: Path,
    *,
    tta: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> None:
    """Write the SavedModel of a float32 network to `folder`, whole or not at all; an earlier one is replaced.

    Batch normalisation is folded into the convolutions. With `tta`, test-time augmentation, the model averages the
    logits of each photo and of its mirror image. The model refuses photos of more than `max_pixels` pixels.
    `ValueError` if the network computes in another precision.
    """
    if network.compute_dtype != "float32":
        raise ValueError(f"the exported network computes in float32, this one in {network.compute_dtype}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as temporary:
        asset = Path(temporary, SETTINGS)
        settings = settings | {"max_pixels": max_pixels}
        asset.write_text(json.dumps({"classes": classes.to_json(), "settings": settings}, indent=2))
        graph = Graph(folded(network), classes, tta=tta, max_pixels=max_pixels)
        graph.settings = tf.saved_model.Asset(str(asset))
        signatures = {
            "serving_default": graph.serve,
            "pixels": graph.pixels,
            "class_ids": graph.class_ids,
            "decode": graph.decode,
        }
        new, old = Path(temporary, "new"), Path(temporary, "old")
        tf.saved_model.save(graph, str(new), signatures=signatures)
        new.chmod(0o755)
        if folder.exists():
            shutil.move(folder, old)
        new.rename(folder)


@dataclasses.dataclass(frozen=True)
class Segmenter:
    """A loaded model; call it with a frame, a photo as (h, w, 3) uint8 RGB."""

    classes: ClassTable
    settings: dict[str, Any]
    precision: str
    signatures: dict[str, Any]

    def __call__(self, frame: np.ndarray | tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Segment a frame, (h, w, 3) uint8 RGB; `ValueError` if it has another shape or dtype.

        The results are class ids, (h, w) uint8, and probabilities, (h, w, classes) float32.
        """
        out = self.signatures["pixels"](image=_frame(frame))
        return out["class_ids"].numpy(), out["probabilities"].numpy()

    def class_ids(self, frame: np.ndarray | tf.Tensor) -> np.ndarray:
        """Class ids of a frame, (h, w) uint8: as in a call, but without the cost of the probabilities."""
        return self.signatures["class_ids"](image=_frame(frame))["class_ids"].numpy()

    @property
    def max_pixels(self) -> int:
        """Pixels of the largest photo to segment: `max_pixels` of `load`, or the model's own limit."""
        return self.settings["max_pixels"]

    def decode(self, data: bytes) -> np.ndarray:
        """Decode the bytes of a photo to an upright frame, (h, w, 3) uint8 RGB; `pillow.PictureError` if that fails.

        The exported graph decodes the photo. Pillow decodes what the graph refuses, such as other formats.
        """
        return self.decode_to_tensor(data).numpy()

    def decode_to_tensor(self, data: bytes) -> tf.Tensor:
        """Like `decode`, but returns a tensor: this saves two copies of a large photo on its way to the network."""
        try:
            return self.signatures["decode"](image_bytes=tf.constant(data))["image"]
        except tf.errors.OpError:
            return tf.constant(pillow.decode(data, self.max_pixels)[0])


def _frame(frame: np.ndarray | tf.Tensor) -> tf.Tensor:
    if frame.ndim != 3 or frame.shape[-1] != 3 or frame.dtype != np.uint8 or 0 in frame.shape:
        raise ValueError(f"frame is {frame.shape} {frame.dtype}, expected (height, width, 3) uint8 RGB")
    return tf.constant(frame)


def load(
    path: str | Path,
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    max_pixels: int | None = None,
) -> Segmenter:
    """Load a trained model from a run folder, its `saved_model`, or the folder `1` in `saved_model`.

    `max_pixels` replaces the model's own limit. Pillow decodes photos above the limit of the exported graph; `decode`
    does not enforce a `max_pixels` below that limit. `InputError` if there is no model, or a damaged one.

    `auto` computes in bfloat16 on a processor that supports it, in float32 on GPUs and other processors. The precision
    holds for the whole process: the model loaded last decides for all models that have not run yet.
    """
    folder = find(Path(path))
    if precision == "auto":
        precision = "bfloat16" if not hardware.gpus() and hardware.cpu_has_bfloat16() else "float32"
    hardware.rewrite_to_bfloat16(precision == "bfloat16")
    classes, settings = described(folder)
    if max_pixels is not None:
        settings = settings | {"max_pixels": max_pixels}
    try:
        loaded = dict(tf.saved_model.load(str(folder)).signatures)
        signatures = {name: loaded[name] for name in SIGNATURES}
    except Exception:  # TensorFlow raises all kinds of exceptions for damaged files
        damaged = _damaged(folder)
        raise InputError(f"{damaged} is damaged or of another kind: export the model again, or copy it anew") from None
    return Segmenter(classes, settings, precision, signatures)


def described(folder: Path) -> tuple[ClassTable, dict[str, Any]]:
    """Class table and settings of the model in a folder from `find`; `InputError` if they cannot be read."""
    path = folder / "assets" / SETTINGS
    content = read_json(path)
    with parsing(path):
        return ClassTable.from_json(content["classes"]), {"max_pixels": MAX_PIXELS} | content["settings"]


def _damaged(folder: Path) -> Path:
    """The damaged file of a model that TensorFlow cannot load: saved_model.pb if the weights can be read."""
    path = folder / "variables" / "variables"
    index, data = path.with_suffix(".index"), path.with_suffix(".data-00000-of-00001")
    try:
        stored = tf.train.load_checkpoint(str(path))
        names = stored.get_variable_to_shape_map()
    except Exception:
        return index
    try:
        for name in names:
            stored.get_tensor(name)
    except Exception:
        return data
    return folder / "saved_model.pb"


def fingerprint(folder: Path) -> str:
    """Hash of names and contents of all files in a folder from `find`, 16 hexadecimal digits."""
    content = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content.update(f"{path.relative_to(folder).as_posix()} {digest(path)}\n".encode())
    return content.hexdigest()[:16]


def find(path: Path) -> Path:
    """The folder with `saved_model.pb`; `InputError` if there is none.

    `path` is a run folder, its `saved_model`, or the folder `1` in `saved_model`.
    """
    for folder in (path, path / "1", path / "saved_model" / "1"):
        if (folder / "saved_model.pb").is_file() and (folder / "assets" / SETTINGS).is_file():
            return folder
    raise InputError(f"{path} holds no model: expected a run folder with saved_model/1/, or that folder itself")
