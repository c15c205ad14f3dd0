"""Answers of our own handlers: bodies, errors and the headers that clients check."""

import json
import secrets
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from xml.sax.saxutils import escape


@dataclass
class Response:
    """A whole answer. Called with WSGI's start_response it gives the body."""

    status: int
    body: bytes
    content_type: str = "application/x-amz-json-1.0"
    headers: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, start_response: Callable[..., Any]) -> Iterable[bytes]:
        headers = [("Content-Type", self.content_type), ("x-amzn-RequestId", secrets.token_hex(16)), *self.headers]
        start_response(f"{self.status} {HTTPStatus(self.status).phrase}", headers)
        return (self.body,)


class ServiceError(Exception):
    """An error that the service would return.

    :param code: such as `ValidationException`.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def dynamodb_response(body: bytes) -> Response:
    """A success of DynamoDB. Clients check the CRC-32."""
    return Response(200, body, headers=[("x-amz-crc32", str(zlib.crc32(body)))])


def json_error(error: ServiceError, namespace: str, content_type: str = "application/x-amz-json-1.0") -> Response:
    """An error of a JSON service; `namespace` stands before the code in `__type`."""
    body = json.dumps({"__type": f"{namespace}#{error.code}", "message": error.message}).encode()
    return Response(error.status, body, content_type, [("x-amz-crc32", str(zlib.crc32(body)))])


def s3_error(error: ServiceError, *, head: bool = False, resource: str = "") -> Response:
    """An error of S3. HEAD answers have no body, so that clients see the status alone."""
    text = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    text += f"<Resource>{escape(resource)}</Resource><RequestId>{secrets.token_hex(8)}</RequestId>"
    body = b"" if head else f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{text}</Error>'.encode()
    return Response(error.status, body, "application/xml")
