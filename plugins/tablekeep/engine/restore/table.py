"""Restores a backup to a new table. Never writes to a table that it did not create, never deletes one."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from tablekeep.engine.backups.records import write_record
from tablekeep.engine.backups.sets import BackupSet, open_backup
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.dynamodb.reapply import reapply_settings
from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.dynamodb.tables import add_indexes, create_table
from tablekeep.engine.dynamodb.wire import WireClient
from tablekeep.engine.dynamodb.write import BatchWriter
from tablekeep.engine.errors import BadInputError, IntegrityError
from tablekeep.engine.names import check_table_name
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.sides import TableSide


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
    not_restored: list[dict[str, str]] = field(default_factory=list)

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
    reapply: bool = True,
) -> RestoreReport:
    """Restores a backup to the new table `to_table`.

    :param max_wcu: write capacity units a second. :param backup_clients: for the bucket, when it belongs to another account.
    :param reapply: tags, point-in-time recovery, stream and the like too; a drill's scratch table goes without.
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
    settings = TableSettings.from_document(opened.document("table"))
    at = _lap(phases, "find", began, clock)
    progress.phase("create")
    created = create_table(clients, settings, to_table, run=run, clock=clock, tags=tags, progress=progress)
    report = RestoreReport(backup, to_table, created.table_id, phases=phases)
    at = _lap(phases, "create", at, clock)
    report.items = _load(clients, clock, progress, opened, to_table, max_wcu)
    at = _lap(phases, "load", at, clock)
    progress.phase("indexes")
    report.indexes = list(add_indexes(clients, settings, created, clock=clock, progress=progress))
    at = _lap(phases, "indexes", at, clock)
    if reapply:
        progress.phase("settings")
        missing = reapply_settings(clients, settings, created, clock=clock, progress=progress)
        report.not_restored = [one.as_dict() for one in missing]
        at = _lap(phases, "settings", at, clock)
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
    with BatchWriter(WireClient(clients), table, clock=clock, budget=budget, progress=progress) as writer:
        for part in opened.manifest.parts:
            for items in opened.items(part):
                writer.put_many(items)
        written = writer.close().items
    if written != opened.manifest.items:
        raise IntegrityError(
            f"loading the table {table}", f"{written:,} of {opened.manifest.items:,} items were written"
        )
    return written
