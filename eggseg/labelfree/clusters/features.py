"""Features for k-means: a vector for each pixel of the letterboxed square, or for each cell of a coarser grid."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import cv2
import keras
import numpy as np
import tensorflow as tf

from eggseg.data.classes import ClassTable
from eggseg.errors import InputError
from eggseg.files import parsing, read_json
from eggseg.labelfree.clusters import weights as weights_of_sam
from eggseg.labelfree.clusters.segment_anything import SegmentAnything
from eggseg.models import encoders
from eggseg.training import building
from eggseg.training.callbacks import AVERAGED
from eggseg.training.config import CONFIG, NETWORK, Config

Features = Callable[[np.ndarray], np.ndarray]
"""A function from a square image, (size, size, 3) uint8, to features, (grid, grid, d) float32."""

WINDOWS = (5, 15)
"""Sides of the windows in which texture is measured, pixels."""

COARSEST = 32
"""Largest side of a cell, in pixels, for network features. Levels with larger cells are not used."""


def pixels(square: np.ndarray) -> np.ndarray:
    """Features of each pixel, (size, size, 7) float32: colour in CIELAB (3), texture (2) and position (2).

    Texture is log(1 + standard deviation of the lightness) in a window of each side in `WINDOWS`. Position is row and
    column, from -0.5 to 0.5.
    """
    lab = cv2.cvtColor(square.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    light = lab[..., 0]
    texture = []
    for side in WINDOWS:
        mean, squares = (cv2.blur(part, (side, side)) for part in (light, light**2))
        texture.append(np.log1p(np.sqrt(np.maximum(squares - mean**2, 0))))
    rows, columns = np.mgrid[: len(square), : len(square)].astype(np.float32) / len(square) - 0.5
    return np.dstack([lab, *texture, rows, columns]).astype(np.float32)


def pixel_weights(position: float, texture: float) -> np.ndarray:
    """Weights (7,) float32 of the features of `pixels`, for `centers.fit`."""
    return np.array([1, 1, 1, *[texture] * len(WINDOWS), position, position], np.float32)


def of_network(source: str, weights: str, size: int) -> Features:
    """Features of `source`: the name of an encoder, a run folder, or sam for Segment Anything's encoder.

    If `source` is an encoder, `weights` are its weights: imagenet, or a file. The features of an encoder or a run are
    those of the two coarsest levels whose cells are at most `COARSEST` pixels wide. The features of each level are
    scaled to length 1, resized to the finer of the two grids, and concatenated. `InputError` if `source` is not one of
    these, or if weights cannot be fetched or read.
    """
    if source == "sam":
        return functools.partial(_segment_anything, SegmentAnything(*weights_of_sam.fetch()))
    network = _of_run(Path(source), size) if Path(source, CONFIG).is_file() else _of_encoder(source, weights, size)
    return functools.partial(_deep, network)


def _of_encoder(name: str, weights: str, size: int) -> keras.Model:
    if name not in encoders.NAMES:
        raise InputError(
            f"--features is {name}, expected a run folder, sam, or an encoder: {', '.join(encoders.NAMES)}"
        )
    encoder = encoders.build(name, size, pretrained=True)
    encoders.load(encoder, name, weights)
    return _coarsest(encoder.input, encoder.outputs, size)


def _of_run(run: Path, size: int) -> keras.Model:
    """The encoder of a run's network; `_coarsest` chooses its outputs from the skip connections and the bottom."""
    record = read_json(run / CONFIG)
    if "settings" not in record:
        raise InputError(f"--features {run} is no run folder of eggseg.train: its {CONFIG} has no settings")
    with parsing(run / CONFIG):
        config = Config(**{name: record["settings"][name] for name in NETWORK} | {"image_size": size})
        classes = ClassTable.from_json(record["classes"])
    network = building.network(config, classes)
    with parsing(run / AVERAGED):
        network.load_weights(run / AVERAGED)
    joins = [layer for layer in network.layers if layer.name.startswith("join")]
    bottom = network.get_layer(f"up{len(joins) - 1}").input
    return _coarsest(network.input, [*(layer.input[0] for layer in joins), bottom], size)


def _coarsest(inputs: keras.KerasTensor, features: list[keras.KerasTensor], size: int) -> keras.Model:
    """The model from `inputs` to the two coarsest of `features` whose cells are at most `COARSEST` pixels wide."""
    cells = {feature.shape[1]: feature for feature in features if feature.shape[1] * COARSEST >= size}
    coarse = sorted(cells, reverse=True)[-2:]
    return keras.Model(inputs, [cells[cell] for cell in coarse])


def _segment_anything(model: SegmentAnything, square: np.ndarray) -> np.ndarray:
    seen = model.embed(square).transpose(1, 2, 0)
    return seen / np.maximum(np.linalg.norm(seen, axis=-1, keepdims=True), 1e-6)


def _deep(network: keras.Model, square: np.ndarray) -> np.ndarray:
    levels = network(square[None].astype(np.float32), training=False)
    grid = levels[0].shape[1]
    parts = []
    for feature in levels:
        unit = tf.math.l2_normalize(tf.cast(feature, tf.float32), axis=-1)
        parts.append(tf.image.resize(unit, (grid, grid))[0])
    return tf.concat(parts, -1).numpy()
