"""The image's script: what it prints in a dry run is what it runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "sagemaker" / "build_and_push.sh"
REGISTRY = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
ARGS = ("--region", "eu-west-1", "--account", "111122223333", "--base", f"{REGISTRY}/base:1")


def run(*args: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = dict(os.environ, PATH=f"{path}:{os.environ['PATH']}" if path else os.environ["PATH"], PYTHON=sys.executable)
    return subprocess.run([str(SCRIPT), *args], capture_output=True, text=True, env=env, check=False)


def commit() -> str:
    def git(*args: str) -> str:
        return subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    return git("rev-parse", "--short=12", "HEAD") + ("-changed" if git("status", "--porcelain") else "")


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    """docker and aws that note how they were called; no repository is there yet."""
    for name in ("docker", "aws"):
        stub = tmp_path / name
        stub.write_text(
            f"#!/usr/bin/env bash\nprintf '%s\\n' \"{name} $*\" >> {tmp_path}/calls\n"
            "[ \"$1 $2\" = 'sts get-caller-identity' ] && echo 111122223333\n"
            "[ \"$1 $2\" != 'ecr describe-repositories' ]\n"
        )
        stub.chmod(0o755)
    return tmp_path


def test_a_dry_run_prints_the_commands() -> None:
    done = run(*ARGS, "--dry_run")
    assert done.returncode == 0
    image = f"{REGISTRY}/eggseg"
    login = f"aws ecr get-login-password --region eu-west-1 | docker login --username AWS --password-stdin {REGISTRY}"
    repository = "ecr describe-repositories --region eu-west-1 --repository-names eggseg"
    assert done.stdout.splitlines() == [
        login,
        f"docker build --build-arg BASE={REGISTRY}/base:1 --build-arg RUN_AS=root"
        f" --tag {image}:{commit()} --tag {image}:latest .",
        login,
        f"aws {repository} || aws ecr create-repository --region eu-west-1 --repository-name eggseg",
        f"docker push {image}:{commit()}",
        f"docker push {image}:latest",
        f"{image}:{commit()}",
    ]


def test_what_it_runs_is_what_a_dry_run_prints(stubs: Path) -> None:
    printed = run(*ARGS, "--dry_run").stdout.splitlines()[:-1]
    done = run(*ARGS, path=stubs)
    assert done.returncode == 0, done.stderr
    said = [part for line in printed for part in line.replace(" || ", " | ").split(" | ")]
    # The two ends of a pipe start in any order.
    assert sorted((stubs / "calls").read_text().splitlines()) == sorted(said)
    assert done.stdout.splitlines()[-1] == f"{REGISTRY}/eggseg:{commit()}"


def test_the_account_is_asked_of_aws(stubs: Path) -> None:
    done = run("--region", "eu-west-1", "--base", "python:3.12-slim", path=stubs)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"{REGISTRY}/eggseg:")
    calls = (stubs / "calls").read_text()
    assert "aws sts get-caller-identity" in calls
    assert calls.count("docker login") == 1, "an image from elsewhere wants no login at AWS"


def test_the_default_base_is_awss_newest_image_for_training() -> None:
    done = run("--region", "eu-west-1", "--account", "111122223333", "--dry_run")
    assert done.returncode == 0, done.stderr
    assert "/tensorflow-training:2.21.0-gpu-py312 " in done.stdout


def test_the_default_base_wants_the_sdk(tmp_path: Path) -> None:
    nothing = tmp_path / "python"
    nothing.write_text("#!/usr/bin/env bash\nexit 1\n")
    nothing.chmod(0o755)
    args = ["--region", "eu-west-1", "--account", "111122223333", "--dry_run"]
    env = os.environ | {"PYTHON": str(nothing)}
    done = subprocess.run([str(SCRIPT), *args], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 2
    assert "pip install '.[sagemaker]', or set --base" in done.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "--region is missing"),
        (["--region"], "--region takes a value"),
        (["--region", "Mars"], "--region is 'Mars', expected one such as eu-west-1"),
        ([*ARGS, "--repository", "Eggs"], "--repository is 'Eggs', expected lower case"),
        ([*ARGS, "--account", "12"], "--account is '12', expected 12 digits"),
        ([*ARGS, "--push"], "unknown argument --push"),
        (["--region", "eu-west-1", "--dry_run"], "--dry_run does not ask AWS: set --account"),
    ],
)
def test_what_it_cannot_use_it_says(args: list[str], message: str) -> None:
    done = run(*args)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("error: ")


def test_help_tells_all() -> None:
    done = run("--help")
    assert done.returncode == 0
    for flag in ("--region", "--repository", "--account", "--base", "--dry_run"):
        assert flag in done.stdout


def test_scripts_and_dockerfile_are_clean() -> None:
    tools = Path(sys.executable).parent
    scripts = [SCRIPT, ROOT / ".ci" / "run"]
    for tool, files in (("shellcheck", scripts), ("hadolint", [ROOT / "Dockerfile"])):
        found = shutil.which(tool, path=f"{tools}:{os.environ['PATH']}")
        assert found, f"{tool} is not installed"
        done = subprocess.run([found, *map(str, files)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
