from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from eggseg.data.classes import EGGS_AND_PANS
from eggseg.evaluation import plots


def row(width: int, height: int) -> plots.Row:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    truth, prediction = rng.integers(0, 3, (2, height, width), np.uint8)
    return image, truth, prediction, f"{width}x{height}"


def opened(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


@pytest.mark.parametrize(
    ("sizes", "columns"),
    [
        ([(91, 37)], 1),
        ([(37, 91)], 1),
        ([(91, 37), (37, 91), (1, 1)], 2),
        ([(701, 3), (3, 701)], 1),
    ],
    ids=["landscape", "portrait", "mixed", "thin"],
)
def test_a_comparison_is_a_picture_with_something_on_it(sizes, columns):
    figure = plots.comparison([row(*size) for size in sizes], EGGS_AND_PANS, columns=columns)
    pixels = opened(plots.png(figure, dpi=40))
    assert min(pixels.shape[:2]) > 50
    assert pixels.std() > 0


def test_a_comparison_shows_photo_truth_and_prediction_of_each_row():
    figure = plots.comparison([row(91, 37), row(37, 91), row(51, 77)], EGGS_AND_PANS, columns=2)
    shown = [axis.get_title() for axis in figure.axes if axis.images]
    assert shown == [title for size in ("91x37", "37x91", "51x77") for title in (size, "truth", "prediction")]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["egg", "pan"]


def test_the_truth_is_tinted_in_the_colours_of_its_classes():
    image, ids = np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), np.uint8)
    ids[:, 20:40] = 2
    figure = plots.comparison([(image, ids, np.zeros_like(ids), "")], EGGS_AND_PANS, side=60)
    photo, truth, prediction = (np.asarray(axis.images[0].get_array()) for axis in figure.axes)
    assert (photo == 0).all()
    assert (prediction == 0).all()
    assert (truth[:, :20] == 0).all()
    blue = truth[20, 30].astype(int)
    assert blue[2] > blue[1] > blue[0] > 0  # the pan's sky blue


@pytest.mark.parametrize("size", [(3, 701), (701, 3)])
def test_a_thin_photo_is_not_blown_up(size):
    figure = plots.comparison([row(*size)], EGGS_AND_PANS, side=100)
    assert max(max(axis.images[0].get_array().shape) for axis in figure.axes) <= 701


def test_a_confusion_shows_shares_of_each_true_class():
    figure = plots.confusion(np.array([[75, 25, 0], [0, 0, 0], [1, 1, 2]]), EGGS_AND_PANS)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts[:3] == ["75.0%\n75", "25.0%\n25", "0.0%\n0"]
    assert texts[3:6] == ["0.0%\n0"] * 3, "a class that is nowhere divides by nothing"
    assert texts[6:] == ["25.0%\n1", "25.0%\n1", "50.0%\n2"]
    assert min(opened(plots.png(figure)).shape[:2]) > 100


RNG = np.random.default_rng(0)
HISTORY = [
    {
        "epoch": i,
        "loss": 1 / i,
        "val_loss": 2 / i,
        "miou": 0.1 * i,
        "val_miou": 0.1,
        "val_iou_egg": np.nan,
        "learning_rate": 1e-3,
    }
    for i in range(1, 4)
]


@pytest.mark.parametrize(
    "figure",
    [
        plots.grid([(RNG.integers(0, 256, (37, 91, 3), np.uint8), "a photo"), (RNG.uniform(size=(9, 7)), "$features")]),
        plots.grid([(np.zeros((5, 5)), "nothing")], columns=1),
        plots.grid([(np.full((5, 5), 0.1), "one scale"), (np.ones((5, 5)), "for both")], highest=1.0),
        plots.values({"a.png": np.bincount([0, 128, 255] * 9, minlength=256)}, EGGS_AND_PANS),
        plots.shares({"one": {"train": 5, "val": 2}, "another": {"val": 3}}),
        plots.curves(HISTORY),
        plots.curves(HISTORY[:1]),
        plots.calibration(RNG.uniform(size=500), RNG.uniform(size=500) > 0.3),
        plots.calibration(np.ones(3), np.ones(3, bool)),
    ],
)
def test_a_figure_is_a_picture_with_something_on_it(figure):
    pixels = opened(plots.png(figure, dpi=40))
    assert min(pixels.shape[:2]) > 50
    assert pixels.std() > 0
