"""tensorflow-datasets: eggs and pans as one of them, and any of them to train on."""

import importlib

from eggseg.errors import missing_extra

try:
    importlib.import_module("tensorflow_datasets")
except ImportError:
    raise missing_extra("--tfds", "tfds") from None
