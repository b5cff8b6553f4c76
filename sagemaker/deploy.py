"""Serve a trained model on Amazon SageMaker, or let it work through a bucket of photos.

python sagemaker/deploy.py realtime MODEL --role ROLE
python sagemaker/deploy.py serverless MODEL --role ROLE
python sagemaker/deploy.py batch MODEL --role ROLE --photos s3://BUCKET/PHOTOS --masks s3://BUCKET/MASKS
"""

from __future__ import annotations

import dataclasses
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import sending  # noqa: E402
import tyro  # noqa: E402

from eggseg import cli  # noqa: E402
from eggseg.errors import InputError  # noqa: E402


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(sending.Settings):
    """Serve a model: on a machine of its own (realtime), on demand (serverless), or for all photos of a bucket
    (batch)."""

    kind: tyro.conf.Positional[Literal["realtime", "serverless", "batch"]]
    """A real-time endpoint costs as long as it is there, a serverless one by the request, batch while it runs."""
    model: tyro.conf.Positional[str]
    """model.tar.gz of a training job, s3://...; or a run folder of this machine, which is packed and uploaded."""
    name: str = "eggseg"
    """Name of the endpoint, or what the name of the batch job begins with."""
    instance_type: str = "ml.c6i.xlarge"
    """Machine, of realtime and batch; bfloat16 needs ml.c7i or ml.m7i."""
    photos: str | None = None
    """Of batch: the photos, s3://BUCKET/PREFIX."""
    masks: str | None = None
    """Of batch: where their masks go, as NAME.out, s3://BUCKET/PREFIX."""
    memory: int = 6144
    """Of serverless: memory, MB."""
    concurrent: int = 3
    """Of serverless and batch: requests that are worked on at a time, by each machine of a batch. A batch takes photos
    of up to 100 MB together at a time, and of 32 MB each."""


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(cli.parse(Settings, argv, "sagemaker/deploy.py")))


def run(settings: Settings) -> int:
    """Rehearse, check what would be sent, and send it."""
    if settings.kind == "batch" and not (settings.photos and settings.masks):
        raise InputError("batch takes --photos s3://... and --masks s3://...")
    with tempfile.TemporaryDirectory() as temporary:
        archive = None if settings.model.startswith("s3://") else pack(Path(settings.model), Path(temporary))

        def start(session: Any, rehearsing: bool) -> None:
            _start(session, settings, archive, wait=settings.wait and not rehearsing)

        region = sending.send(start, settings)
    if not settings.dry_run:
        print(f"started {settings.kind} {settings.name} in {region}")
    return 0


def pack(run: Path, folder: Path) -> Path:
    """A run folder's model as the endpoint wants it: model.tar.gz with `1/` and `code/inference.py`."""
    model = run / "saved_model" / "1"
    if not (model / "saved_model.pb").is_file():
        raise InputError(f"{run} holds no model: expected a run folder with saved_model/1/, or s3://.../model.tar.gz")
    archive = folder / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(model, "1")
        packed.add((Path(__file__).parent / "serve" / "inference.py").resolve(), "code/inference.py")
    return archive


def _start(session: Any, settings: Settings, archive: Path | None, *, wait: bool) -> None:
    sending.need_sdk()
    from sagemaker.serverless import ServerlessInferenceConfig
    from sagemaker.tensorflow import TensorFlowModel

    data = settings.model
    if archive:
        data = session.upload_data(str(archive), session.default_bucket(), f"{settings.prefix}/models/{settings.name}")
    machine = None if settings.kind == "serverless" else settings.instance_type
    model = TensorFlowModel(
        data,
        settings.role,
        framework_version=sending.FRAMEWORK["framework_version"],
        image_uri=settings.image_uri or sending.image("inference", session.boto_region_name, machine),
        sagemaker_session=session,
    )
    shared: dict[str, Any] = {"tags": sending.tags(settings.tags), "wait": wait}
    if settings.kind == "realtime":
        where = {"initial_instance_count": settings.instance_count, "instance_type": settings.instance_type}
        model.deploy(**where, endpoint_name=settings.name, **shared)
    elif settings.kind == "serverless":
        config = ServerlessInferenceConfig(settings.memory, settings.concurrent)
        model.deploy(serverless_inference_config=config, endpoint_name=settings.name, **shared)
    else:
        transformer = model.transformer(
            settings.instance_count,
            settings.instance_type,
            strategy="SingleRecord",  # a photo a request: masks are as large as their photos
            output_path=settings.masks,
            accept="image/png",
            max_concurrent_transforms=settings.concurrent,
            # MB: what the handler takes of each photo, and what the service takes of all at a time.
            max_payload=max(1, min(32, 100 // max(1, settings.concurrent))),
            tags=sending.tags(settings.tags),
        )
        transformer.base_transform_job_name = settings.name
        transformer.transform(settings.photos, content_type="application/x-image", wait=wait, logs=wait)


if __name__ == "__main__":
    raise SystemExit(main())
