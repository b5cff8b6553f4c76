"""Photos whose labels a trained model disputes, after confident learning (Northcutt et al. 2021, arXiv 1911.00068)."""

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
from eggseg.data.pairs import Pair
from eggseg.errors import InputError, printable
from eggseg.exported.saved_model import Segmenter, described, find, load
from eggseg.files import parsing, read_json
from eggseg.pictures.pillow import MAX_PIXELS, shrunk
from eggseg.training.config import CONFIG

SAMPLE = 64
"""Photos from which the model's usual confidence is learned."""

EDGE = 0.01
"""Width of a dispute that counts, as a share of the photo's shorter side: edges are drawn a little off everywhere."""


@dataclasses.dataclass(frozen=True)
class Dispute:
    """A photo on which label and model are at odds."""

    name: str
    share: float
    """How much of what either of them sees as no background they are at odds about."""
    what: str
    """What most of it is, in words."""
    predicted: np.ndarray
    """The model's class ids, small, (h, w) uint8."""


def check(model: Path, classes: ClassTable) -> None:
    """`InputError` where there is no model, or one of other classes."""
    folds = sorted(model.glob(f"fold*/{CONFIG}"))
    folder = find(folds[0].parent if folds else model)
    theirs = described(folder)[0]
    if (theirs.names, theirs.values) != (classes.names, classes.values):
        raise InputError(f"{model} has the classes {', '.join(theirs.names)}, expected {', '.join(classes.names)}")


def disputes(pairs: Sequence[Pair], model: Path, max_pixels: int = MAX_PIXELS) -> list[Dispute]:
    """All photos on which label and model disagree, the worst first."""
    judges = _judges(pairs, model)
    thresholds = _usual_confidence(pairs, judges, max_pixels)
    judged = (_dispute(pair, judges[pair.name], thresholds, max_pixels) for pair in track(pairs, "judging labels"))
    return sorted((dispute for dispute in judged if dispute.share), key=lambda dispute: -dispute.share)


def findings(found: Sequence[Dispute], most: int) -> list[Finding]:
    """One finding, which names at most so many of the photos, with what is disputed in each."""
    if not found:
        return []
    shown = found[:most]
    lines = (f"{printable(one.name)}: {one.share:.0%} of what either sees, {one.what}" for one in shown)
    message = f"in {len(found)} photos the model is sure of another class than the label"
    return [Finding("labels", message, tuple(one.name for one in shown), tuple(lines))]


def _judges(pairs: Sequence[Pair], model: Path) -> dict[str, Segmenter]:
    """The model that judges each photo: of a cross-validation that which held it out."""
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
    strangers = [pair.name for pair in pairs if pair.name not in judges]
    if strangers:
        raise InputError(f"{model} holds no fold that held {strangers[0]} out, nor {len(strangers) - 1} others")
    return judges


def _usual_confidence(pairs: Sequence[Pair], judges: Mapping[str, Segmenter], max_pixels: int) -> np.ndarray:
    """(classes,): the mean probability of each class over the pixels with its label, on some of the photos."""
    totals = np.zeros((2, len(next(iter(judges.values())).classes)))
    for i in track(np.unique(np.linspace(0, len(pairs) - 1, SAMPLE).astype(int)), "learning the model's confidence"):
        truth, probabilities = _seen(pairs[i], judges[pairs[i].name], max_pixels)
        for c in range(totals.shape[1]):
            own = probabilities[..., c][truth == c]
            totals[:, c] += own.sum(), own.size
    # Of a class that no label has, nothing is usual: nobody is sure of it.
    return np.where(totals[1] > 0, totals[0] / np.maximum(totals[1], 1), np.inf)


def _dispute(pair: Pair, judge: Segmenter, thresholds: np.ndarray, max_pixels: int) -> Dispute:
    truth, probabilities = _seen(pair, judge, max_pixels)
    predicted = probabilities.argmax(-1).astype(np.uint8)
    known = truth < len(thresholds)
    sure = np.take_along_axis(probabilities, predicted[..., None], -1)[..., 0] >= thresholds[predicted]
    at_odds = (known & sure & (predicted != truth)).astype(np.uint8)
    width = max(3, round(EDGE * min(truth.shape)) | 1)
    at_odds = cv2.morphologyEx(at_odds, cv2.MORPH_OPEN, np.ones((width, width), np.uint8)).astype(bool)
    share, what = 0.0, ""
    if at_odds.any():
        kinds, counts = np.unique(truth[at_odds].astype(int) * 256 + predicted[at_odds], return_counts=True)
        label, seen = (judge.classes.names[c] for c in divmod(int(kinds[counts.argmax()]), 256))
        objects = np.count_nonzero(known & ((truth > 0) | (predicted > 0)))
        share, what = np.count_nonzero(at_odds) / objects, f"mostly {seen} labelled {label}"
    return Dispute(pair.name, share, what, shrunk(predicted, THUMBNAIL))


def _seen(pair: Pair, judge: Segmenter, max_pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """The label's class ids, (h, w) uint8, and the model's probabilities, (h, w, classes) float32."""
    found = labelled.read(pair, judge.classes, max_pixels)
    return found.ids, judge(found.image)[1]
