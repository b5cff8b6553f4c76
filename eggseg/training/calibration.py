"""Calibration of the exported probabilities by temperature scaling (Guo et al. 2017, arXiv 1706.04599).

The logits are divided by one number, the temperature, so that a pixel with a probability of 0.9 is right nine times out
of ten on the validation photos. No class changes.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from eggseg.data.squares import Squares

PHOTOS, PIXELS = 40, 2000
"""Largest number of photos, spread over all, and of known pixels of each that the temperature is computed from."""

RANGE = (0.05, 20.0)
"""Smallest and largest factor of the logits, the inverse of the temperature."""


def calibrate(network: keras.Model, squares: Squares, indices: Sequence[int], tta: bool = False) -> float:
    """Scale the network's last layer by the best factor on the photos at `indices`; return the temperature.

    With `tta`, the logits are averaged over each photo and its mirror image, as in the exported model. The temperature
    is 1 if the photos have no known pixel.
    """
    rng = np.random.default_rng(0)
    logits, truth = [np.zeros((0, network.output_shape[-1]))], [np.zeros(0, np.uint8)]
    for index in indices[:: -(-len(indices) // PHOTOS) or 1]:
        pixels = squares.at(index)
        known = np.flatnonzero(pixels[..., 3] < network.output_shape[-1])
        chosen = rng.permutation(known)[:PIXELS]
        views = pixels[None, ..., :3].astype(np.float32)
        scores = network(np.concatenate([views, views[:, :, ::-1]]) if tta else views, training=False).numpy()
        scores = (scores[0] + scores[1, :, ::-1]) / 2 if tta else scores[0]
        logits.append(np.reshape(scores, (-1, scores.shape[-1]))[chosen])
        truth.append(pixels[..., 3].ravel()[chosen])
    factor = best_factor(np.concatenate(logits), np.concatenate(truth))
    scale(network, factor)
    return 1 / factor


def scale(network: keras.Model, factor: float) -> None:
    """Multiply the network's logits by a factor, in its last layer."""
    head = network.get_layer("head")
    head.set_weights([factor * weights for weights in head.get_weights()])


def best_factor(logits: np.ndarray, truth: np.ndarray) -> float:
    """The factor of `logits`, (n, classes), in `RANGE`, with the least cross-entropy to `truth`, (n,) class ids.

    The cross-entropy is convex in the factor, so its slope is bisected. 1 if n is 0.
    """
    if not len(truth):
        return 1.0
    logits = logits.astype(np.float64)
    of_truth = logits[np.arange(len(truth)), truth]

    def slope(factor: float) -> float:
        scaled = factor * logits
        weights = np.exp(scaled - scaled.max(-1, keepdims=True))
        return float(np.mean((weights * logits).sum(-1) / weights.sum(-1) - of_truth))

    low, high = np.log(RANGE)
    for _ in range(40):
        middle = (low + high) / 2
        if slope(np.exp(middle)) < 0:
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))
