"""What AWS itself keeps of a table: the window of recovery, on-demand backups, AWS Backup's recovery points, DynamoDB's own exports."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import botocore.exceptions

from tablekeep.engine.clients import SessionClients, error_code
from tablekeep.engine.clock import utc_text

RECOVERY, EXPORT, RECOVERY_POINT = "point-in-time recovery", "export to S3", "AWS Backup recovery point"
_KINDS = {"USER": "on-demand backup", "SYSTEM": "backup of a deleted table", "AWS_BACKUP": RECOVERY_POINT}
_ABSENT = {"TableNotFoundException", "ResourceNotFoundException"}


@dataclass(frozen=True)
class NativeBackup:
    """One of them.

    :ivar kind: in words. :ivar since, to: times; `to` alone where it is one moment. :ivar name: an ARN.
    :ivar restorable: AWS makes a table of it by itself; an export has to be imported by somebody.
    :ivar refused: the error code of the call that would have told; then there is nothing else.
    """

    table: str
    kind: str
    since: datetime | None = None
    to: datetime | None = None
    name: str = ""
    restorable: bool = True
    refused: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "table": self.table, "kind": self.kind, "from": utc_text(self.since) if self.since else "",
            "to": utc_text(self.to) if self.to else "", "name": self.name, "restorable": self.restorable, "refused": self.refused,
        }  # fmt: skip


def native_backups(clients: SessionClients, table_arn: str) -> list[NativeBackup]:
    """All of them that are whole, the newest first of each kind; a call that is refused is listed as refused, not raised.

    :param table_arn: of the table, which may be gone; asked in its Region.
    """
    region, table = table_arn.split(":")[3], table_arn.rsplit("/", 1)[-1]
    asking: tuple[tuple[str, Callable[[SessionClients, str], list[NativeBackup]]], ...] = (
        (RECOVERY, _recovery), ("backups", _backups), ("AWS Backup", _recovery_points), (EXPORT, _exports),
    )  # fmt: skip
    found: dict[tuple[str, str], NativeBackup] = {}
    for kind, ask in asking:
        try:
            listed = ask(clients, table_arn)
        except botocore.exceptions.ClientError as error:
            code = error_code(error)
            listed = [] if code in _ABSENT else [NativeBackup(table, kind, restorable=False, refused=code)]
        except botocore.exceptions.BotoCoreError as error:
            listed = [NativeBackup(table, kind, restorable=False, refused=type(error).__name__)]
        for one in sorted(listed, key=lambda one: one.to.timestamp() if one.to else 0.0, reverse=True):
            found.setdefault((one.name or one.kind, region), one)  # some points are told by DynamoDB and by AWS Backup
    return list(found.values())


def _name(table_arn: str) -> str:
    return table_arn.rsplit("/", 1)[-1]


def _database(clients: SessionClients, table_arn: str) -> Any:
    return clients.client("dynamodb", table_arn.split(":")[3])


def _recovery(clients: SessionClients, table_arn: str) -> list[NativeBackup]:
    table = _name(table_arn)
    answer = _database(clients, table_arn).describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    window = answer.get("PointInTimeRecoveryDescription") or {}
    if window.get("PointInTimeRecoveryStatus") != "ENABLED":
        return []
    begin, end = window.get("EarliestRestorableDateTime"), window.get("LatestRestorableDateTime")
    return [NativeBackup(table, RECOVERY, begin, end)]


def _backups(clients: SessionClients, table_arn: str) -> list[NativeBackup]:
    """USER and SYSTEM; AWS_BACKUP is none of ALL (API Reference, "ListBackups")."""
    table, database = _name(table_arn), _database(clients, table_arn)
    return [
        NativeBackup(table, _KINDS.get(one["BackupType"], one["BackupType"]), None, one["BackupCreationDateTime"], one["BackupArn"])
        for kind in ("ALL", "AWS_BACKUP")
        for page in database.get_paginator("list_backups").paginate(TableName=table, BackupType=kind)
        for one in page["BackupSummaries"]
        if one.get("BackupStatus") == "AVAILABLE"
    ]  # fmt: skip


def _recovery_points(clients: SessionClients, table_arn: str) -> list[NativeBackup]:
    vaults = clients.client("backup", table_arn.split(":")[3])
    pages = vaults.get_paginator("list_recovery_points_by_resource").paginate(ResourceArn=table_arn)
    return [
        NativeBackup(_name(table_arn), RECOVERY_POINT, None, one["CreationDate"], one["RecoveryPointArn"])
        for page in pages
        for one in page["RecoveryPoints"]
        if one.get("Status") in ("COMPLETED", "AVAILABLE")
    ]


def _exports(clients: SessionClients, table_arn: str) -> list[NativeBackup]:
    """Those of the last 90 days, which is what the service lists."""
    database = _database(clients, table_arn)
    listed, token = list[str](), dict[str, str]()
    while True:  # botocore has no paginator for it
        page = database.list_exports(TableArn=table_arn, **token)
        listed += [one["ExportArn"] for one in page["ExportSummaries"] if one["ExportStatus"] == "COMPLETED"]
        if not page.get("NextToken"):
            break
        token = {"NextToken": page["NextToken"]}
    found = []
    for arn in listed:
        one = database.describe_export(ExportArn=arn)["ExportDescription"]
        window = one.get("IncrementalExportSpecification") or {}
        since, to = window.get("ExportFromTime"), window.get("ExportToTime") or one.get("ExportTime")
        kind = f"incremental {EXPORT}" if window else EXPORT
        found.append(NativeBackup(_name(table_arn), kind, since, to, arn, restorable=False))
    return found
