"""What `sagemaker/deploy.py` would send, caught before it is sent."""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "sagemaker"))

import deploy

pytestmark = pytest.mark.filterwarnings("ignore:.*SageMaker Python SDK v2:FutureWarning")

ROLE = "arn:aws:iam::111122223333:role/SageMaker"
MODEL = "s3://models/model.tar.gz"
REGISTRY = "763104351884.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # The SDK checks the schema of its configuration many times a request, which takes most of the time.
    monkeypatch.setattr("jsonschema.validate", lambda *_: None)
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)


def command(kind: str, *args: str, model: str = MODEL) -> list[str]:
    return [kind, model, "--role", ROLE, "--region", "eu-west-1", "--dry_run", *args]


def requests(capsys: pytest.CaptureFixture[str], kind: str, *args: str) -> dict[str, Any]:
    assert deploy.main(command(kind, *args)) == 0
    out = capsys.readouterr().out
    return json.loads(out[out.index("{") :])


def test_an_endpoint_on_a_machine_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    sent = requests(capsys, "realtime", "--name", "eggs", "--instance_count", "2", "--tags", "team=robots")
    assert list(sent) == ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"]
    model = sent["CreateModel"]["PrimaryContainer"]
    assert model["ModelDataUrl"] == MODEL
    assert model["Image"] == f"{REGISTRY}/tensorflow-inference:2.20.0-cpu-py312"
    (variant,) = sent["CreateEndpointConfig"]["ProductionVariants"]
    assert (variant["InstanceType"], variant["InitialInstanceCount"]) == ("ml.c6i.xlarge", 2)
    assert sent["CreateEndpoint"]["EndpointName"] == "eggs"
    assert all(request["Tags"] == [{"Key": "team", "Value": "robots"}] for request in sent.values())


def test_an_endpoint_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    sent = requests(capsys, "serverless", "--memory", "4096", "--concurrent", "8")
    (variant,) = sent["CreateEndpointConfig"]["ProductionVariants"]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 4096, "MaxConcurrency": 8}


def test_a_bucket_of_photos(capsys: pytest.CaptureFixture[str]) -> None:
    sent = requests(capsys, "batch", "--photos", "s3://b/photos", "--masks", "s3://b/masks")
    assert list(sent) == ["CreateModel", "CreateTransformJob"]
    job = sent["CreateTransformJob"]
    assert job["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"] == "s3://b/photos"
    assert job["TransformInput"]["ContentType"] == "application/x-image"
    assert job["TransformOutput"] == {"S3OutputPath": "s3://b/masks", "Accept": "image/png"}
    assert job["BatchStrategy"] == "SingleRecord"
    assert (job["MaxConcurrentTransforms"], job["MaxPayloadInMB"]) == (3, 32)


@pytest.mark.parametrize(("concurrent", "megabytes"), [(1, 32), (4, 25), (10, 10), (100, 1)])
def test_photos_of_a_bucket_that_are_worked_on_at_a_time_have_100_mb_together(
    concurrent: int, megabytes: int, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["--photos", "s3://b/photos", "--masks", "s3://b/masks", "--concurrent", str(concurrent)]
    job = requests(capsys, "batch", *args)["CreateTransformJob"]
    assert (job["MaxConcurrentTransforms"], job["MaxPayloadInMB"]) == (concurrent, megabytes)


def test_a_machine_with_a_gpu_gets_an_image_with_cuda_and_an_endpoint_on_demand_never(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for kind, processor in (("realtime", "gpu"), ("serverless", "cpu")):
        model = requests(capsys, kind, "--instance_type", "ml.g5.xlarge")["CreateModel"]["PrimaryContainer"]
        assert model["Image"] == f"{REGISTRY}/tensorflow-inference:2.20.0-{processor}-py312"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["batch"], "batch takes --photos s3://... and --masks s3://..."),
        (["realtime", "--instance_type", "ml.g5.huge"], "InstanceType is 'ml.g5.huge', expected one of ml.g5"),
        (
            ["realtime", "--instance_type", "ml.c7g.xlarge"],
            "AWS has no TensorFlow image for ml.c7g.xlarge in eu-west-1",
        ),
        (
            ["batch", "--photos", "s3://b/a", "--masks", "s3://b/m", "--concurrent", "101"],
            "MaxConcurrentTransforms is 101 and MaxPayloadInMB 1, expected a product of at most 100",
        ),
        (["realtime", "--name", "my_eggs"], "EndpointName is 'my_eggs', expected to match"),
        (["serverless", "--memory", "100"], "ServerlessConfig.MemorySizeInMB, value: 100, valid min value: 1024"),
    ],
)
def test_what_the_service_would_refuse_is_said(
    args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy.main(command(args[0], *args[1:])) == 2
    assert message in capsys.readouterr().err


def test_a_run_is_packed_as_the_endpoint_wants_it(run_dir: Path, tmp_path: Path) -> None:
    archive = deploy.pack(run_dir, tmp_path)
    with tarfile.open(archive) as packed:
        names = set(packed.getnames())
    assert {"1/saved_model.pb", "1/variables/variables.index", "1/assets/eggseg.json", "code/inference.py"} <= names
    assert deploy.main(command("serverless", model=str(run_dir))) == 0


def test_what_holds_no_model_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy.main(command("realtime", model=str(tmp_path))) == 2
    assert f"{tmp_path} holds no model" in capsys.readouterr().err
