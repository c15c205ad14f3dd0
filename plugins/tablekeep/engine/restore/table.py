"""Restores a backup to a new table. Never writes to a table that it did not create, never deletes one."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from tablekeep.engine.backups.location import check_table_name
from tablekeep.engine.backups.records import write_record
from tablekeep.engine.backups.sets import BackupSet, open_backup
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.dynamodb.tables import TableSettings, add_indexes, create_table
from tablekeep.engine.dynamodb.wire import WireClient
from tablekeep.engine.dynamodb.write import BatchWriter
from tablekeep.engine.errors import BadInputError, IntegrityError
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.sides import TableSide

REAPPLIED_LATER = {
    "DescribeTimeToLive": "time to live: aws dynamodb update-time-to-live (expired items would vanish again)",
    "DescribeContinuousBackups": "point-in-time recovery: aws dynamodb update-continuous-backups",
    "ListTagsOfResource": "tags: aws dynamodb tag-resource",
    "DescribeScalableTargets": "auto scaling: aws application-autoscaling register-scalable-target",
    "GetResourcePolicy": "resource policy: aws dynamodb put-resource-policy",
    "DescribeKinesisStreamingDestination": "Kinesis destination: aws dynamodb enable-kinesis-streaming-destination",
    "DescribeContributorInsights": "contributor insights: aws dynamodb update-contributor-insights",
}


@dataclass
class RestoreReport:
    """What a restore made.

    :ivar proved: the table was read back with consistent reads and has the backup's content hash.
    :ivar phases: seconds by phase. :ivar not_restored: settings that the new table does not have, with the command for each.
    """

    backup: str
    table: str
    table_id: str
    items: int = 0
    seconds: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)
    content_hash: str = ""
    proved: bool = False
    indexes: list[str] = field(default_factory=list)
    not_restored: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def restore_table(
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    backup: str,
    to_table: str,
    max_wcu: float | None = None,
    tags: dict[str, str] | None = None,
    prove: bool = True,
    actor: str,
    run: str,
    backup_clients: SessionClients | None = None,
    record: bool = True,
) -> RestoreReport:
    """Restores a backup to the new table `to_table`.

    :param max_wcu: write capacity units a second. :param backup_clients: for the bucket, when it belongs to another account.
    :raises BadInputError: before anything was made: no such backup, the table exists, impossible options.
    :raises IntegrityError: for a damaged part (nothing of it was written) or a table that differs in the end.
    """
    check_table_name(to_table)
    if max_wcu is not None and not (max_wcu > 0 and math.isfinite(max_wcu)):
        raise BadInputError(
            f"restoring to {to_table}",
            f"the write budget is {max_wcu}",
            "give more than 0 WCU, for example --max-wcu 100",
        )
    began = clock.monotonic()
    phases: dict[str, float] = {}
    opened = open_backup(backup_clients or clients, backup)
    settings = TableSettings.from_json(opened.document("table.json"))
    at = _lap(phases, "find", began, clock)
    progress.phase("create")
    table_id = create_table(clients, settings, to_table, clock, tags=tags or {})
    report = RestoreReport(backup, to_table, table_id, phases=phases)
    at = _lap(phases, "create", at, clock)
    report.items = _load(clients, clock, progress, opened, to_table, max_wcu)
    at = _lap(phases, "load", at, clock)
    progress.phase("indexes")
    report.indexes = add_indexes(clients, settings, to_table, clock)
    at = _lap(phases, "indexes", at, clock)
    report.not_restored = _not_restored(settings)
    if prove:
        side = TableSide(clients, clock, progress, to_table)
        report.content_hash = str(side.hasher().whole)
        _lap(phases, "proof", at, clock)
        if report.content_hash != str(opened.manifest.content):
            raise IntegrityError(
                f"restoring {backup} to {to_table}",
                f"the table's content hash is {report.content_hash}, the backup's is {opened.manifest.content}",
                "run `tablekeep compare` on both; do not use the table",
            )
        report.proved = True
    report.seconds = round(clock.monotonic() - began, 3)
    if record:
        location = opened.manifest.location
        write_record(
            opened.store,
            location.shelf,
            "restore",
            report.as_dict(),
            backup_id=location.backup_id,
            actor=actor,
            run=run,
            clock=clock,
        )
    return report


def _lap(phases: dict[str, float], name: str, since: float, clock: Clock) -> float:
    now = clock.monotonic()
    phases[name] = round(now - since, 3)
    return now


def _load(
    clients: SessionClients, clock: Clock, progress: Progress, opened: BackupSet, table: str, max_wcu: float | None
) -> int:
    progress.phase("load", opened.manifest.items)
    budget = TokenBucket(max_wcu, clock) if max_wcu else None
    with BatchWriter(WireClient(clients), table, clock, budget=budget) as writer:
        for part in opened.manifest.parts:
            for items in opened.items(part):
                for item in items:
                    writer.put(item)
                progress.advance(len(items), sum(map(len, items)))
        writer.flush()
        written = writer.written
    if written != opened.manifest.items:
        raise IntegrityError(
            f"loading the table {table}", f"{written:,} of {opened.manifest.items:,} items were written"
        )
    return written


def _not_restored(settings: TableSettings) -> list[str]:
    """What the old table had and the new one does not, as far as it is known."""
    missing = []
    for operation, text in REAPPLIED_LATER.items():
        if operation in settings.refused:
            missing.append(f"{text} - not known: {operation} was refused with {settings.refused[operation]}")
        elif _is_set(operation, settings.answers.get(operation, {})):
            missing.append(text)
    for name, text in (
        ("StreamSpecification", "stream"),
        ("SSEDescription", "encryption"),
        ("OnDemandThroughput", "on-demand limits"),
    ):
        if settings.table.get(name):
            missing.append(f"{text}: aws dynamodb update-table")
    if settings.table.get("DeletionProtectionEnabled"):
        missing.append("deletion protection: aws dynamodb update-table --deletion-protection-enabled")
    return missing


def _is_set(operation: str, answer: dict[str, Any]) -> bool:
    match operation:
        case "DescribeTimeToLive":
            return bool((answer.get("TimeToLiveDescription") or {}).get("TimeToLiveStatus") == "ENABLED")
        case "DescribeContinuousBackups":
            recovery = (answer.get("ContinuousBackupsDescription") or {}).get("PointInTimeRecoveryDescription") or {}
            return bool(recovery.get("PointInTimeRecoveryStatus") == "ENABLED")
        case "DescribeContributorInsights":
            return bool(answer.get("ContributorInsightsStatus") == "ENABLED")
        case _:
            names = ("Tags", "ScalableTargets", "Policy", "KinesisDataStreamDestinations")
            return any(answer.get(name) for name in names)
