"""The WSGI application: chooses between our own handlers and moto's for each request."""

import dataclasses
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from local_aws.backup import AwsBackup
from local_aws.dynamodb.operations import DynamoDb
from local_aws.glue import GlueCatalog
from local_aws.rds.service import RdsControl
from local_aws.redshift.service import RedshiftData
from local_aws.responses import Response
from local_aws.s3 import S3Guard

StartResponse = Callable[..., Any]
Wsgi = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


@dataclass
class Switches:
    """Faults that tests ask for, set by `POST /local-aws/<service>` with a JSON object."""

    #: S3: If-None-Match is ignored, as by a store that does not know conditional writes.
    s3_ignore_if_none_match: bool = False
    #: DynamoDB: every n-th BatchWriteItem, and BatchGetItem, leaves the second half unprocessed; 0 never.
    dynamodb_unprocessed_every: int = 0
    #: DynamoDB: every n-th Scan, BatchWriteItem, PutItem, GetItem or BatchGetItem is throttled; 0 never.
    dynamodb_throttle_every: int = 0
    #: DynamoDB: its clock, in ISO 8601; empty: the machine's.
    dynamodb_now: str = ""
    #: DynamoDB: by how much the latest restorable time lags behind its clock.
    dynamodb_restore_lag_seconds: int = 0
    #: DynamoDB: how often DescribeExport says of a new export that it is in progress.
    dynamodb_export_polls: int = 0
    #: RDS: how often it says of what was begun (creating, copying, modifying, deleting) that it is in progress.
    rds_polls: int = 0
    #: RDS: so many answers of a restored instance come late, by a tenth of a second each, as blocks that are read for the first time.
    rds_lazy_answers: int = 0
    #: RDS: by how much the latest restorable time lags behind.
    rds_restore_lag_seconds: int = 0
    #: RDS: what ends badly from now on: `snapshot`, `copy` or `restore`; empty: nothing.
    rds_fail: str = ""
    #: DynamoDB: how often DescribeBackup says of a new on-demand backup that it is being made.
    dynamodb_backup_polls: int = 0
    #: DynamoDB: how often DescribeTable says of a restored table that it is being made.
    dynamodb_restore_polls: int = 0
    #: DynamoDB: ImportTable and bulk puts refuse every n-th item; 0 none.
    dynamodb_refuse_every: int = 0
    #: DynamoDB: ImportTable and bulk puts fail after so many items, which stay; 0 never.
    dynamodb_fail_after: int = 0
    #: AWS Backup: how often DescribeRestoreJob says of a new job that it is running.
    backup_restore_polls: int = 0

    def set(self, service: str, settings: dict[str, Any]) -> None:
        """:raises ValueError: for a switch that does not exist or a value of another type."""
        for name, value in settings.items():
            field = f"{service}_{name}"
            if not hasattr(self, field) or type(value) is not type(getattr(self, field)):
                known = [f.name for f in dataclasses.fields(self) if f.name.startswith(f"{service}_")]
                raise ValueError(f"no switch {name} = {value!r} for {service}; there are: {', '.join(known) or 'none'}")
            setattr(self, field, value)

    def clear(self) -> None:
        for field in dataclasses.fields(self):
            setattr(self, field.name, field.default)


class Application:
    """Our DynamoDB, AWS Backup, S3, Glue, RDS and Redshift Data API before moto's application.

    :param postgres: DSN for the Redshift Data API, or None.
    """

    def __init__(self, postgres: str | None = None) -> None:
        self.switches = Switches()
        self._moto: Wsgi = DomainDispatcherApplication(create_backend_app)
        self.dynamodb = DynamoDb(self.switches)
        self.backup = AwsBackup(self.switches, self.dynamodb.recovery.now)
        self.s3 = S3Guard(self.switches)
        self.glue = GlueCatalog()
        self.redshift = RedshiftData(postgres)
        self.rds = RdsControl(self.switches)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.startswith("/local-aws"):
            return self._administer(environ, path)(start_response)
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if target.startswith("DynamoDB_20120810."):
            return self.dynamodb(target.partition(".")[2], environ, start_response, self._moto)
        if target.startswith("RedshiftData."):
            return self.redshift(target.partition(".")[2], environ)(start_response)
        if self.rds.is_mine(environ):
            return self.rds(environ, start_response, self._moto)
        if self.glue.is_mine(target):
            return self.glue(target.partition(".")[2], environ, start_response, self._moto)
        if self.backup.is_mine(environ):
            with self.dynamodb.lock:
                answer = self.backup(environ)
            return answer(start_response) if answer is not None else self._moto(environ, start_response)
        if self.s3.is_mine(environ, target):
            return self.s3(environ, start_response, self._moto)
        return self._moto(environ, start_response)

    def _administer(self, environ: dict[str, Any], path: str) -> Response:
        _, _, service = path.removeprefix("/local-aws").partition("/")
        try:
            if environ["REQUEST_METHOD"] == "POST":
                if service == "reset":
                    self.reset()
                elif service == "backup/restore-test":
                    job = self.backup.restore_test(json.loads(environ["local_aws.body"] or b"{}"))
                    return Response(200, json.dumps(job).encode(), "application/json")
                else:
                    self.switches.set(service, json.loads(environ["local_aws.body"] or b"{}"))
        except (ValueError, AttributeError) as error:
            return Response(400, f"{error}\n".encode(), "text/plain")
        return Response(200, json.dumps(dataclasses.asdict(self.switches)).encode(), "application/json")

    def reset(self) -> None:
        self.switches.clear()
        self.dynamodb.reset()
        self.backup.reset()
        self.redshift.reset()
        self.rds.reset()
        moto_api_backend.reset()

    def close(self) -> None:
        self.redshift.close()
        self.rds.close()
