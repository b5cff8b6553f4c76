"""Importing this package registers it with TFDS: `tfds.load("eggs_and_pans")`."""

from eggseg.tfds.eggs_and_pans.eggs_and_pans_dataset_builder import Builder, FolderConfig

__all__ = ["Builder", "FolderConfig"]
