"""Serve a trained model on Amazon SageMaker, or run it on a bucket of photos.

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
    """Serve a model: on a dedicated machine (realtime), on demand (serverless), or for all photos of a bucket
    (batch)."""

    kind: tyro.conf.Positional[Literal["realtime", "serverless", "batch"]]
    """A realtime endpoint costs money as long as it exists, a serverless one per request, a batch job while it runs."""
    model: tyro.conf.Positional[str]
    """model.tar.gz of a training job, s3://...; or a local run folder, which is packed and uploaded."""
    name: str = "eggseg"
    """Name of the endpoint, or prefix of the name of the batch job."""
    instance_type: str = "ml.c6i.xlarge"
    """Instance type for realtime and batch; bfloat16 needs ml.c7i or ml.m7i."""
    photos: str | None = None
    """For batch: the photos, s3://BUCKET/PREFIX."""
    masks: str | None = None
    """For batch: where the masks are written, as NAME.out, s3://BUCKET/PREFIX."""
    memory: int = 6144
    """For serverless: memory, MB."""
    concurrent: int = 3
    """For serverless and batch: concurrent requests; for batch, of each machine. In a batch, concurrent photos may have
    100 MB together and 32 MB each."""


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(cli.parse(Settings, argv, "sagemaker/deploy.py")))


def run(settings: Settings) -> int:
    """Rehearse, check the requests, and send them."""
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
    """Pack the model of a run folder as the endpoint expects it: model.tar.gz with `1/` and `code/inference.py`."""
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
        machines = {"initial_instance_count": settings.instance_count, "instance_type": settings.instance_type}
        model.deploy(**machines, endpoint_name=settings.name, **shared)
    elif settings.kind == "serverless":
        config = ServerlessInferenceConfig(settings.memory, settings.concurrent)
        model.deploy(serverless_inference_config=config, endpoint_name=settings.name, **shared)
    else:
        transformer = model.transformer(
            settings.instance_count,
            settings.instance_type,
            strategy="SingleRecord",  # one photo per request: masks are as large as their photos
            output_path=settings.masks,
            accept="image/png",
            max_concurrent_transforms=settings.concurrent,
            # MB: the handler accepts 32 per photo, the service 100 for all concurrent photos.
            max_payload=max(1, min(32, 100 // max(1, settings.concurrent))),
            tags=sending.tags(settings.tags),
        )
        transformer.base_transform_job_name = settings.name
        transformer.transform(settings.photos, content_type="application/x-image", wait=wait, logs=wait)


if __name__ == "__main__":
    raise SystemExit(main())
