"""An AWS session that sends nothing and records the requests."""

from __future__ import annotations

import json
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse

ACCOUNT = "111122223333"
"""The account in AWS's documentation examples."""

IDENTITY = f"""<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::{ACCOUNT}:user/rehearsal</Arn><UserId>rehearsal</UserId><Account>{ACCOUNT}</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""

ROLE = f"""<GetRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetRoleResult><Role>
<Arn>arn:aws:iam::{ACCOUNT}:role/rehearsal</Arn></Role></GetRoleResult></GetRoleResponse>"""

BUCKETS = """<ListAllMyBucketsResult><Buckets><Bucket><Name>{}</Name><CreationDate>2020-01-01T00:00:00Z</CreationDate>
</Bucket></Buckets></ListAllMyBucketsResult>"""


UPLOAD = "<InitiateMultipartUploadResult><UploadId>rehearsal</UploadId></InitiateMultipartUploadResult>"
UPLOADED = "<CompleteMultipartUploadResult/>"


class Rehearsal:
    """`session` is a boto3 session for the SDK; `calls` lists SageMaker operations and their parameters, in order.

    Requests are answered here, before they reach the network: uploads and new jobs succeed, and nothing else exists.
    """

    def __init__(self, region: str) -> None:
        self.bucket = f"sagemaker-{region}-{ACCOUNT}"
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.session = boto3.Session("rehearsal", "rehearsal", region_name=region)
        self.session.events.register("provide-client-params", self._note)
        self.session.events.register("before-send", self._answer)

    def of(self, operation: str) -> dict[str, Any]:
        """The parameters of the only call of an operation."""
        (only,) = (parameters for name, parameters in self.calls if name == operation)
        return only

    def _note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if model.service_model.service_name == "sagemaker":
            self.calls.append((model.name, params))

    def _answer(self, request: Any, event_name: str, **_: Any) -> AWSResponse:
        _, service, operation = event_name.split(".")
        body = b"{}"
        if service == "sts":
            body = IDENTITY.encode()
        elif service == "iam":  # the role was given by name, not ARN
            body = ROLE.encode()
        elif service == "s3":
            answers = {
                "ListBuckets": BUCKETS.format(self.bucket),
                "CreateMultipartUpload": UPLOAD,
                "CompleteMultipartUpload": UPLOADED,
            }
            body = answers.get(operation, "").encode()
        elif operation.startswith("Create"):
            kind = operation.removeprefix("Create")
            body = json.dumps({f"{kind}Arn": f"arn:aws:sagemaker:{request.url}"}).encode()
        return AWSResponse(request.url, 200, {"ETag": "rehearsal"}, _Body(body))


class _Body:
    """The body of an answer, as botocore reads it."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def stream(self, *_: Any, **__: Any) -> Any:
        yield self.content

    def read(self, *_: Any, **__: Any) -> bytes:
        content, self.content = self.content, b""
        return content
