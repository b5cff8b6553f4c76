"""The requests that SageMaker accepts, by the service model in botocore: names, types, limits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any


def faults(client: Any, operation: str, request: Mapping[str, Any]) -> list[str]:
    """Faults of the request of an operation such as `CreateTrainingJob`, one line each; empty if there are none.

    botocore itself refuses wrong types and missing fields, but not names that break the service's patterns or times
    that contradict each other.
    """
    shape = client.meta.service_model.operation_model(operation).input_shape
    return [*_walk(shape, request, ""), *_contradictions(request)]


def _walk(shape: Any, value: Any, path: str) -> Iterator[str]:
    if shape.type_name == "structure":
        for name, part in value.items():
            if name in shape.members:
                yield from _walk(shape.members[name], part, f"{path}.{name}".lstrip("."))
            else:
                yield f"{path}.{name} is unknown to the service".lstrip(".")
    elif shape.type_name == "list":
        yield from _within(shape, len(value), path, "entries")
        for i, part in enumerate(value):
            yield from _walk(shape.member, part, f"{path}[{i}]")
    elif shape.type_name == "map":
        yield from _within(shape, len(value), path, "entries")
        for key, part in value.items():
            yield from _walk(shape.value, part, f"{path}[{key!r}]")
    elif shape.type_name == "string":
        yield from _string(shape, str(value), path)
    elif shape.type_name in ("integer", "long", "float", "double"):
        yield from _within(shape, value, path, "")


def _string(shape: Any, value: str, path: str) -> Iterator[str]:
    kinds, pattern = shape.metadata.get("enum"), shape.metadata.get("pattern")
    if kinds and value not in kinds:
        alike = [kind for kind in kinds if kind.split(".")[1:2] == value.split(".")[1:2]] or kinds
        yield f"{path} is {value!r}, expected one of {', '.join(alike[:12])}{', ...' if len(alike) > 12 else ''}"
    elif pattern and not re.fullmatch(_in_python(pattern), value):
        yield f"{path} is {value!r}, expected to match {pattern}"
    else:
        yield from _within(shape, len(value), path, "characters")


def _in_python(pattern: str) -> str:
    """Translate a pattern from Java, which writes classes of letters, blanks and digits differently from Python."""
    for java, python in ((r"\p{L}", r"\w"), (r"\p{Z}", r"\s"), (r"\p{N}", r"\d")):
        pattern = pattern.replace(java, python)
    return pattern


def _within(shape: Any, size: float, path: str, unit: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        yield (
            f"{path} has {size} {unit}, expected at least {least}"
            if unit
            else f"{path} is {size}, expected at least {least}"
        )
    if most is not None and size > most:
        yield (
            f"{path} has {size} {unit}, expected at most {most}"
            if unit
            else f"{path} is {size}, expected at most {most}"
        )


def _contradictions(request: Mapping[str, Any]) -> Iterator[str]:
    stopping = request.get("StoppingCondition", {})
    run, wait = stopping.get("MaxRuntimeInSeconds"), stopping.get("MaxWaitTimeInSeconds")
    if run and wait and wait < run:
        yield f"StoppingCondition.MaxWaitTimeInSeconds is {wait}, expected at least MaxRuntimeInSeconds, {run}"
    if request.get("EnableManagedSpotTraining") and not wait:
        yield "StoppingCondition.MaxWaitTimeInSeconds is not set, which spot training needs"
    photos, megabytes = request.get("MaxConcurrentTransforms"), request.get("MaxPayloadInMB")
    if photos and megabytes and photos * megabytes > 100:
        yield f"MaxConcurrentTransforms is {photos} and MaxPayloadInMB {megabytes}, expected a product of at most 100"
    count = request.get("ResourceConfig", {}).get("InstanceCount")
    if count is not None and count < 1:
        yield f"ResourceConfig.InstanceCount is {count}, expected at least 1"
