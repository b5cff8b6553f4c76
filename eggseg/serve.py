"""`eggseg serve`: serve a trained model over HTTP, as a SageMaker endpoint does."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from eggseg import cli
from eggseg.errors import missing_extra
from eggseg.serving.limits import Limits


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(Limits):
    """Serve masks on this machine, by the contract of a SageMaker endpoint: GET /ping, and POST /invocations with a
    photo (image/jpeg, image/png, application/x-image) or JSON {"images": [base64, ...]}. The answer is the mask as PNG,
    or JSON with class shares if the request accepts application/json. There is no authentication and no TLS: a proxy
    has to add them."""

    model: Path
    """A run folder of eggseg.train, or its saved_model."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 is every address of this machine."""
    port: int = 8080
    """Port to listen on."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the network: auto is bfloat16 where the processor has it, else float32."""


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(lambda: run(cli.parse(Settings, argv, "eggseg.serve")))


def run(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl+C; `InputError` if the extra `serve` or the model is missing."""
    try:
        for name in ("fastapi", "uvicorn"):
            importlib.import_module(name)
    except ImportError:
        raise missing_extra("serving", "serve") from None
    import uvicorn

    from eggseg.exported.saved_model import load
    from eggseg.serving import http
    from eggseg.serving.app import Service, app

    service = Service(load(settings.model, settings.precision), settings)
    print(f"serving {settings.model} at http://{settings.host}:{settings.port}/invocations", flush=True)
    uvicorn.Server(http.config(app(service), settings, settings.host, settings.port)).run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
