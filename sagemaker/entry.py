"""What a training job runs: `eggseg.train` with the folders that SageMaker gives it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from eggseg import train
from eggseg.errors import InputError
from eggseg.training.config import METRICS, Config

BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
PICTURES = ("samples.png", "curves.png", "history.csv", "config.json", METRICS)


def main() -> None:
    """Train; a job that was interrupted goes on where its checkpoints end."""
    args = sys.argv[1:]
    checkpoints = BASE / "checkpoints"
    if checkpoints.is_dir():
        # Synchronised with S3 while the job runs, and there again when it starts anew.
        args += ["--output_dir", str(checkpoints), "--resume"]
    try:
        train.run(Config.from_args(args))
    except (InputError, OSError) as error:
        # Of all that a job prints, the toolkit takes a line with the name of an exception for its failure's reason.
        sys.exit(f"RuntimeError: {' '.join(str(error).split())}")
    _add_serving_code()
    hosts = json.loads(os.environ.get("SM_HOSTS", "[]"))
    if checkpoints.is_dir() and os.environ.get("SM_CURRENT_HOST") in hosts[:1]:
        _keep_pictures(checkpoints)


def _add_serving_code() -> None:
    """The endpoint wants its handler beside the model: `code/inference.py`."""
    handler = Path(__file__).parent / "inference.py"
    model = os.environ.get("SM_MODEL_DIR")
    if model and handler.exists():
        target = Path(model, "code")
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(handler, target)


def _keep_pictures(run: Path) -> None:
    """Figures and pictures go to the job's output, where no later job writes over them."""
    output = Path(os.environ.get("SM_OUTPUT_DATA_DIR", BASE / "output" / "data"))
    output.mkdir(parents=True, exist_ok=True)
    for name in PICTURES:
        if (run / name).exists():
            shutil.copy(run / name, output)


if __name__ == "__main__":
    main()
