"""The benchmarks' PyTorch twin computes what its original does."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from eggseg.models import encoders
from eggseg.models.unet import unet

torch = pytest.importorskip("torch", reason="NO PYTORCH: pip install -r benchmarks/requirements.txt")


@pytest.mark.parametrize("size", [64, 75])
@pytest.mark.parametrize("encoder", ["plain", "learned", "pretrained"])
def test_the_twin_gives_the_same_logits(encoder: str, size: int) -> None:
    from twin import twin

    keras.utils.set_random_seed(0)
    way_down = None
    if encoder != "plain":
        way_down = encoders.build("efficientnet_lite0", size, pretrained=encoder == "pretrained")
    network = unet(size, 3, base_filters=8, dropout=0.1, encoder=way_down)
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.8, 1.2, weight.shape) for weight in layer.get_weights()])
    image = rng.uniform(0, 255, (2, size, size, 3)).astype(np.float32)
    with torch.no_grad():
        logits = twin(network).eval()(torch.from_numpy(image).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    expected = network(image, training=False).numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())


def test_what_has_no_twin_is_named() -> None:
    from twin import twin

    inputs = keras.Input((4, 4, 3))
    with pytest.raises(TypeError, match="odd: there is no twin of a Softmax yet"):
        twin(keras.Model(inputs, keras.layers.Softmax(name="odd")(inputs)))
