"""Send requests to SageMaker, after a rehearsal that finds what the service would refuse."""

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

# Quiet messages about missing configuration files, and deprecations, which the SDK also raises as warnings.
logging.getLogger("sagemaker.config").setLevel(logging.WARNING)
logging.getLogger("sagemaker.deprecations").setLevel(logging.ERROR)

FRAMEWORK = {"framework_version": "2.19", "py_version": "py312"}
"""The newest version the SDK knows. The SDK requires one, but the image decides what a job or endpoint runs."""

IMAGES = {"training": "2.21.0", "inference": "2.20.0"}
"""TensorFlow versions of AWS's newest images. AWS patches them until 2027-07-10 and 2027-08-20."""

QUIET = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
"""Configuration of the SDK: no telemetry."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of every request."""

    role: str
    """IAM role of the job or endpoint: its ARN or its name."""
    region: str | None = None
    """AWS region; the default comes from your AWS configuration."""
    bucket: str | None = None
    """Bucket for uploads and results; the default is SageMaker's default bucket of your account."""
    prefix: str = "eggseg"
    """Prefix of all keys in the bucket."""
    instance_type: str
    """Instance type."""
    instance_count: int = 1
    """Number of machines."""
    image_uri: str | None = None
    """Your own image; the default is AWS's newest for TensorFlow."""
    tags: tuple[str, ...] = ()
    """Tags, each KEY=VALUE."""
    wait: bool = False
    """Wait until the job is done or the endpoint is ready, and show its log."""
    dry_run: bool = False
    """Check and print the requests without sending them."""


def send(start: Callable[[Any, bool], None], settings: Settings) -> str:
    """Call `start(session, rehearsing)` twice: with a session that sends nothing, then for real; return the region.

    `InputError` names what the service would refuse, before anything is sent, or what it did refuse. A dry run ends
    after the rehearsal and prints the requests.
    """
    need_sdk()
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
    from rehearsal import Rehearsal

    import sagemaker

    region = settings.region or boto3.Session().region_name
    if not region:
        raise InputError("there is no region in your AWS configuration: set --region")
    rehearsal = Rehearsal(region)
    session = sagemaker.Session(
        rehearsal.session, default_bucket=settings.bucket or rehearsal.bucket, sagemaker_config=QUIET
    )
    # Return the address without reading the files: data sets are large.
    session.upload_data = lambda path, bucket, key_prefix: f"s3://{bucket}/{key_prefix}/{_name_if_file(path)}".rstrip(
        "/"
    )
    try:
        start(session, True)
    except ParamValidationError as error:
        raise InputError(" ".join(str(error).split())) from None
    requests = [(name, request) for name, request in rehearsal.calls if name.startswith("Create")]
    wrong = [fault for name, request in requests for fault in faults(session.sagemaker_client, name, request)]
    if wrong:
        raise InputError("\n".join(wrong))
    if settings.dry_run:
        print(json.dumps(dict(requests), indent=2, default=str))
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
    """`InputError` if the SageMaker SDK is not installed, or in a version without `sagemaker.tensorflow`."""
    # Without the SDK, `sagemaker` is this folder; version 3 of the SDK has no `sagemaker.tensorflow`.
    try:
        spec = importlib.util.find_spec("sagemaker.tensorflow")
    except ImportError:
        spec = None
    if not spec:
        raise missing_extra("sending to SageMaker", "sagemaker")


def image(scope: str, region: str, instance_type: str | None = None) -> str:
    """AWS's newest TensorFlow image for "training" or "inference" in a region, with CUDA where the machine has a GPU.

    Without an instance type, the CPU image. `InputError` if AWS has no such image.
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
        raise InputError(f"AWS has no TensorFlow image for {instance_type or 'CPUs'} in {region}: {error}") from None
    repository, _, tag = known.rpartition(":")
    return f"{repository}:{IMAGES[scope]}-{'gpu' if 'gpu' in tag else 'cpu'}-{FRAMEWORK['py_version']}"


def _name_if_file(path: str) -> str:
    """What the SDK appends to the prefix: the name of a file, nothing for a folder."""
    return Path(path).name if Path(path).is_file() else ""


def tags(pairs: tuple[str, ...]) -> list[dict[str, str]]:
    """Parse tags KEY=VALUE into the form that the service takes."""
    parsed = []
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign:
            raise InputError(f"--tags {pair}: expected KEY=VALUE")
        parsed.append({"Key": key, "Value": value})
    return parsed
