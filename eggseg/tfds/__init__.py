"""tensorflow-datasets (TFDS): eggs and pans as a data set of it, and training on any of its data sets."""

import importlib

from eggseg.errors import missing_extra

try:
    importlib.import_module("tensorflow_datasets")
except ImportError:
    raise missing_extra("--tfds", "tfds") from None
