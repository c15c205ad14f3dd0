"""RDS's query protocol: forms in, XML out, by botocore's own description of the service."""

import functools
from typing import Any
from urllib.parse import parse_qsl

from moto.core.model import ServiceModel
from moto.core.parse import QueryParser
from moto.core.serialize import QuerySerializer, SerializationContext
from moto.core.utils import get_service_model
from werkzeug.datastructures import MultiDict

from local_aws.responses import Response, ServiceError

NAMESPACE = "http://rds.amazonaws.com/doc/2014-10-31/"


@functools.cache
def model() -> ServiceModel:
    return get_service_model("rds")


def action(environ: dict[str, Any]) -> str | None:
    """The operation of a request to RDS; None for one to another service."""
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    if "/rds/aws4_request" not in authorization:
        return None
    return dict(form(environ)).get("Action")


def form(environ: dict[str, Any]) -> list[tuple[str, str]]:
    return parse_qsl(environ.get("local_aws.body", b"").decode(), keep_blank_values=True)


def parse(operation: str, environ: dict[str, Any]) -> dict[str, Any]:
    """The request's parameters as boto3 gave them; times without zone, in UTC."""
    request: dict[str, Any] = {"values": MultiDict(form(environ)), "body": b"", "headers": {}, "method": "POST"}
    parsed: dict[str, Any] = QueryParser(model().operation_model(operation)).parse(
        request | {"url_params": {}, "url_path": "/"}
    )  # type: ignore[arg-type]
    return parsed


def answer(operation: str, result: dict[str, Any]) -> Response:
    """A success."""
    context = SerializationContext(request_id="local")
    made = QuerySerializer(model().operation_model(operation), context).serialize(result)
    body = made["body"]
    return Response(made["status_code"], body if isinstance(body, bytes) else str(body).encode(), "text/xml")


def refusal(error: ServiceError) -> Response:
    """An error, in the service's form."""
    from xml.sax.saxutils import escape

    text = f"<Type>Sender</Type><Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    body = f'<ErrorResponse xmlns="{NAMESPACE}"><Error>{text}</Error><RequestId>local</RequestId></ErrorResponse>'
    return Response(error.status, body.encode(), "text/xml")
