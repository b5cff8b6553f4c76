"""What `sagemaker/launch.py` would send, caught before it is sent."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "sagemaker"))

import launch  # noqa: E402

from eggseg.data.classes import Class, ClassTable  # noqa: E402
from eggseg.errors import InputError  # noqa: E402
from eggseg.training.config import Config  # noqa: E402

ROLE = "arn:aws:iam::111122223333:role/SageMaker"

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*SageMaker Python SDK v2:FutureWarning"),
]


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No account, and no network that could be reached."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    def refuse(*args: Any, **_: Any) -> None:
        raise AssertionError(f"tried to reach {args}")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    # The SDK checks the schema of its configuration 22 times a job, which takes most of the time.
    monkeypatch.setattr("jsonschema.validate", lambda *_: None)


def command(*args: str, role: str = ROLE) -> list[str]:
    return ["s3://photos/eggs", "--role", role, "--region", "eu-west-1", "--dry_run", *args]


def request(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    assert launch.main(command(*args)) == 0
    return only(capsys)


def only(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one request that was printed."""
    out = capsys.readouterr().out
    (sent,) = json.loads(out[out.index("{") :]).values()
    return sent


def test_the_request_of_a_job(capsys: pytest.CaptureFixture[str]) -> None:
    sent = request(capsys, "--tags", "team=robots", "--", "--profile", "quick", "--epochs", "12")
    assert re.fullmatch(r"eggseg-[0-9-]+", sent["TrainingJobName"])
    assert sent["ResourceConfig"] == {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50}
    assert sent["StoppingCondition"] == {"MaxRuntimeInSeconds": 21600}
    assert sent["RoleArn"] == ROLE
    assert sent["Tags"] == [{"Key": "team", "Value": "robots"}]
    (channel,) = sent["InputDataConfig"]
    assert channel["ChannelName"] == "training"
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == "s3://photos/eggs"
    ours = {name: json.loads(v) for name, v in sent["HyperParameters"].items() if not name.startswith("sagemaker_")}
    assert ours.pop("model_dir").startswith("s3://sagemaker-eu-west-1-111122223333/eggseg/jobs/")
    assert ours == {"profile": "quick", "epochs": 12}
    assert "CheckpointConfig" not in sent


def test_the_job_trains_with_the_settings_that_were_given(capsys: pytest.CaptureFixture[str]) -> None:
    """A flag that puts back what a profile changes is sent, though it is the default."""
    flags = ["--profile", "quick", "--image_size", "400", "--learning_rate", "1e-3", "--tta"]
    sent = request(capsys, "--", *flags)["HyperParameters"]
    ours = {name: json.loads(v) for name, v in sent.items() if not name.startswith(("sagemaker_", "model_dir"))}
    there = Config.from_args([part for name, value in ours.items() for part in (f"--{name}", str(value))])
    assert there == Config.from_args(flags)


def test_metrics_are_read_from_the_lines_that_training_prints(capsys: pytest.CaptureFixture[str]) -> None:
    found = {row["Name"]: row["Regex"] for row in request(capsys)["AlgorithmSpecification"]["MetricDefinitions"]}
    lines = ["val_miou=0.9123", "val_iou_egg=0.8", "val_loss=1.25", "miou=0.91"]
    read = {name: [re.search(regex, line) for line in lines] for name, regex in found.items()}
    values = {name: [match[1] for match in matches if match] for name, matches in read.items()}
    assert values["val_miou"] == ["0.9123"]
    assert values["miou"] == ["0.91"]
    assert values["val_iou_egg"] == ["0.8"]
    assert values["val_loss"] == ["1.25"]


def test_metrics_are_read_whatever_a_class_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from eggseg.training.callbacks import RunRecorder
    from eggseg.training.objective import IoU

    names = ["background", "egg (boiled)", "c++", "a|b", "Ei [roh]", "[x]*", "50 % ^done$", "back\\slash", "œuf"]
    table = ClassTable(tuple(Class(name, 10 * i, (0, 0, i)) for i, name in enumerate(names)))
    (tmp_path / "classes.json").write_text(json.dumps(table.to_json()))
    # Of class i, i of 10 pixels are found.
    iou = IoU(table)
    truth = np.repeat(np.arange(len(names), dtype=np.uint8), 10)[None]
    found = np.where(np.arange(truth.size) % 10 < truth, truth, 0)
    iou.update_state(truth, np.eye(len(names), dtype=np.float32)[found])
    recorder = RunRecorder(tmp_path, averaged=SimpleNamespace(update=lambda: None))  # type: ignore[arg-type]
    recorder.set_model(SimpleNamespace(optimizer=SimpleNamespace(learning_rate=0.1)))
    for saving in ("_save_weights", "_save_checkpoint"):
        monkeypatch.setattr(recorder, saving, lambda: None)
    recorder.on_epoch_end(0, {f"val_{name}": value for name, value in iou.result().items()})
    printed = capsys.readouterr().out
    read = {
        row["Name"]: re.findall(row["Regex"], printed)
        for row in launch.metric_definitions(Config(classes=tmp_path / "classes.json"))
    }
    for i, name in enumerate(names[1:], start=1):
        assert read[f"val_iou_{name}"] == [f"{i / 10:.4f}"], name
    assert len(read["val_miou"]) == len(read["val_iou_background"]) == 1
    assert read["miou"] == []


