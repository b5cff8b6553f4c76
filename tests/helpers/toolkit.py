"""Run SageMaker's training toolkit as in a container, from the request that starts a job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3


class Job:
    """The folders of a training job, in SageMaker's layout."""

    def __init__(self, base: Path, request: dict[str, Any]) -> None:
        self.base = base
        host = "algo-1"
        resources = {
            "current_host": host,
            "hosts": [host],
            "current_instance_type": request["ResourceConfig"]["InstanceType"],
            "current_group_name": "homogeneousCluster",
            "instance_groups": [
                {
                    "instance_group_name": "homogeneousCluster",
                    "instance_type": request["ResourceConfig"]["InstanceType"],
                    "hosts": [host],
                }
            ],
            "network_interface_name": "lo",
        }
        channels = {}
        for channel in request["InputDataConfig"]:
            name = channel["ChannelName"]
            channels[name] = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}
            self._download(channel["DataSource"]["S3DataSource"]["S3Uri"], base / "input" / "data" / name)
        config = base / "input" / "config"
        config.mkdir(parents=True)
        (config / "hyperparameters.json").write_text(json.dumps(request["HyperParameters"]))
        (config / "resourceconfig.json").write_text(json.dumps(resources))
        (config / "inputdataconfig.json").write_text(json.dumps(channels))
        for folder in ("model", "output/data", "code", *(["checkpoints"] if "CheckpointConfig" in request else [])):
            (base / folder).mkdir(parents=True)

    def _download(self, uri: str, folder: Path) -> None:
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        s3 = boto3.resource("s3").Bucket(bucket)
        for item in s3.objects.filter(Prefix=prefix):
            path = folder / item.key.removeprefix(prefix).lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(item.key, str(path))

    def start(self) -> subprocess.Popen[str]:
        """Start the toolkit's `train` in a session of its own: like a container, all of it can be ended at once."""
        env = os.environ | {
            "SAGEMAKER_BASE_DIR": str(self.base),
            "SAGEMAKER_TRAINING_MODULE": "sagemaker_tensorflow_container.training:main",
            "SM_STUDIO_LOCAL_MODE": "true",  # without it, the toolkit resolves the hosts' names for minutes
            "PYTHONUNBUFFERED": "1",
        }
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "train")],
            env=env,
            cwd=self.base,
            stdout=(self.base / "log").open("a"),
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @property
    def log(self) -> str:
        return (self.base / "log").read_text()

    @property
    def failure(self) -> str:
        return (self.base / "output" / "failure").read_text()
