"""Photos whose labels a trained model disputes, after confident learning (Northcutt et al. 2021, arXiv 1911.00068)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from eggseg import labelled
from eggseg.config import CONFIG
from eggseg.errors import InputError, printable
from eggseg.export import Segmenter, load
from eggseg.files import read_json
from eggseg.findings import Finding
from eggseg.pairs import Pair

SAMPLE = 64
"""Photos from which the model's usual confidence is learned."""

EDGE = 0.01
"""Width of a dispute that counts, as a share of the photo's shorter side: edges are drawn a little off everywhere."""


def findings(pairs: Sequence[Pair], model: Path, most: int) -> list[Finding]:
    """The photos on which labels and model disagree most, at most so many, with what they disagree about."""
    judges = _judges(pairs, model)
    thresholds = _usual_confidence(pairs, judges)
    disputes = []
    for pair in track(pairs, "judging labels"):
        share, what = _dispute(pair, judges[pair.name], thresholds)
        if share:
            disputes.append((share, pair.name, f"{printable(pair.name)}: {share:.0%} of what either sees, {what}"))
    disputes.sort(reverse=True)
    if not disputes:
        return []
    message = f"in {len(disputes)} photos the model is sure of another class than the label"
    shown = disputes[:most]
    return [Finding("labels", message, tuple(name for _, name, _ in shown), tuple(line for *_, line in shown))]


def _judges(pairs: Sequence[Pair], model: Path) -> dict[str, Segmenter]:
    """The model that judges each photo: of a cross-validation that which held it out."""
    folds = sorted(model.glob(f"fold*/{CONFIG}"))
    if not folds:
        segmenter = load(model)
        return {pair.name: segmenter for pair in pairs}
    judges = {}
    for config in folds:
        segmenter = load(config.parent)
        judges.update(dict.fromkeys(read_json(config)["split"]["val"], segmenter))
    strangers = [pair.name for pair in pairs if pair.name not in judges]
    if strangers:
        raise InputError(f"{model} holds no fold that held {strangers[0]} out, nor {len(strangers) - 1} others")
    return judges


def _usual_confidence(pairs: Sequence[Pair], judges: Mapping[str, Segmenter]) -> np.ndarray:
    """(classes,): the mean probability of each class over the pixels with its label, on some of the photos."""
    totals = np.zeros((2, len(next(iter(judges.values())).classes)))
    for i in track(np.unique(np.linspace(0, len(pairs) - 1, SAMPLE).astype(int)), "learning the model's confidence"):
        truth, probabilities = _seen(pairs[i], judges[pairs[i].name])
        for c in range(totals.shape[1]):
            own = probabilities[..., c][truth == c]
            totals[:, c] += own.sum(), own.size
    return totals[0] / np.maximum(totals[1], 1)


def _dispute(pair: Pair, judge: Segmenter, thresholds: np.ndarray) -> tuple[float, str]:
    """Which share of the pixels that are no background to label or model they are at odds about, and how."""
    truth, probabilities = _seen(pair, judge)
    predicted = probabilities.argmax(-1)
    known = truth < len(thresholds)
    sure = np.take_along_axis(probabilities, predicted[..., None], -1)[..., 0] >= thresholds[predicted]
    at_odds = (known & sure & (predicted != truth)).astype(np.uint8)
    width = max(3, round(EDGE * min(truth.shape)) | 1)
    at_odds = cv2.morphologyEx(at_odds, cv2.MORPH_OPEN, np.ones((width, width), np.uint8)).astype(bool)
    if not at_odds.any():
        return 0.0, ""
    kinds, counts = np.unique(truth[at_odds].astype(int) * 256 + predicted[at_odds], return_counts=True)
    label, seen = (judge.classes.names[c] for c in divmod(int(kinds[counts.argmax()]), 256))
    objects = np.count_nonzero(known & ((truth > 0) | (predicted > 0)))
    return np.count_nonzero(at_odds) / objects, f"mostly {seen} labelled {label}"


def _seen(pair: Pair, judge: Segmenter) -> tuple[np.ndarray, np.ndarray]:
    """The label's class ids, (h, w) uint8, and the model's probabilities, (h, w, classes) float32."""
    image, truth, _ = labelled.read(pair, judge.classes, judge.max_pixels)
    return truth, judge(image)[1]