def test_a_spot_job_has_a_place_for_checkpoints_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    sent = request(capsys, "--spot", "--max_hours", "2")
    assert sent["EnableManagedSpotTraining"] is True
    assert sent["StoppingCondition"] == {"MaxRuntimeInSeconds": 7200, "MaxWaitTimeInSeconds": 14400}
    assert sent["CheckpointConfig"]["S3Uri"].endswith(f"/eggseg/checkpoints/{sent['TrainingJobName']}")


@pytest.mark.parametrize("image", [[], ["--image_uri", "111122223333.dkr.ecr.eu-west-1.amazonaws.com/eggseg:1"]])
def test_several_machines_train_together(image: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    sent = request(capsys, "--instance_count", "4", *image)
    assert sent["ResourceConfig"]["InstanceCount"] == 4
    assert sent["HyperParameters"]["sagemaker_multi_worker_mirrored_strategy_enabled"] == "true"
    assert json.loads(sent["HyperParameters"]["distribution"]) == "multi_worker"


@pytest.mark.parametrize(
    ("region", "machine", "registry", "tag"),
    [
        ("eu-west-1", "ml.g5.xlarge", "763104351884.dkr.ecr.eu-west-1.amazonaws.com", "2.21.0-gpu-py312"),
        ("eu-west-1", "ml.c6i.xlarge", "763104351884.dkr.ecr.eu-west-1.amazonaws.com", "2.21.0-cpu-py312"),
        ("cn-north-1", "ml.g5.xlarge", "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn", "2.21.0-gpu-py312"),
    ],
)
def test_without_one_it_is_awss_newest(
    region: str, machine: str, registry: str, tag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["s3://photos/eggs", "--role", ROLE, "--region", region, "--dry_run", "--instance_type", machine]
    assert launch.main([*args, "--instance_count", "2"]) == 0
    assert only(capsys)["AlgorithmSpecification"]["TrainingImage"] == f"{registry}/tensorflow-training:{tag}"


def test_a_region_without_images_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert launch.main(["s3://photos/eggs", "--role", ROLE, "--region", "mars-north-1", "--dry_run"]) == 2
    assert "AWS has no TensorFlow image for ml.g5.xlarge in mars-north-1: " in capsys.readouterr().err


def test_the_sdk_says_that_it_ends() -> None:
    """In a process of its own: each process is told once."""
    command = [sys.executable, ROOT / "sagemaker/launch.py", "s3://a/b", "--role", ROLE, "--dry_run"]
    done = subprocess.run([*command, "--region", "eu-west-1"], capture_output=True, text=True, check=True)
    assert "SageMaker Python SDK v2, which is on path of deprecation" in done.stderr


@pytest.mark.parametrize("script", ["launch.py", "deploy.py"])
def test_without_the_sdk_it_says_how_to_get_it(script: str, tmp_path: Path) -> None:
    """In a process of its own, in which the folder of that name is all that is found."""
    what = ["s3://a/b"] if script == "launch.py" else ["serverless", "s3://a/model.tar.gz"]
    code = (
        "import importlib.abc, runpy, sys\n"
        "class Missing(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('boto3', 'botocore', 'sagemaker'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", code, ROOT / "sagemaker" / script, *what, "--role", ROLE, "--dry_run"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "error: sending to SageMaker takes an extra: pip install '.[sagemaker]' in the folder of eggseg's source\n"
    )


def test_an_image_of_ones_own_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    image = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/eggseg:latest"
    assert request(capsys, "--image_uri", image)["AlgorithmSpecification"]["TrainingImage"] == image


def test_a_search_varies_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    sent = request(capsys, "--tune", "12", "--tune_parallel", "3", "--", "--epochs", "20")
    config = sent["HyperParameterTuningJobConfig"]
    assert config["HyperParameterTuningJobObjective"] == {"Type": "Maximize", "MetricName": "val_miou"}
    assert config["ResourceLimits"] == {"MaxNumberOfTrainingJobs": 12, "MaxParallelTrainingJobs": 3}
    ranges = {row["Name"] for row in config["ParameterRanges"]["ContinuousParameterRanges"]}
    assert ranges == {"learning_rate", "dice", "augment"}
    assert json.loads(sent["TrainingJobDefinition"]["StaticHyperParameters"]["epochs"]) == 20


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["--instance_type", "ml.g5.huge"],
            "InstanceType is 'ml.g5.huge', expected one of ml.g5.xlarge, ml.g5.2xlarge",
        ),
        (["--volume_size", "-1"], "VolumeSizeInGB, value: -1, valid min value: 0"),
        (["--spot", "--tune", "3"], "leave one of them out"),
        (["--subnets", "subnet-1"], "--subnets and --security_group_ids belong together"),
        (["--", "--encoder_weights", "mine.h5"], "--encoder_weights mine.h5 is a local file"),
        (["--", "--tfds", "oxford_iiit_pet"], "--tfds oxford_iiit_pet means nothing in a job"),
        (["--job_name", "my_eggs"], "TrainingJobName is 'my_eggs-"),
        (
            ["--spot", "--max_wait_hours", "1"],
            "MaxWaitTimeInSeconds is 3600, expected at least MaxRuntimeInSeconds, 21600",
        ),
        (["--instance_count", "3"], "--batch_size is 8, expected a multiple of the 3 machines"),
        (["--instance_count", "0"], "ResourceConfig.InstanceCount is 0, expected at least 1"),
        (["--tags", "team"], "--tags team: expected KEY=VALUE"),
        (["--tags", *(f"a{i}=b" for i in range(51))], "Tags has 51 entries, expected at most 50"),
        (["--", "--epochs", "-1"], "--epochs is -1, expected at least 1"),
        (["--", "--data_dir", "here"], "--data_dir here means nothing in a job: leave it out"),
        (["--", "--folds", "5"], "--folds 5 means nothing in a job"),
        (["--", "--init", "run"], "--init run means nothing in a job"),
        (["--", "--output_dir", "scenes"], "--output_dir scenes means nothing in a job"),
        (["--tune", "2", "--", "--val_fraction", "0"], "--tune compares val_miou"),
    ],
)
def test_what_the_service_would_refuse_is_said_before_it_is_sent(
    args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch.main(command(*args)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_a_role_is_an_arn_or_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert launch.main(command(role="SageMaker")) == 0
    capsys.readouterr()
    assert launch.main(command(role="arn:aws:iam::1:role/x")) == 2
    assert "RoleArn is 'arn:aws:iam::1:role/x'" in capsys.readouterr().err


def test_without_a_region_it_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    assert launch.main(["s3://a/b", "--role", ROLE, "--dry_run"]) == 2
    assert "set --region" in capsys.readouterr().err


def test_data_of_this_machine_must_be_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["--role", ROLE, "--region", "eu-west-1", "--dry_run"]
    assert launch.main([str(tmp_path), *args]) == 2
    assert "is neither a folder with images/ and masks/ nor" in capsys.readouterr().err
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.png").write_bytes(b"x")
    assert launch.main([str(tmp_path), *args]) == 0
    uri = only(capsys)["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
    assert uri == f"s3://sagemaker-eu-west-1-111122223333/eggseg/data/{tmp_path.name}"


def test_the_code_of_a_job_is_complete(tmp_path: Path) -> None:
    classes = tmp_path / "mine.json"
    classes.write_text('[{"name": "table", "value": 0}, {"name": "spoon", "value": 9}]')
    config = Config(classes=classes)
    settings = launch.Settings(data="s3://a/b", role=ROLE)
    assert launch.hyperparameters(config)["classes"] == "classes.json"
    assert "val_iou_spoon" in {row["Name"] for row in launch.metric_definitions(config)}
    with launch._code(settings, config) as folder:
        names = {path.name for path in folder.iterdir()}
        assert names == {"entry.py", "inference.py", "classes.json", "eggseg", "requirements.txt"}
        needed = (folder / "requirements.txt").read_text()
        assert "tensorflow>" not in needed
        assert "pillow>=13" in needed
        assert "sagemaker" not in needed
        with tarfile.open(tmp_path / "code.tar.gz", "w:gz") as archive:
            archive.add(folder, "code")
    assert (tmp_path / "code.tar.gz").stat().st_size < 17_000_000, "most of it the weights that come with eggseg"
    own = launch.Settings(data="s3://a/b", role=ROLE, image_uri="own")
    with launch._code(own, Config()) as folder:
        assert {path.name for path in folder.iterdir()} == {"entry.py", "inference.py"}


def test_what_is_no_table_of_classes_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read as JSON"):
        launch.metric_definitions(Config(classes=tmp_path / "nothing.json"))
