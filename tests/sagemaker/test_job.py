"""A job from end to end: the SDK's `fit` to a stand-in for AWS, then the real toolkit with what it was sent."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.data_sets import draw
from helpers.toolkit import Job
from moto.server import ThreadedMotoServer

import eggseg

sys.path.insert(0, str(Path(__file__).parents[2] / "sagemaker"))

import launch

pytestmark = [
    pytest.mark.full,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*SageMaker Python SDK v2:FutureWarning"),
]

ROLE = "arn:aws:iam::111122223333:role/SageMaker"
NETWORK = (
    *("--encoder", "plain", "--image_size", "49", "--base_filters", "4", "--depth", "2", "--batch_size", "4"),
    *("--precision", "float32", "--dice", "0"),
)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stand-in for AWS on this machine."""
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    values = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nobody",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    yield
    server.stop()


def sent(monkeypatch: pytest.MonkeyPatch, *args: str) -> dict[str, Any]:
    """What `launch.py` sends to start a job, after it has sent it."""
    from botocore.client import BaseClient

    requests = []
    call = BaseClient._make_api_call

    def noting(client: Any, operation: str, request: dict[str, Any]) -> Any:
        if operation == "CreateTrainingJob":
            requests.append(request)
        return call(client, operation, request)

    monkeypatch.setattr(BaseClient, "_make_api_call", noting)
    assert launch.main([args[0], "--role", ROLE, "--bucket", "our-jobs", *args[1:]]) == 0
    rehearsed, request = requests
    assert rehearsed["HyperParameters"].keys() == request["HyperParameters"].keys()
    return request


def test_a_job_ends_with_a_model_that_predicts(
    aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    request = sent(monkeypatch, str(data_dir), "--", *NETWORK, "--epochs", "2")
    job = Job(tmp_path / "ml", request)
    assert job.start().wait() == 0, job.log
    assert (tmp_path / "ml/output/success").exists()
    model = tmp_path / "ml/model"
    assert (model / "1/saved_model.pb").exists()
    assert (model / "code/inference.py").exists()
    ids, _ = eggseg.load(model)(np.zeros((30, 40, 3), np.uint8))
    assert ids.shape == (30, 40)
    for row in request["AlgorithmSpecification"]["MetricDefinitions"]:
        found = re.findall(row["Regex"], job.log)
        assert len(found) == (1 if row["Name"] == "miou" else 2), row
    assert (tmp_path / "ml/output/data/metrics.json").exists()


def test_a_job_that_fails_says_why_in_a_line(aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = draw(tmp_path / "data", 8)
    (folder / "masks/photo_1.png").unlink()
    job = Job(tmp_path / "ml", sent(monkeypatch, str(folder), "--", *NETWORK, "--epochs", "2"))
    assert job.start().wait() == 1
    assert not (tmp_path / "ml/output/success").exists()
    assert 'ErrorMessage "RuntimeError: pairs: ' in job.failure
    assert "photo_1.png has no mask" in job.failure
    assert not list((tmp_path / "ml/model").iterdir())


def test_an_interrupted_spot_job_goes_on_and_ends_as_one_that_was_not(
    aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    request = sent(monkeypatch, str(data_dir), "--spot", "--", *NETWORK, "--epochs", "6")
    whole, stopped = (Job(tmp_path / name, request) for name in ("whole", "stopped"))
    assert whole.start().wait() == 0, whole.log
    process = stopped.start()
    while "Epoch 3/6" not in stopped.log:
        assert process.poll() is None, stopped.log
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGTERM)
    time.sleep(0.2)  # two minutes, where somebody pays for them
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not list((tmp_path / "stopped/model").iterdir())
    assert stopped.start().wait() == 0, stopped.log
    assert "resuming after epoch" in stopped.log
    figures = [json.loads((tmp_path / name / "output/data/metrics.json").read_text()) for name in ("whole", "stopped")]
    for name in ("miou", "confusion", "epochs"):
        assert figures[0][name] == figures[1][name]
