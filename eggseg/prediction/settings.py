"""The settings of `eggseg predict`, and the outputs that they ask for."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import tyro

from eggseg.errors import InputError
from eggseg.pictures.pillow import MOST_PIXELS
from eggseg.prediction import outputs


@dataclasses.dataclass(frozen=True)
class Settings:
    """Write the masks of photos, each of its photo's own size, as OUTPUT_DIR/masks/NAME.png."""

    inputs: tyro.conf.Positional[tuple[str, ...]]
    """Photos, folders of photos, or patterns such as 'kitchen/*.jpg'."""
    model: Path | None = None
    """A run folder of eggseg.train, or its saved_model; without it the model that comes with eggseg."""
    output_dir: Path = Path("predictions")
    """Folder for masks/, overlays/, probabilities/, confidence/, objects/ and summary.csv, which tells of each photo
    how many pixels each class has, and the seconds from its bytes to its files, meanwhile others are worked on too.
    What lies in these folders is never taken for a photo."""
    recursive: bool = False
    """Take photos in folders below the given ones too."""
    overlay: bool = False
    """Also write each photo tinted by its mask, as overlays/NAME.png."""
    probabilities: bool = False
    """Also write probabilities/NAME.npz: `probabilities`, (height, width, classes) float32."""
    confidence: bool = False
    """Also write confidence/NAME.png: how probable the class of each pixel is, 255 for certain. With masks/ and photos
    in images/ beside it, eggseg.train --pseudo learns from such a folder."""
    objects: bool = False
    """Also write objects/NAME.json: class, box, centroid, area, contour and confidence of each egg and pan."""
    min_area: int = 16
    """Smallest object in objects/, pixels of the photo."""
    overwrite: bool = False
    """Begin anew: replace the outputs and the summary of an earlier call."""
    resume: bool = False
    """Go on where an earlier call with the same model stopped: photos whose outputs are all there are left as they are,
    and summary.csv tells of them too. Where nothing is there yet it begins."""
    max_pixels: int | None = None
    """Pixels of the largest photo that is decoded; without it what the model was trained with."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the network: auto is bfloat16 where the processor has it, else float32."""

    def __post_init__(self) -> None:
        if self.max_pixels is not None and not 1 <= self.max_pixels <= MOST_PIXELS:
            raise InputError(f"--max_pixels is {self.max_pixels}, expected 1 to {MOST_PIXELS}")

    @property
    def kinds(self) -> list[str]:
        """The folders of OUTPUT_DIR that are written."""
        asked = {
            "overlays": self.overlay,
            "probabilities": self.probabilities,
            "confidence": self.confidence,
            "objects": self.objects,
        }
        return ["masks", *(kind for kind, wanted in asked.items() if wanted)]

    @property
    def needs_probabilities(self) -> bool:
        """Whether the network's probabilities are needed, beside its class ids."""
        return self.probabilities or self.confidence or self.objects

    def outputs(self, name: str) -> dict[str, Path]:
        """Where each output of a photo of this name goes."""
        return outputs.paths(self.output_dir, name, self.kinds)
