"""Point-in-time recovery: its window, restores, and exports to S3 of any state and of the changes of any window within it."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from moto.dynamodb.models.table import Table
from moto.s3.exceptions import S3ClientError
from moto.s3.models import s3_backends

from local_aws.dynamodb.bulk import BulkOperations
from local_aws.dynamodb.exports import Changes, Source, change_line, write_export
from local_aws.dynamodb.history import changes_between, parse_now, state_at
from local_aws.dynamodb.imports import Imports
from local_aws.dynamodb.ondemand import OnDemand
from local_aws.dynamodb.restores import restore_table
from local_aws.dynamodb.tables import find_table
from local_aws.dynamodb.values import invalid
from local_aws.responses import ServiceError

if TYPE_CHECKING:
    from local_aws.application import Switches

SINCE, PERIOD = "_local_aws_recoverable_since", "_local_aws_recovery_days"
TOKEN_HOURS = 8
DAYS = 35
SHORTEST, LONGEST = timedelta(minutes=15), timedelta(hours=24)
"""Of the window of an incremental export."""


@dataclass
class _Export:
    description: dict[str, Any]
    request: dict[str, Any]
    asked: datetime
    polls_left: int


class Recovery:
    """Answers the operations around point-in-time recovery."""

    def __init__(self, switches: "Switches") -> None:
        self._switches = switches
        self._exports: dict[str, _Export] = {}
        self.imports = Imports(switches, self.now)
        self.bulk = BulkOperations(switches, self.now)
        self.ondemand = OnDemand(switches, self.now, lambda table: self._window(table) is not None)
        self.operations: dict[str, Callable[[dict[str, Any], dict[str, Any]], bytes]] = {
            "UpdateContinuousBackups": self._update,
            "DescribeContinuousBackups": self._describe,
            "ExportTableToPointInTime": self._export,
            "DescribeExport": self._describe_export,
            "ListExports": self._list_exports,
            **self.imports.operations,
            **self.ondemand.operations,
            **self.bulk.operations,
            "RestoreTableToPointInTime": lambda environ, body: restore_table(
                environ, body, self.now(), self._window, switches.dynamodb_restore_polls
            ),
        }

    def reset(self) -> None:
        self.imports.reset()
        self.ondemand.reset()
        self.bulk.reset()
        self._exports.clear()

    def now(self) -> datetime:
        return parse_now(self._switches.dynamodb_now)

    def _window(self, table: Table) -> tuple[datetime, datetime] | None:
        """Earliest and latest restorable time; None where recovery is off."""
        since: datetime | None = table.__dict__.get(SINCE)
        if since is None:
            return None
        now = self.now()
        latest = now - timedelta(seconds=self._switches.dynamodb_restore_lag_seconds)
        return max(since, now - timedelta(days=table.__dict__.get(PERIOD, DAYS))), max(latest, since)

    def _update(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes:
        table = find_table(environ, body.get("TableName"))
        asked = body["PointInTimeRecoverySpecification"]
        days = asked.get("RecoveryPeriodInDays", DAYS)
        if not 1 <= days <= DAYS:
            raise invalid(f"RecoveryPeriodInDays must be from 1 to {DAYS}")
        if asked["PointInTimeRecoveryEnabled"]:
            table.__dict__.setdefault(SINCE, self.now())
            table.__dict__[PERIOD] = days
        else:
            table.__dict__.pop(SINCE, None)
        return self._describe(environ, body)

    def _describe(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes:
        table = find_table(environ, body.get("TableName"))
        window = self._window(table)
        description: dict[str, Any] = {"PointInTimeRecoveryStatus": "DISABLED"}
        if window is not None:
            description = {
                "PointInTimeRecoveryStatus": "ENABLED",
                "RecoveryPeriodInDays": table.__dict__[PERIOD],
                "EarliestRestorableDateTime": window[0].timestamp(),
                "LatestRestorableDateTime": window[1].timestamp(),
            }
        backups = {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": description}
        return msgspec.json.encode({"ContinuousBackupsDescription": backups})

    def _export(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes:
        table = find_table(environ, body.get("TableArn"))
        self._check(body)
        token = body.get("ClientToken")
        for known in self._exports.values():
            if token and known.request.get("ClientToken") == token and self._fresh(known):
                if known.request != body:
                    raise ServiceError("ExportConflictException", "An export with this token has other parameters")
                return self._answer(known)
        window = self._window(table)
        if window is None:
            raise ServiceError(
                "PointInTimeRecoveryUnavailableException",
                f"Point in time recovery is not enabled for table '{table.name}'",
            )
        at = datetime.fromtimestamp(body["ExportTime"], UTC) if "ExportTime" in body else window[1]
        changes = self._changes(body, window[1])
        for moment in (changes.since, changes.to) if changes else (at,):
            if not window[0] <= moment <= window[1]:
                raise ServiceError("InvalidExportTimeException", "A time is outside of the recovery window")
        made = self._write(table, body, changes.to if changes else at, changes)
        self._exports[made.description["ExportArn"]] = made
        return self._answer(made)

    @staticmethod
    def _check(body: dict[str, Any]) -> None:
        if body.get("ExportFormat") == "ION":
            raise invalid("The stand-in writes exports in DYNAMODB_JSON only")
        incremental = body.get("ExportType", "FULL_EXPORT") == "INCREMENTAL_EXPORT"
        if incremental != ("IncrementalExportSpecification" in body) or (incremental and "ExportTime" in body):
            raise invalid(
                "IncrementalExportSpecification goes with INCREMENTAL_EXPORT, and ExportTime with FULL_EXPORT"
            )
        if "$" in body.get("ClientToken", ""):
            raise invalid("ClientToken must not contain $")

    @staticmethod
    def _changes(body: dict[str, Any], latest: datetime) -> Changes | None:
        """The window that is asked for: 15 minutes to 24 hours."""
        asked = body.get("IncrementalExportSpecification")
        if asked is None:
            return None
        since = datetime.fromtimestamp(asked["ExportFromTime"], UTC)
        to = datetime.fromtimestamp(asked["ExportToTime"], UTC) if "ExportToTime" in asked else latest
        if not SHORTEST <= to - since <= LONGEST:
            raise invalid("The window of an incremental export must be from 15 minutes to 24 hours")
        return Changes(since, to, asked.get("ExportViewType") == "NEW_AND_OLD_IMAGES")

    def _fresh(self, export: _Export) -> bool:
        return self.now() - export.asked < timedelta(hours=TOKEN_HOURS)

    def _write(self, table: Table, body: dict[str, Any], at: datetime, changes: Changes | None) -> _Export:
        now = self.now()
        export_id = f"{int(now.timestamp() * 1000):014d}-{secrets.token_hex(4)}"
        arn = f"{table.table_arn}/export/{export_id}"
        description = {
            "ExportArn": arn, "ExportStatus": "COMPLETED", "TableArn": table.table_arn, "TableId": table.table_id,
            "ExportTime": at.timestamp(), "S3Bucket": body["S3Bucket"], "S3Prefix": body.get("S3Prefix"),
            "S3SseAlgorithm": body.get("S3SseAlgorithm", "AES256"), "ExportFormat": "DYNAMODB_JSON",
            "ExportType": body.get("ExportType", "FULL_EXPORT"),
            "StartTime": now.timestamp(), "ClientToken": body.get("ClientToken"),
        }  # fmt: skip
        if changes:
            description |= {"IncrementalExportSpecification": body["IncrementalExportSpecification"]}
            description.pop("ExportTime")
            items = [change_line(one, changes.old_images) for one in changes_between(table, changes.since, changes.to)]
        else:
            items = state_at(table, at)
        bucket = body["S3Bucket"]
        store = s3_backends[table.table_arn.split(":")[4]]["aws"]
        try:
            key = write_export(
                lambda name, content: store.put_object(bucket, name, content), bucket, (body.get("S3Prefix") or "").rstrip("/"),
                Source(table.table_arn, table.table_id, items), export_id=export_id, at=at, changes=changes,
            )  # fmt: skip
            description |= {"ExportManifest": key, "ItemCount": len(items), "BilledSizeBytes": sum(map(len, items))}
        except S3ClientError:
            description |= {
                "ExportStatus": "FAILED", "FailureCode": "S3NoSuchBucket", "FailureMessage": "The bucket does not exist",
            }  # fmt: skip
        return _Export(description, body, now, self._switches.dynamodb_export_polls)

    def _answer(self, export: _Export) -> bytes:
        shown = {name: value for name, value in export.description.items() if value is not None}
        if export.polls_left > 0:
            shown["ExportStatus"] = "IN_PROGRESS"
            for hidden in ("ExportManifest", "ItemCount", "BilledSizeBytes", "FailureCode", "FailureMessage"):
                shown.pop(hidden, None)
        return msgspec.json.encode({"ExportDescription": shown})

    def _describe_export(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes:
        export = self._exports.get(body.get("ExportArn", ""))
        if export is None:
            raise ServiceError("ExportNotFoundException", "Export not found")
        answer = self._answer(export)
        export.polls_left -= 1
        return answer

    def _list_exports(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes:
        listed = [
            {
                "ExportArn": arn,
                "ExportStatus": one.description["ExportStatus"],
                "ExportType": one.description["ExportType"],
            }
            for arn, one in self._exports.items()
            if body.get("TableArn") in (None, one.description["TableArn"])
        ]
        return msgspec.json.encode({"ExportSummaries": listed})
