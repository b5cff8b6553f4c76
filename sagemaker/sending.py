"""Send something to SageMaker, after a rehearsal that finds what the service would refuse."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

# The SDK's remarks on other versions of itself, and on where it found no configuration.
os.environ.setdefault("SAGEMAKER_SUPPRESS_V2_WARNING", "1")
logging.getLogger("sagemaker.config").setLevel(logging.WARNING)

from limits import faults  # noqa: E402
from rehearsal import Rehearsal  # noqa: E402

from eggseg.errors import InputError  # noqa: E402

FRAMEWORK = {"framework_version": "2.19", "py_version": "py312"}
"""The newest that the SDK knows; with an image of one's own it is what the SDK must be told, and no more."""

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
    """Image of your own; without it AWS's for TensorFlow."""
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
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

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
    made = [
        (name, request) for name, request in rehearsal.calls if name.startswith("Create") and name != "CreateBucket"
    ]
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
