from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from eggseg.data.classes import EGGS_AND_PANS, VOID
from eggseg.evaluation import metrics
from eggseg.training.objective import IoU, KnownPixelCrossentropy


def batch(photos: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Truth (n, 9, 7) with VOID, and logits (n, 9, 7, 3)."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(np.array([0, 1, 2, VOID], np.uint8), (photos, 9, 7), p=[0.5, 0.1, 0.2, 0.2])
    return truth, rng.normal(0, 3, (photos, 9, 7, 3)).astype(np.float32)


def reference(truth: np.ndarray, logits: np.ndarray) -> float:
    losses = []
    for ids, scores in zip(truth, logits.astype(np.float64), strict=True):
        scores, known = scores[ids != VOID], ids[ids != VOID]
        picked = scores[np.arange(len(known)), known] - np.log(np.exp(scores).sum(-1))
        losses.append(-picked.mean() if len(known) else 0.0)
    return float(np.mean(losses))


def test_the_loss_is_the_mean_over_photos_of_the_mean_over_known_pixels():
    truth, logits = batch()
    truth[1, :8] = VOID
    assert float(KnownPixelCrossentropy()(truth, logits)) == pytest.approx(reference(truth, logits), rel=1e-5)


def test_a_photo_with_no_known_pixel_adds_nothing():
    truth, logits = batch(2)
    truth[1] = VOID
    loss = float(KnownPixelCrossentropy()(truth, logits))
    assert loss == pytest.approx(reference(truth[:1], logits[:1]) / 2, rel=1e-5)
    assert float(KnownPixelCrossentropy()(truth[1:], logits[1:])) == 0


def test_a_photo_with_no_known_pixel_has_no_gradient():
    truth, logits = batch(2)
    truth[1] = VOID
    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = KnownPixelCrossentropy()(truth, variable)
    gradient = tape.gradient(loss, variable).numpy()
    assert np.isfinite(gradient).all()
    assert (gradient[truth == VOID] == 0).all()
    assert (gradient[truth != VOID] != 0).all()


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_the_loss_does_not_depend_on_how_photos_are_grouped(groups):
    truth, logits = batch(6)
    truth[2, 1:] = VOID
    parts = zip(np.split(truth, groups), np.split(logits, groups), strict=True)
    losses = [float(KnownPixelCrossentropy()(ids, scores)) for ids, scores in parts]
    assert np.mean(losses) == pytest.approx(float(KnownPixelCrossentropy()(truth, logits)), rel=1e-5)


def test_iou_is_that_of_the_pooled_counts():
    metric = IoU(EGGS_AND_PANS)
    pooled = np.zeros((3, 3), np.int64)
    for seed in range(3):
        truth, logits = batch(seed=seed)
        metric.update_state(truth, logits)
        pooled += metrics.confusion(truth, logits.argmax(-1).astype(np.uint8), 3)
    found = {name: float(value) for name, value in metric.result().items()}
    expected = metrics.iou(pooled)
    assert list(found) == ["miou", "iou_background", "iou_egg", "iou_pan"]
    np.testing.assert_allclose(list(found.values()), [expected.mean(), *expected], rtol=1e-6)


def test_iou_leaves_a_class_out_that_is_nowhere():
    metric = IoU(EGGS_AND_PANS)
    truth = np.array([[[0, 0, 2, 2]]], np.uint8)
    metric.update_state(truth, tf.one_hot([[[0, 2, 2, 2]]], 3))
    found = {name: float(value) for name, value in metric.result().items()}
    assert np.isnan(found["iou_egg"])
    assert found["miou"] == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_a_pixel_whose_scores_are_equal_counts_once():
    metric = IoU(EGGS_AND_PANS)
    metric.update_state(np.array([[[0, 1]]], np.uint8), np.zeros((1, 1, 2, 3), np.float32))
    assert np.sum(metric.counts) == 2
    assert float(metric.result()["miou"]) == pytest.approx((1 / 2 + 0) / 2)


def test_iou_begins_anew_after_a_reset():
    metric = IoU(EGGS_AND_PANS)
    metric.update_state(*batch())
    metric.reset_state()
    metric.update_state(np.array([[[0, 1, 2, VOID]]], np.uint8), tf.one_hot([[[0, 1, 2, 1]]], 3))
    assert float(metric.result()["miou"]) == 1
