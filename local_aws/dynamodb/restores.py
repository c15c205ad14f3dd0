"""RestoreTableToPointInTime: a new table with the items of a past state, exactly. moto's own copies the present one, whatever is asked."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table

from local_aws.dynamodb.snapshots import Snapshot, check_overrides, snapshot_of, table_of
from local_aws.dynamodb.tables import CREATING, find_table, scope
from local_aws.dynamodb.values import invalid
from local_aws.responses import ServiceError

Window = tuple[datetime, datetime]


def restore_table(
    environ: dict[str, Any],
    body: dict[str, Any],
    now: datetime,
    window_of: Callable[[Table], Window | None],
    polls: int,
) -> bytes:
    """Answers the request.

    :param window_of: earliest and latest restorable time; None where recovery is off.
    :param polls: how often DescribeTable says of the new table that it is being made.
    """
    check_overrides(body)
    try:
        source = find_table(environ, body.get("SourceTableName") or body.get("SourceTableArn"))
    except ServiceError as error:
        raise ServiceError("TableNotFoundException", "Source table not found") from error
    refuse_existing(environ, body)
    window = window_of(source)
    if window is None:
        raise ServiceError(
            "PointInTimeRecoveryUnavailableException",
            f"Point in time recovery is not enabled for table '{source.name}'",
        )
    moment = _moment(body, window)
    summary = {"SourceTableArn": source.table_arn, "RestoreDateTime": moment.timestamp()}
    return restored(environ, body, snapshot_of(source, moment), now, summary, polls)


def refuse_existing(environ: dict[str, Any], body: dict[str, Any]) -> None:
    """:raises ServiceError: when the table to be made is there."""
    account, region = scope(environ)
    target = str(body.get("TargetTableName"))
    if target in dynamodb_backends[account][region].tables:
        raise ServiceError("TableAlreadyExistsException", f"Table already exists: {target}")


def restored(
    environ: dict[str, Any], body: dict[str, Any], taken: Snapshot, now: datetime, summary: dict[str, Any], polls: int
) -> bytes:
    """Makes the table and answers with its description."""
    account, region = scope(environ)
    table = table_of(
        taken, str(body["TargetTableName"]), account=account, region=region, now=now, overrides=body, summary=summary, polls=polls
    )  # fmt: skip
    description: dict[str, Any] = table.describe("TableDescription")["TableDescription"]
    description["CreationDateTime"] = now.timestamp()
    table.__dict__[CREATING] = polls
    return msgspec.json.encode({"TableDescription": description})


def _moment(body: dict[str, Any], window: Window) -> datetime:
    latest = bool(body.get("UseLatestRestorableTime"))
    if latest == ("RestoreDateTime" in body):
        raise invalid("Exactly one of RestoreDateTime and UseLatestRestorableTime must be given")
    moment = window[1] if latest else datetime.fromtimestamp(body["RestoreDateTime"], UTC)
    if not window[0] <= moment <= window[1]:
        raise ServiceError("InvalidRestoreTimeException", "RestoreDateTime is outside of the recovery window")
    return moment
