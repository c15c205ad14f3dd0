"""What DynamoDB itself keeps of a table: on-demand backups, those of AWS Backup, its exports, the window of recovery."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import botocore.exceptions

from tablekeep.engine.clients import SessionClients, error_code
from tablekeep.engine.clock import utc_text


@dataclass(frozen=True)
class NativeBackup:
    """One of them; `since` and `to` are times, `to` alone where it is one moment. `name` is an ARN, or what refused to tell."""

    table: str
    kind: str
    since: str
    to: str
    name: str

    def as_dict(self) -> dict[str, str]:
        document = asdict(self)
        return {"from" if name == "since" else name: value for name, value in document.items()}


_KINDS = {"USER": "on-demand backup", "SYSTEM": "backup of a deleted table", "AWS_BACKUP": "AWS Backup recovery point"}


def native_backups(clients: SessionClients, table: str) -> list[NativeBackup]:
    """All of them, the newest first of each kind; a call that is refused is listed as refused, not raised."""
    database = clients.client("dynamodb")
    found: list[NativeBackup] = []
    for kind, ask in (("recovery", _recovery), ("backups", _backups), ("exports", _exports)):
        try:
            found += ask(database, table)
        except botocore.exceptions.ClientError as error:
            if error_code(error) != "TableNotFoundException" and error_code(error) != "ResourceNotFoundException":
                found.append(NativeBackup(table, f"{kind}: not known", "", "", error_code(error)))
        except botocore.exceptions.BotoCoreError as error:
            found.append(NativeBackup(table, f"{kind}: not known", "", "", type(error).__name__))
    return found


def _time(moment: datetime | None) -> str:
    return utc_text(moment) if moment else ""


def _recovery(database: Any, table: str) -> list[NativeBackup]:
    answer = database.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    window = answer.get("PointInTimeRecoveryDescription") or {}
    if window.get("PointInTimeRecoveryStatus") != "ENABLED":
        return []
    begin, end = window.get("EarliestRestorableDateTime"), window.get("LatestRestorableDateTime")
    return [NativeBackup(table, "point-in-time recovery", _time(begin), _time(end), "any second in between")]


def _backups(database: Any, table: str) -> list[NativeBackup]:
    pages = database.get_paginator("list_backups").paginate(TableName=table, BackupType="ALL")
    listed = [one for page in pages for one in page["BackupSummaries"] if one.get("BackupStatus") == "AVAILABLE"]
    listed.sort(key=lambda one: one["BackupCreationDateTime"], reverse=True)
    return [
        NativeBackup(
            table,
            _KINDS.get(one["BackupType"], one["BackupType"]),
            "",
            _time(one["BackupCreationDateTime"]),
            one["BackupArn"],
        )
        for one in listed
    ]


def _exports(database: Any, table: str) -> list[NativeBackup]:
    arn = database.describe_table(TableName=table)["Table"]["TableArn"]
    listed, token = list[Any](), dict[str, str]()
    while True:  # botocore has no paginator for it
        page = database.list_exports(TableArn=arn, **token)
        listed += [one for one in page["ExportSummaries"] if one["ExportStatus"] == "COMPLETED"]
        if not page.get("NextToken"):
            break
        token = {"NextToken": page["NextToken"]}
    return [
        NativeBackup(table, "export to S3 (kept 90 days in this list)", "", "", one["ExportArn"])
        for one in reversed(listed)
    ]
