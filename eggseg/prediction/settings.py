"""The settings of `eggseg predict`, and the outputs that they select."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import tyro

from eggseg.errors import InputError
from eggseg.pictures.limits import MOST_PIXELS
from eggseg.prediction import outputs


@dataclasses.dataclass(frozen=True)
class Settings:
    """Predict a mask for each photo, at the photo's size, and write it to OUTPUT_DIR/masks/NAME.png."""

    inputs: tyro.conf.Positional[tuple[str, ...]]
    """Photos, folders of photos, or patterns such as 'kitchen/*.jpg'."""
    model: Path | None = None
    """Run folder of eggseg.train, or its saved_model; the default is the model that comes with eggseg."""
    output_dir: Path = Path("predictions")
    """Folder for masks/, overlays/, probabilities/, confidence/, objects/ and summary.csv. The summary has a row
    for each photo: the pixels of each class, and the seconds from reading the photo to writing its files, while other
    photos are processed too. Files in these folders are never taken for photos."""
    recursive: bool = False
    """Also take photos from the folders below the given ones."""
    overlay: bool = False
    """Also write each photo tinted by its mask, as overlays/NAME.png."""
    probabilities: bool = False
    """Also write probabilities/NAME.npz: `probabilities`, (height, width, classes) float32."""
    confidence: bool = False
    """Also write confidence/NAME.png: the probability of each pixel's class, 255 for certain. With masks/ and photos in
    images/ beside it, eggseg.train --pseudo learns from the folder."""
    objects: bool = False
    """Also write objects/NAME.json: class, box, centroid, area, contour and confidence of each egg and pan."""
    unsure: float = 0.0
    """Pixels whose class has a probability below this, 0 to 1, count as unknown: masks/ gives them a value that is near
    no class (64 for eggs and pans), and objects/ leaves them out. summary.csv then has their share, and the mean
    uncertainty, which is 1 minus the probability."""
    min_area: int = 16
    """Smallest object in objects/, in pixels of the photo."""
    overwrite: bool = False
    """Start over: replace the outputs and the summary of an earlier call."""
    resume: bool = False
    """Continue an earlier call with the same model: photos with all their outputs are skipped, and keep their rows in
    summary.csv. Without an earlier call, start from the beginning."""
    max_pixels: int | None = None
    """Pixels of the largest photo that is decoded; the default is the limit that the model was trained with."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the network: auto is bfloat16 where the processor has it, else float32."""

    def __post_init__(self) -> None:
        if self.max_pixels is not None and not 1 <= self.max_pixels <= MOST_PIXELS:
            raise InputError(f"--max_pixels is {self.max_pixels}, expected 1 to {MOST_PIXELS}")
        if not 0 <= self.unsure <= 1:
            raise InputError(f"--unsure is {self.unsure}, expected 0 to 1")

    @property
    def kinds(self) -> list[str]:
        """The folders of OUTPUT_DIR that are written."""
        optional = {
            "overlays": self.overlay,
            "probabilities": self.probabilities,
            "confidence": self.confidence,
            "objects": self.objects,
        }
        return ["masks", *(kind for kind, wanted in optional.items() if wanted)]

    @property
    def needs_probabilities(self) -> bool:
        """Whether an output needs the network's probabilities, not only its class ids."""
        return self.probabilities or self.confidence or self.objects or self.unsure > 0

    def outputs(self, name: str) -> dict[str, Path]:
        """The file of each output, by kind, of the photo with this name."""
        return outputs.paths(self.output_dir, name, self.kinds)
