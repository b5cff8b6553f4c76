"""`import eggseg.tfds.eggs_and_pans`, and `tfds.load("eggs_and_pans")` knows it."""

from eggseg.tfds.eggs_and_pans.eggs_and_pans_dataset_builder import Builder, FolderConfig

__all__ = ["Builder", "FolderConfig"]
