"""Placeholder until the service below is complete."""

from typing import Any

from local_aws.responses import Response, ServiceError, json_error


class RedshiftData:
    def __init__(self, postgres: str | None) -> None:
        self._dsn = postgres

    def __call__(self, operation: str, environ: dict[str, Any]) -> Response:
        return json_error(
            ServiceError("ValidationException", "not ready"), "com.amazonaws.redshiftdata", "application/x-amz-json-1.1"
        )

    def use_postgres(self, dsn: str | None) -> None:
        self._dsn = dsn

    def reset(self) -> None: ...

    def close(self) -> None: ...
