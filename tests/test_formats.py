"""Every format that people have, in the graph and through Pillow."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from formats import FILES, File

from eggseg import images, pictures


def those(kind: str) -> object:
    """The files of which that is true, as a parameter."""
    chosen = {name: file for name, file in FILES.items() if getattr(file, kind)}
    return pytest.mark.parametrize("file", chosen.values(), ids=chosen.keys())


@those("in_graph")
def test_the_graph_gives_the_pixels_that_a_file_holds(file: File) -> None:
    eager = images.decode(tf.constant(file.data))
    assert eager.dtype == tf.uint8
    mapped = tf.data.Dataset.from_tensors(file.data).map(images.decode).get_single_element()
    np.testing.assert_array_equal(eager, mapped)
    assert eager.shape == file.pixels.shape
    assert np.abs(eager.numpy().astype(int) - file.pixels).mean() <= file.tolerance


@those("by_pillow")
def test_pillow_gives_the_pixels_that_a_file_holds(file: File) -> None:
    pixels, tag = pictures.decode(file.data)
    assert (pixels.dtype, tag) == (np.uint8, 1)
    assert pixels.shape == file.pixels.shape
    assert np.abs(pixels.astype(int) - file.pixels).mean() <= file.tolerance


@pytest.mark.parametrize("name", [name for name, file in FILES.items() if not file.in_graph])
def test_the_graph_refuses_what_it_would_read_wrong(name: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        images.decode(tf.constant(FILES[name].data))
