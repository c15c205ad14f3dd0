"""On-demand backups: CreateBackup to RestoreTableFromBackup, and the one that DynamoDB makes of a deleted table. moto's own keep the
table's object, which goes on changing, and answer to any name.
"""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from local_aws.dynamodb.restores import refuse_existing, restored
from local_aws.dynamodb.snapshots import Snapshot, check_overrides, snapshot_of
from local_aws.dynamodb.tables import find_table, scope
from local_aws.dynamodb.values import invalid
from local_aws.responses import ServiceError

if TYPE_CHECKING:
    from local_aws.application import Switches

NAME = re.compile("[a-zA-Z0-9_.-]{3,255}")
KEPT = timedelta(days=35)
"""How long the backup of a deleted table stays."""
TYPES = ("USER", "SYSTEM", "AWS_BACKUP", "ALL")


@dataclass
class _Backup:
    details: dict[str, Any]
    taken: Snapshot
    scope: tuple[str, str]
    polls_left: int

    def shown(self) -> dict[str, Any]:
        return self.details | ({"BackupStatus": "CREATING"} if self.polls_left > 0 else {})


class OnDemand:
    """The backups of this process.

    :param recoverable: whether point-in-time recovery is on for a table.
    """

    def __init__(self, switches: "Switches", now: Callable[[], datetime], recoverable: Callable[[Any], bool]) -> None:
        self._switches, self._now, self._recoverable = switches, now, recoverable
        self._backups: dict[str, _Backup] = {}
        self.operations: dict[str, Callable[[dict[str, Any], dict[str, Any]], bytes]] = {
            "CreateBackup": self._create,
            "DescribeBackup": self._describe,
            "ListBackups": self._list,
            "DeleteBackup": self._delete,
            "RestoreTableFromBackup": self._restore,
        }

    def reset(self) -> None:
        self._backups.clear()

    def table_goes(self, environ: dict[str, Any], name: Any) -> None:
        """What DynamoDB does before it deletes a table that can be recovered."""
        table = find_table(environ, name)
        if self._recoverable(table) and not table.deletion_protection_enabled:
            self._keep(environ, table, f"{table.name}$DeletedTableBackup", "SYSTEM", 0)

    def _keep(self, environ: dict[str, Any], table: Any, name: str, kind: str, polls: int) -> _Backup:
        now, taken = self._now(), snapshot_of(table)
        details: dict[str, Any] = {
            "BackupArn": f"{table.table_arn}/backup/{int(now.timestamp() * 1000):014d}-{secrets.token_hex(4)}",
            "BackupName": name, "BackupStatus": "AVAILABLE", "BackupType": kind, "BackupSizeBytes": taken.size,
            "BackupCreationDateTime": now.timestamp(),
        }  # fmt: skip
        if kind == "SYSTEM":
            details["BackupExpiryDateTime"] = (now + KEPT).timestamp()
        kept = self._backups[details["BackupArn"]] = _Backup(details, taken, scope(environ), polls)
        return kept

    def _create(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes:
        name = str(body.get("BackupName", ""))
        if not NAME.fullmatch(name):
            raise invalid("BackupName must be 3 to 255 of a-z, A-Z, 0-9, '_', '-' and '.'")
        try:
            table = find_table(environ, body.get("TableName"))
        except ServiceError as error:
            raise ServiceError("TableNotFoundException", f"Table not found: {body.get('TableName')}") from error
        kept = self._keep(environ, table, name, "USER", self._switches.dynamodb_backup_polls)
        return msgspec.json.encode({"BackupDetails": kept.shown()})

    def _mine(self, environ: dict[str, Any], arn: Any) -> _Backup:
        kept = self._backups.get(str(arn))
        expires = kept.details.get("BackupExpiryDateTime") if kept else None
        if kept is None or kept.scope != scope(environ) or (expires and expires < self._now().timestamp()):
            raise ServiceError("BackupNotFoundException", f"Backup not found: {arn}")
        return kept

    def _describe(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes:
        kept = self._mine(environ, body.get("BackupArn"))
        answer = self._description(kept)
        kept.polls_left -= 1
        return msgspec.json.encode({"BackupDescription": answer})

    @staticmethod
    def _description(kept: _Backup) -> dict[str, Any]:
        taken, made = kept.taken, kept.taken.made
        units = made["throughput"] or {}
        return {
            "BackupDetails": kept.shown(),
            "SourceTableDetails": {
                "TableName": taken.table, "TableId": taken.table_id, "TableArn": taken.arn, "TableSizeBytes": taken.size,
                "KeySchema": made["schema"], "TableCreationDateTime": taken.created, "ItemCount": len(taken.items),
                "ProvisionedThroughput": {name: units.get(name, 0) for name in ("ReadCapacityUnits", "WriteCapacityUnits")},
                "BillingMode": made["billing_mode"],
            },
            "SourceTableFeatureDetails": {
                "GlobalSecondaryIndexes": [
                    {name: one[name] for name in ("IndexName", "KeySchema", "Projection")} for one in made["global_indexes"]
                ],
                "LocalSecondaryIndexes": made["indexes"],
            },
        }  # fmt: skip

    def _list(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes:
        wanted, table = body.get("BackupType", "USER"), body.get("TableName")
        if wanted not in TYPES:
            raise invalid(f"BackupType must be one of {', '.join(TYPES)}")
        since, to = body.get("TimeRangeLowerBound", 0), body.get("TimeRangeUpperBound", float("inf"))
        found = [
            one for one in self._backups.values()
            if one.scope == scope(environ) and table in (None, one.taken.table, one.taken.arn)
            and (one.details["BackupType"] == wanted or (wanted == "ALL" and one.details["BackupType"] != "AWS_BACKUP"))
            and since <= one.details["BackupCreationDateTime"] < to
        ]  # fmt: skip
        arns = [one.details["BackupArn"] for one in found]
        after = body.get("ExclusiveStartBackupArn")
        begin = arns.index(after) + 1 if after in arns else 0
        page = found[begin : begin + body.get("Limit", 100)]
        answer: dict[str, Any] = {
            "BackupSummaries": [
                {"TableName": one.taken.table, "TableId": one.taken.table_id, "TableArn": one.taken.arn} | one.shown()
                for one in page
            ]
        }
        if begin + len(page) < len(found):
            answer["LastEvaluatedBackupArn"] = page[-1].details["BackupArn"]
        return msgspec.json.encode(answer)

    def _delete(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes:
        kept = self._mine(environ, body.get("BackupArn"))
        if kept.polls_left > 0:
            raise ServiceError("BackupInUseException", "The backup is being made")
        del self._backups[kept.details["BackupArn"]]
        kept.details["BackupStatus"] = "DELETED"
        return msgspec.json.encode({"BackupDescription": self._description(kept)})

    def _restore(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes:
        check_overrides(body)
        kept = self._mine(environ, body.get("BackupArn"))
        if kept.polls_left > 0:
            raise ServiceError("BackupInUseException", "The backup is being made")
        refuse_existing(environ, body)
        created = kept.details["BackupCreationDateTime"]
        summary = {
            "SourceBackupArn": kept.details["BackupArn"],
            "SourceTableArn": kept.taken.arn,
            "RestoreDateTime": created,
        }
        return restored(environ, body, kept.taken, self._now(), summary, self._switches.dynamodb_restore_polls)
