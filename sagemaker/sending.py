"""Send something to SageMaker, after a rehearsal that finds what the service would refuse."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from limits import faults

from eggseg.errors import InputError, missing_extra

# Its remarks on where it found no configuration; and what it logs of other versions of itself it says as a warning too.
logging.getLogger("sagemaker.config").setLevel(logging.WARNING)
logging.getLogger("sagemaker.deprecations").setLevel(logging.ERROR)

FRAMEWORK = {"framework_version": "2.19", "py_version": "py312"}
"""The newest that the SDK knows. It wants to be told, but the image decides what a job or an endpoint runs."""

IMAGES = {"training": "2.21.0", "inference": "2.20.0"}
"""TensorFlow of the newest image that AWS has for each. AWS patches them until 2027-07-10 and 2027-08-20."""

QUIET = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
"""The SDK's configuration: it reports to nobody what it was used for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What every request needs."""

    role: str
    """Role that it works under: its ARN, or its name."""
    region: str | None = None
    """Region; the default is that of your AWS configuration."""
    bucket: str | None = None
    """Bucket for what is uploaded and for results; the default is SageMaker's own of your account."""
    prefix: str = "eggseg"
    """Where in the bucket."""
    instance_type: str
    """Machine."""
    instance_count: int = 1
    """Machines."""
    image_uri: str | None = None
    """Image of your own; without it AWS's newest for TensorFlow."""
    tags: tuple[str, ...] = ()
    """KEY=VALUE, as often as you like."""
    wait: bool = False
    """Stay until it is done, and show its log."""
    dry_run: bool = False
    """Check and print what would be sent, and send nothing."""


def send(start: Callable[[Any, bool], None], settings: Settings) -> str:
    """Call `start(session, rehearsing)`, first with a session that sends nothing; the region.

    `InputError` says what the service would refuse, before anything was sent, or did refuse. A dry run ends with the
    rehearsal, and prints what would have been sent.
    """
    need_sdk()
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
    from rehearsal import Rehearsal

    import sagemaker

    region = settings.region or boto3.Session().region_name
    if not region:
        raise InputError("there is no region in your AWS configuration: --region says which")
    rehearsal = Rehearsal(region)
    session = sagemaker.Session(
        rehearsal.session, default_bucket=settings.bucket or rehearsal.bucket, sagemaker_config=QUIET
    )
    # Where it would be, without reading it: data sets are large.
    session.upload_data = lambda path, bucket, key_prefix: f"s3://{bucket}/{key_prefix}/{_name_if_file(path)}".rstrip(
        "/"
    )
    try:
        start(session, True)
    except ParamValidationError as error:
        raise InputError(" ".join(str(error).split())) from None
    made = [(name, request) for name, request in rehearsal.calls if name.startswith("Create")]
    wrong = [fault for name, request in made for fault in faults(session.sagemaker_client, name, request)]
    if wrong:
        raise InputError("\n".join(wrong))
    if settings.dry_run:
        print(json.dumps(dict(made), indent=2, default=str))
        return region
    try:
        real = sagemaker.Session(
            boto3.Session(region_name=region), default_bucket=settings.bucket, sagemaker_config=QUIET
        )
        start(real, False)
    except (BotoCoreError, ClientError) as error:
        raise InputError(f"AWS refused: {error}") from None
    return region


def need_sdk() -> None:
    """`InputError` where the SageMaker SDK is not installed, or a version that lacks what is used here."""
    # Without it, `sagemaker` is this folder; its version 3 has no `sagemaker.tensorflow`.
    try:
        found = importlib.util.find_spec("sagemaker.tensorflow")
    except ImportError:
        found = None
    if not found:
        raise missing_extra("sending to SageMaker", "sagemaker")


def image(scope: str, region: str, instance_type: str | None = None) -> str:
    """AWS's newest TensorFlow image for "training" or "inference" in a region, with CUDA where the machine has a GPU.

    Without an instance type, for processors. `InputError` where AWS has no image for it.
    """
    need_sdk()
    from sagemaker import image_uris

    try:
        known = image_uris.retrieve(
            "tensorflow",
            region,
            FRAMEWORK["framework_version"],
            py_version=FRAMEWORK["py_version"],
            instance_type=instance_type or "ml.c6i.xlarge",
            image_scope=scope,
        )
    except (ValueError, KeyError) as error:
        raise InputError(
            f"AWS has no TensorFlow image for {instance_type or 'processors'} in {region}: {error}"
        ) from None
    repository, _, tag = known.rpartition(":")
    return f"{repository}:{IMAGES[scope]}-{'gpu' if 'gpu' in tag else 'cpu'}-{FRAMEWORK['py_version']}"


def _name_if_file(path: str) -> str:
    """What the SDK puts behind the prefix: the name of a file; of a folder, what is in it."""
    return Path(path).name if Path(path).is_file() else ""


def tags(pairs: tuple[str, ...]) -> list[dict[str, str]]:
    """Tags as the service takes them, from KEY=VALUE."""
    found = []
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign:
            raise InputError(f"--tags {pair}: expected KEY=VALUE")
        found.append({"Key": key, "Value": value})
    return found
