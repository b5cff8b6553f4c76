"""Start a training job or a hyperparameter search on Amazon SageMaker.

    python sagemaker/launch.py s3://BUCKET/DATA --role ROLE --instance_type ml.g5.xlarge -- --profile best

Arguments after `--` are settings of `eggseg train`; they are checked before anything is sent.
"""

from __future__ import annotations

import configparser
import contextlib
import dataclasses
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import sending  # noqa: E402
import tyro  # noqa: E402

from eggseg import cli  # noqa: E402
from eggseg.data.classes import EGGS_AND_PANS, ClassTable  # noqa: E402
from eggseg.errors import InputError  # noqa: E402
from eggseg.training.config import PROFILES, Config  # noqa: E402

HERE_ONLY = (
    "data_dir",
    "output_dir",
    "export_dir",
    "model_dir",
    "init",
    "pseudo",
    "overwrite",
    "resume",
    "fold",
    "folds",
    "tfds",
    "distribution",
)
"""Training settings that mean nothing on another machine, or that the job sets itself."""

SEARCHED = {"learning_rate": (5e-4, 5e-3, "Logarithmic"), "dice": (0.25, 2.0, "Auto"), "augment": (0.3, 1.0, "Linear")}
"""What `--tune` searches: lower bound, upper bound, scale."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(sending.Settings):
    """Start a training job on SageMaker. Settings of eggseg.train follow after `--`."""

    data: tyro.conf.Positional[str]
    """Folder with images/ and masks/: s3://BUCKET/PREFIX, or a local folder, which is uploaded."""
    instance_type: str = "ml.g5.xlarge"
    """Instance type; the default has a GPU with 24 GB."""
    volume_size: int = 50
    """Disk of each machine, GB."""
    image_uri: str | None = None
    """Your own image, from build_and_push.sh; the default is AWS's newest, in which the job installs eggseg."""
    job_name: str = "eggseg"
    """Prefix of the job's name; the time follows."""
    max_hours: float = 6.0
    """Hours after which the job is stopped."""
    spot: bool = False
    """Use spare capacity, at a fraction of the price; an interrupted job continues after its last epoch."""
    max_wait_hours: float = 0.0
    """Hours, waiting and training together, after which a spot job is stopped; 0 is twice --max_hours."""
    subnets: tuple[str, ...] = ()
    """Subnets of a VPC that the job runs in."""
    security_group_ids: tuple[str, ...] = ()
    """Security groups in that VPC."""
    kms_key: str | None = None
    """KMS key that encrypts the disk and the results."""
    tune: int = 0
    """Number of jobs that search learning rate, Dice weight and augmentation for the best val_miou; 0 is no search."""
    tune_parallel: int = 2
    """Concurrent jobs of the search."""


def main(argv: Sequence[str] | None = None) -> int:
    args = list(sys.argv[1:] if argv is None else argv)
    at = args.index("--") if "--" in args else len(args)
    return cli.run(lambda: run(cli.parse(Settings, args[:at], "sagemaker/launch.py"), Config.from_args(args[at + 1 :])))


def run(settings: Settings, config: Config) -> int:
    """Rehearse, check the requests, and send them."""
    if settings.spot and settings.tune:
        raise InputError(
            "--spot keeps the checkpoints of one job, but --tune starts several jobs: leave one of them out"
        )
    if settings.tune and not config.val_fraction:
        raise InputError("--tune compares val_miou, and --val_fraction 0 leaves no photos to measure it on")
    if bool(settings.subnets) != bool(settings.security_group_ids):
        raise InputError("--subnets and --security_group_ids belong together: expected both or neither")
    if config.batch_size % max(1, settings.instance_count):
        raise InputError(
            f"--batch_size is {config.batch_size}, expected a multiple of the {settings.instance_count} machines"
        )
    sending.need_sdk()
    from sagemaker.utils import name_from_base

    name = name_from_base(settings.job_name)
    with _code(settings, config) as folder:

        def start(session: Any, rehearsing: bool) -> None:
            _start(session, settings, config, folder, name, wait=settings.wait and not rehearsing)

        region = sending.send(start, settings)
    if not settings.dry_run:
        print(f"started {_tuning_name(name) if settings.tune else name} in {region}")
    return 0


def _tuning_name(name: str) -> str:
    """The last 32 characters of a name, which hold the time: the service takes no more."""
    return name[-32:].lstrip("-")


