"""Entry point of a training job: `eggseg.train` with the folders that SageMaker provides."""

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
    """Train; an interrupted job continues from its last checkpoint."""
    args = sys.argv[1:]
    checkpoints = BASE / "checkpoints"
    if checkpoints.is_dir():
        # SageMaker syncs this folder with S3 while the job runs, and restores it when the job restarts.
        args += ["--output_dir", str(checkpoints), "--resume"]
    try:
        train.run(Config.from_args(args))
    except (InputError, OSError) as error:
        # The toolkit takes a printed line with the name of an exception as the job's failure reason.
        sys.exit(f"RuntimeError: {' '.join(str(error).split())}")
    _add_serving_code()
    hosts = json.loads(os.environ.get("SM_HOSTS", "[]"))
    if checkpoints.is_dir() and os.environ.get("SM_CURRENT_HOST") in hosts[:1]:
        _keep_pictures(checkpoints)


def _add_serving_code() -> None:
    """Copy the handler beside the model, where the endpoint expects it: `code/inference.py`."""
    handler = Path(__file__).parent / "inference.py"
    model = os.environ.get("SM_MODEL_DIR")
    if model and handler.exists():
        target = Path(model, "code")
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(handler, target)


def _keep_pictures(run: Path) -> None:
    """Copy metrics and pictures to the job's output, where no later job overwrites them."""
    output = Path(os.environ.get("SM_OUTPUT_DATA_DIR", BASE / "output" / "data"))
    output.mkdir(parents=True, exist_ok=True)
    for name in PICTURES:
        if (run / name).exists():
            shutil.copy(run / name, output)


if __name__ == "__main__":
    main()
