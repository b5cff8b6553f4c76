"""Letterbox photos into the network's square, and restore scores to the photo's size.

`restore` reverses `letterbox`: `_fit` gives both functions the same place of the photo in the square. Neither function
makes a padded square at the photo's own size: `letterbox` resizes, then pads; `restore` crops, then resizes, a band of
rows at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

BAND = 1 << 18
"""Pixels restored at a time: the scores of one band fit in the CPU's cache, so `restore` is three times as fast."""


def _fit(height: tf.Tensor, width: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """A photo's rectangle in the square of side `size`: height, width, top, left in pixels of the square, () int32."""
    side = tf.maximum(height, width)
    # Round with 64-bit integers: the result is the same on every machine, and the products do not overflow.
    inner = [tf.maximum(1, tf.cast(_round_div(n, side, size), tf.int32)) for n in (height, width)]
    return inner[0], inner[1], (size - inner[0]) // 2, (size - inner[1]) // 2


def _round_div(length: tf.Tensor, side: tf.Tensor, size: int) -> tf.Tensor:
    length, side = tf.cast(length, tf.int64), tf.cast(side, tf.int64)
    return (2 * length * size + side) // (2 * side)


def letterbox(image: tf.Tensor, size: int, *, labels: bool = False, pad: int = 0) -> tf.Tensor:
    """Letterbox (h, w, c) uint8 to (size, size, c) uint8: the long side fills the square, the short one is padded.

    Photos are resized with antialiased bilinear weights. With `labels`, each pixel gets the value of the nearest pixel,
    because a mixture of class ids would be another class; labels may have any dtype. The padding has the value `pad`.
    """
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    inner_height, inner_width, top, left = _fit(height, width, size)
    if labels:
        inner = tf.image.resize(image, (inner_height, inner_width), method="nearest")
    else:
        inner = tf.transpose(_resize_rows(image, inner_height), (1, 0, 2))
        inner = tf.transpose(tf.cast(tf.round(_resize_rows(inner, inner_width)), tf.uint8), (1, 0, 2))
    below, right = size - inner_height - top, size - inner_width - left
    square = tf.pad(inner, [[top, below], [left, right], [0, 0]], constant_values=tf.cast(pad, image.dtype))
    return tf.ensure_shape(square, (size, size, image.shape[-1]))


def _resize_rows(image: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Resize (h, w, c) to (length, w, c) float32, antialiased bilinear.

    `letterbox` resizes the rows with this function, then transposes and resizes the columns. The result equals that of
    one `tf.image.resize`, bit by bit, in half the time: `tf.image.resize` mixes whole rows at once, but the pixels of a
    row one by one. Here each row is therefore a single pixel with w * c channels.
    """
    height, width, channels = tf.shape(image)[0], tf.shape(image)[1], image.shape[-1]
    column = tf.image.resize(tf.reshape(image, (height, 1, width * channels)), (length, 1), antialias=True)
    return tf.reshape(column, (length, width, channels))


def restore(scores: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Restore (size, size, c) float scores, without the padding, to (height, width, c) float32 by bilinear resizing."""
    return restore_in_bands(scores, height, width, lambda rows: (rows,), (tf.float32,))[0]


def restore_in_bands(
    scores: tf.Tensor,
    height: tf.Tensor,
    width: tf.Tensor,
    each: Callable[[tf.Tensor], tuple[tf.Tensor, ...]],
    types: tuple[tf.DType, ...],
) -> tuple[tf.Tensor, ...]:
    """Apply `each` to the result of `restore`, a band of rows at a time: memory never holds the scores of all pixels.

    `each` takes (rows, width, c) float32 and returns tensors with the dtypes `types`. The tensors of all bands are
    concatenated along their first axis.
    """
    inner_height, inner_width, top, left = _fit(height, width, scores.shape[0])
    inner = tf.cast(scores[top : top + inner_height, left : left + inner_width], tf.float32)
    rows = tf.maximum(1, BAND // width)
    count = -(-height // rows)

    def band(i: tf.Tensor, *arrays: tf.TensorArray) -> tuple[tf.Tensor | tf.TensorArray, ...]:
        results = each(_restore_rows(inner, i * rows, tf.minimum(height, (i + 1) * rows), height, width))
        return i + 1, *(array.write(i, result) for array, result in zip(arrays, results, strict=True))

    empty = (tf.TensorArray(kind, count, infer_shape=False) for kind in types)
    _, *arrays = tf.while_loop(lambda i, *_: i < count, band, (tf.constant(0), *empty), parallel_iterations=1)
    return tuple(array.concat() for array in arrays)


def _restore_rows(
    inner: tf.Tensor, start: tf.Tensor, stop: tf.Tensor, height: tf.Tensor, width: tf.Tensor
) -> tf.Tensor:
    """Rows from `start` to before `stop` of `tf.image.resize(inner, (height, width))`, float32, bit by bit the same.

    `inner` is (h, w, c) float32. As in the loop of that function, the width is resized first, then two rows are mixed
    for each output row; row positions are computed in float32.
    """
    length = tf.shape(inner)[0]
    scale = tf.cast(length, tf.float32) / tf.cast(height, tf.float32)
    at = (tf.cast(tf.range(start, stop), tf.float32) + 0.5) * scale - 0.5
    upper = tf.cast(tf.maximum(tf.floor(at), 0), tf.int32)
    lower = tf.minimum(tf.cast(tf.math.ceil(at), tf.int32), length - 1)
    first, last = upper[0], lower[-1] + 1
    wide = tf.image.resize(inner[first:last], (last - first, width))
    above, below = tf.gather(wide, upper - first), tf.gather(wide, lower - first)
    return above + (below - above) * (at - tf.floor(at))[:, None, None]