def hyperparameters(config: Config, machines: int = 1) -> dict[str, Any]:
    """Training settings that differ from the defaults; `InputError` if one means nothing on another machine."""
    # In the job, flags override the profile: send the profile's name and whatever differs from the profile.
    defaults = Config().to_json() | PROFILES[config.profile]
    changed = {name: value for name, value in config.to_json().items() if value != defaults[name]}
    for name in HERE_ONLY:
        if name in changed and not (name == "init" and changed[name] in ("scenes", "none")):
            raise InputError(f"--{name} {changed[name]} means nothing in a job: leave it out")
    if config.encoder_weights not in ("imagenet", "none"):
        raise InputError(f"--encoder_weights {config.encoder_weights} is a local file: expected imagenet or none")
    if machines > 1:
        # A machine that does not find the others fails, instead of training alone.
        changed["distribution"] = "multi_worker"
    if config.classes:
        changed["classes"] = "classes.json"  # `_code` puts it beside the code
    return changed


def metric_definitions(config: Config) -> list[dict[str, str]]:
    """The metrics that CloudWatch reads from the log, where training prints lines `NAME=VALUE`."""
    classes = ClassTable.read(config.classes) if config.classes else EGGS_AND_PANS
    names = ["val_miou", "val_loss", *(f"val_iou_{name}" for name in classes.names), "miou"]
    return [{"Name": name, "Regex": rf"\b{re.escape(name)}=([0-9.]+)"} for name in names]


@contextlib.contextmanager
def _code(settings: Settings, config: Config) -> Iterator[Path]:
    """A temporary folder with the job's code; for AWS's image it includes eggseg and its requirements."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shutil.copy(ROOT / "sagemaker/entry.py", folder)
        shutil.copy(ROOT / "sagemaker/serve/inference.py", folder)
        if config.classes:
            shutil.copy(config.classes, folder / "classes.json")
        if not settings.image_uri:
            shutil.copytree(ROOT / "eggseg", folder / "eggseg", ignore=shutil.ignore_patterns("__pycache__"))
            (folder / "requirements.txt").write_text("\n".join(requirements()) + "\n")
        yield folder


def requirements() -> list[str]:
    """The dependencies of eggseg that AWS's image lacks: all except TensorFlow and the packages it brings."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup["options"]["install_requires"].splitlines()
    needed = [line for line in lines if line and not line.startswith("#")]
    present = ("tensorflow", "keras", "numpy", "tensorboard")
    return [line for line in needed if not line.startswith(present)]


def _start(session: Any, settings: Settings, config: Config, folder: Path, name: str, *, wait: bool) -> None:
    """Upload the data if it is local, and start the job or search."""
    from sagemaker.tensorflow import TensorFlow
    from sagemaker.tuner import ContinuousParameter, HyperparameterTuner

    base = f"s3://{session.default_bucket()}/{settings.prefix}"
    data = settings.data
    if not data.startswith("s3://"):
        if not Path(data, "images").is_dir():
            raise InputError(f"{data} is neither a folder with images/ and masks/ nor an s3:// address")
        data = session.upload_data(
            data, session.default_bucket(), f"{settings.prefix}/data/{Path(data).resolve().name}"
        )
    seconds = round(settings.max_hours * 3600)
    patience = round(settings.max_wait_hours * 3600) or 2 * seconds
    metrics = metric_definitions(config)
    estimator = TensorFlow(
        entry_point="entry.py",
        source_dir=str(folder),
        role=settings.role,
        instance_type=settings.instance_type,
        instance_count=settings.instance_count,
        volume_size=settings.volume_size,
        image_uri=settings.image_uri or sending.image("training", session.boto_region_name, settings.instance_type),
        **sending.FRAMEWORK,
        distribution={"multi_worker_mirrored_strategy": {"enabled": True}} if settings.instance_count > 1 else None,
        hyperparameters=hyperparameters(config, settings.instance_count),
        metric_definitions=metrics,
        base_job_name=settings.job_name,
        output_path=f"{base}/jobs",
        code_location=f"{base}/code",
        max_run=seconds,
        use_spot_instances=settings.spot,
        max_wait=patience if settings.spot else None,
        checkpoint_s3_uri=f"{base}/checkpoints/{name}" if settings.spot else None,
        subnets=list(settings.subnets) or None,
        security_group_ids=list(settings.security_group_ids) or None,
        volume_kms_key=settings.kms_key,
        output_kms_key=settings.kms_key,
        tags=sending.tags(settings.tags),
        disable_profiler=True,
        debugger_hook_config=False,
        sagemaker_session=session,
    )
    if not settings.tune:
        estimator.fit({"training": data}, wait=wait, logs="All", job_name=name)
        return
    ranges = {name: ContinuousParameter(low, high, scale) for name, (low, high, scale) in SEARCHED.items()}
    tuner = HyperparameterTuner(
        estimator,
        "val_miou",
        ranges,
        metric_definitions=metrics,
        max_jobs=settings.tune,
        max_parallel_jobs=min(settings.tune, settings.tune_parallel),
        objective_type="Maximize",
        base_tuning_job_name=settings.job_name,
        tags=sending.tags(settings.tags),
    )
    tuner.fit({"training": data}, wait=wait, job_name=_tuning_name(name))


if __name__ == "__main__":
    raise SystemExit(main())
