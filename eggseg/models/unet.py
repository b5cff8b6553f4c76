"""The U-Net (Ronneberger et al. 2015, arXiv 1505.04597), with Keras' functional API."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras
from keras import layers

from eggseg.models.normalization import FusedBatchNormalization


def unet(
    size: int,
    classes: int,
    *,
    base_filters: int = 16,
    depth: int = 4,
    stem_stride: int = 2,
    dropout: float = 0.0,
    encoder: keras.Model | None = None,
    policy: str = "float32",
) -> keras.Model:
    """Build a U-Net from (n, size, size, 3) in 0..255 to float32 logits (n, size, size, classes).

    The encoder halves the picture `depth` times and doubles the filters each time, from `base_filters`. The decoder
    reverses this, with skip connections at each size. Any `size` works: halving an odd size rounds up, and the decoder
    crops the excess. `dropout` is the dropout rate of the coarsest features.

    Differences from the paper:
    - batch normalisation;
    - `same` padding, so that the logits cover the picture;
    - a residual shortcut around each pair of convolutions (Zhang et al. 2018, arXiv 1711.10684), to train in fewer
      steps;
    - with a `stem_stride` above 1, a first convolution with that stride, and logits that are enlarged by it at the end,
      instead of levels at full resolution.

    An `encoder`, a model whose outputs are features from fine to coarse, replaces the encoder above, and its number of
    outputs replaces `depth`; `stem_stride` must then be the stride of the finest features. `policy` is Keras' precision
    policy, for example `mixed_bfloat16`.
    """
    with dtype_policy(policy):
        if encoder is None:
            inputs, features = _encoder(size, base_filters, depth, stem_stride)
        else:
            inputs, features = encoder.input, list(encoder.outputs)
        x = features.pop()
        if dropout:
            x = layers.Dropout(dropout, name="dropout")(x)
        for level in reversed(range(len(features))):
            x = layers.Conv2DTranspose(base_filters << level, 2, 2, use_bias=False, name=f"up{level}")(x)
            x = _fit(x, features[level].shape[1], f"crop{level}")
            x = layers.Concatenate(name=f"join{level}")([features[level], x])
            x = _block(x, base_filters << level, f"back{level}")
        # The initial bias predicts background, the class of most pixels: training need not learn this first.
        x = layers.Conv2D(classes, 1, bias_initializer=_MostlyBackground(), name="head")(x)
        # Logits in float32: bfloat16 has only two to three decimal digits, too few for the softmax.
        x = layers.Activation("linear", dtype="float32", name="logits")(x)
        if stem_stride > 1:
            x = layers.UpSampling2D(stem_stride, interpolation="bilinear", dtype="float32", name="unstem")(x)
            x = _fit(x, size, "uncrop")
        return keras.Model(inputs, x, name="unet")


@contextlib.contextmanager
def dtype_policy(policy: str) -> Iterator[None]:
    """Context in which new layers get Keras' precision `policy`."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _encoder(
    size: int, base_filters: int, depth: int, stem_stride: int
) -> tuple[keras.KerasTensor, list[keras.KerasTensor]]:
    """The U-Net's own encoder: its input, and the list of features at `depth` + 1 sizes, the finest first."""
    inputs = keras.Input((size, size, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(inputs)
    if stem_stride > 1:
        x = _conv(x, base_filters, "stem", kernel=2 * stem_stride - 1, strides=stem_stride)
        x = layers.ReLU(name="stem_relu")(x)
    features = []
    for level in range(depth):
        features.append(_block(x, base_filters << level, f"down{level}"))
        x = layers.MaxPooling2D(2, padding="same", name=f"pool{level}")(features[-1])
    return inputs, [*features, _block(x, base_filters << depth, "bottom")]


@keras.saving.register_keras_serializable("eggseg")
class _MostlyBackground(keras.initializers.Initializer):
    """Biases, (classes,), that give class 0, the background, a probability of about 0.9 if there are three classes."""

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> keras.KerasTensor:
        return 3.0 * keras.ops.one_hot(0, shape[0], dtype=dtype)


def _conv(x: keras.KerasTensor, filters: int, name: str, *, kernel: int = 3, strides: int = 1) -> keras.KerasTensor:
    """A convolution and batch normalisation."""
    x = layers.Conv2D(
        filters, kernel, strides, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )(x)
    # Momentum 0.9 averages about ten steps. Keras' default, 0.99, averages about a hundred: too slow for a short run.
    return FusedBatchNormalization(momentum=0.9, name=f"{name}_norm")(x)


def _block(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    """Two convolutions with a residual shortcut."""
    shortcut = x if x.shape[-1] == filters else _conv(x, filters, f"{name}_shortcut", kernel=1)
    x = layers.ReLU(name=f"{name}a_relu")(_conv(x, filters, f"{name}a"))
    x = layers.Add(name=f"{name}_add")([_conv(x, filters, f"{name}b"), shortcut])
    return layers.ReLU(name=f"{name}b_relu")(x)


def _fit(x: keras.KerasTensor, size: int, name: str) -> keras.KerasTensor:
    """Crop or pad features at the bottom and right to `size` rows and columns, since halved sizes were rounded."""
    excess = x.shape[1] - size
    if excess > 0:
        return layers.Cropping2D(((0, excess), (0, excess)), dtype=x.dtype, name=name)(x)
    return layers.ZeroPadding2D(((0, -excess), (0, -excess)), dtype=x.dtype, name=name)(x) if excess else x
