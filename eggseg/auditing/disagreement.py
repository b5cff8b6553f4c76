"""Photos whose labels a trained model disputes, by confident learning (Northcutt et al. 2021, arXiv 1911.00068)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from eggseg.auditing.inspection import THUMBNAIL
from eggseg.data import labelled
from eggseg.data.classes import ClassTable
from eggseg.data.findings import Finding
from eggseg.data.pairs import Pair, summary
from eggseg.errors import InputError, printable
from eggseg.exported.saved_model import Segmenter, described, find, load
from eggseg.files import parsing, read_json
from eggseg.pictures.limits import MAX_PIXELS
from eggseg.pictures.pillow import shrunk
from eggseg.training.config import CONFIG

SAMPLE = 64
"""Maximum number of photos from which the mean confidence of each class is estimated."""

EDGE = 0.01
"""Minimum width of a disputed region, as a share of the photo's shorter side; at least 3 pixels.

Narrower regions do not count, because labels are slightly wrong along all edges.
"""


@dataclasses.dataclass(frozen=True)
class Dispute:
    """A photo on which label and model disagree."""

    name: str
    share: float
    """Disputed pixels, as a share of the pixels that the label or the model gives to a class other than background."""
    what: str
    """The most frequent pair of predicted and labelled class, such as "mostly egg labelled pan"."""
    predicted: np.ndarray
    """The model's class ids, (h, w) uint8, as a thumbnail."""


def check(model: Path, classes: ClassTable) -> None:
    """`InputError` if a run folder has no model, or if the model's class names or mask values differ from `classes`."""
    folds = sorted(model.glob(f"fold*/{CONFIG}"))
    folder = find(folds[0].parent if folds else model)
    actual = described(folder)[0]
    if (actual.names, actual.values) != (classes.names, classes.values):
        raise InputError(f"{model} has the classes {', '.join(actual.names)}, expected {', '.join(classes.names)}")


def disputes(pairs: Sequence[Pair], model: Path, max_pixels: int = MAX_PIXELS) -> list[Dispute]:
    """All photos on which label and model disagree, the largest `share` first.

    A pixel is disputed if the model predicts another class than the label, with a probability of at least the mean
    confidence of the predicted class. See `EDGE` for the minimum width.
    """
    judges = _judges(pairs, model)
    thresholds = _mean_confidence(pairs, judges, max_pixels)
    judged = (_dispute(pair, judges[pair.name], thresholds, max_pixels) for pair in track(pairs, "judging labels"))
    return sorted((dispute for dispute in judged if dispute.share), key=lambda dispute: -dispute.share)


def findings(disputed: Sequence[Dispute], most: int) -> list[Finding]:
    """One finding that names up to `most` photos and the dispute in each; none if there are no disputes."""
    if not disputed:
        return []
    shown = disputed[:most]
    lines = (
        f"{printable(dispute.name)}: {dispute.share:.0%} of the object pixels, {dispute.what}" for dispute in shown
    )
    message = f"in {len(disputed)} photos the model is sure of another class than the label"
    return [Finding("labels", message, tuple(dispute.name for dispute in shown), tuple(lines))]


def _judges(pairs: Sequence[Pair], model: Path) -> dict[str, Segmenter]:
    """The model that judges each photo, by the photo's name; `InputError` if no fold held out one of the photos.

    In a cross-validation, it is the model of the fold that held out the photo.
    """
    folds = sorted(model.glob(f"fold*/{CONFIG}"))
    if not folds:
        segmenter = load(model)
        return {pair.name: segmenter for pair in pairs}
    judges = {}
    for config in folds:
        segmenter = load(config.parent)
        record = read_json(config)
        with parsing(config):
            judges.update(dict.fromkeys(record["split"]["val"], segmenter))
    missing = [
        f"{printable(pair.name)} was held out by no fold of {model}" for pair in pairs if pair.name not in judges
    ]
    if missing:
        raise InputError(summary(missing, "photos were held out by no fold"))
    return judges


def _mean_confidence(pairs: Sequence[Pair], judges: Mapping[str, Segmenter], max_pixels: int) -> np.ndarray:
    """Mean probability of each class over the pixels labelled with it, (classes,) float64, on up to `SAMPLE` photos."""
    totals = np.zeros((2, len(next(iter(judges.values())).classes)))
    for i in track(np.unique(np.linspace(0, len(pairs) - 1, SAMPLE).astype(int)), "estimating confidence"):
        truth, probabilities = _truth_and_probabilities(pairs[i], judges[pairs[i].name], max_pixels)
        for c in range(totals.shape[1]):
            own = probabilities[..., c][truth == c]
            totals[:, c] += own.sum(), own.size
    # A class without labels has no mean confidence: with an infinite threshold, its predictions dispute no label.
    return np.where(totals[1] > 0, totals[0] / np.maximum(totals[1], 1), np.inf)


def _dispute(pair: Pair, judge: Segmenter, thresholds: np.ndarray, max_pixels: int) -> Dispute:
    truth, probabilities = _truth_and_probabilities(pair, judge, max_pixels)
    predicted = probabilities.argmax(-1).astype(np.uint8)
    known = truth < len(thresholds)
    sure = np.take_along_axis(probabilities, predicted[..., None], -1)[..., 0] >= thresholds[predicted]
    disputed = (known & sure & (predicted != truth)).astype(np.uint8)
    width = max(3, round(EDGE * min(truth.shape)) | 1)
    disputed = cv2.morphologyEx(disputed, cv2.MORPH_OPEN, np.ones((width, width), np.uint8)).astype(bool)
    share, what = 0.0, ""
    if disputed.any():
        kinds, counts = np.unique(truth[disputed].astype(int) * 256 + predicted[disputed], return_counts=True)
        label, prediction = (judge.classes.names[c] for c in divmod(int(kinds[counts.argmax()]), 256))
        objects = np.count_nonzero(known & ((truth > 0) | (predicted > 0)))
        share, what = np.count_nonzero(disputed) / objects, f"mostly {prediction} labelled {label}"
    return Dispute(pair.name, share, what, shrunk(predicted, THUMBNAIL))


def _truth_and_probabilities(pair: Pair, judge: Segmenter, max_pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """The label's class ids, (h, w) uint8, and the model's probabilities, (h, w, classes) float32."""
    sample = labelled.read(pair, judge.classes, max_pixels)
    return sample.ids, judge(sample.image)[1]
