"""Glue's Data Catalog: moto's, with what the copies to Athena rely on.

UpdateTable with a VersionId changes nothing when the table has another version by now (ConcurrentModificationException), and names are
folded to lower case when they are stored, as the API reference says of both. GetTable of another account's catalog finds nothing here.
"""

import io
import json
from collections.abc import Callable, Iterable
from typing import Any

from moto.glue.models import glue_backends

from local_aws.dynamodb.tables import scope
from local_aws.responses import ServiceError, json_error

CONTENT_TYPE = "application/x-amz-json-1.1"


class GlueCatalog:
    """Answers what moto answers otherwise, and passes on the rest."""

    def is_mine(self, target: str) -> bool:
        return target in {"AWSGlue.UpdateTable", "AWSGlue.CreateTable", "AWSGlue.GetTable"}

    def __call__(
        self, operation: str, environ: dict[str, Any], start_response: Callable[..., Any], onward: Callable[..., Any]
    ) -> Iterable[bytes]:
        body = json.loads(environ["local_aws.body"] or b"{}")
        account, region = scope(environ)
        try:
            if body.get("CatalogId", account) != account:
                raise ServiceError("AccessDeniedException", f"no permission for the catalog {body['CatalogId']}")
            if operation == "UpdateTable":
                self._check_version(body, account, region)
        except ServiceError as error:
            return json_error(error, "com.amazonaws.glue", CONTENT_TYPE)(start_response)
        return onward(with_body(environ, folded(body)), start_response)

    @staticmethod
    def _check_version(body: dict[str, Any], account: str, region: str) -> None:
        database = glue_backends[account][region].databases.get(body["DatabaseName"].lower())
        table = database.tables.get(body["TableInput"]["Name"].lower()) if database else None
        current = str(table._current_version) if table else None
        if current and body.get("VersionId", current) != current:
            raise ServiceError(
                "ConcurrentModificationException", f"the table has version {current}, not {body['VersionId']}"
            )


def folded(body: dict[str, Any]) -> dict[str, Any]:
    """The request with the names of database and table in lower case."""
    body = {name: value.lower() if name in {"DatabaseName", "Name"} else value for name, value in body.items()}
    if "TableInput" in body:
        body["TableInput"] = body["TableInput"] | {"Name": body["TableInput"]["Name"].lower()}
    return body


def with_body(environ: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(body).encode()
    return environ | {"wsgi.input": io.BytesIO(text), "CONTENT_LENGTH": str(len(text)), "local_aws.body": text}
