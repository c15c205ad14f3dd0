"""Runs one drill: choose a backup, restore it to a scratch table, prove it, measure, tear down, record."""

import re
from dataclasses import asdict, dataclass, field
from typing import Any

from tablekeep.engine.backups.catalog import list_shelf, shelves
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.records import write_record
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.dynamodb.tables import delete_table_created_by_run, find_created_table
from tablekeep.engine.errors import BadInputError, TablekeepError
from tablekeep.engine.names import check_table_name, parse_s3
from tablekeep.engine.prices import Prices
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.plan import write_units
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.table import restore_table

PREFIX = "tablekeep-drill-"
"""Every scratch table's name begins so; nothing else is ever deleted."""
DRILL_TAG = "tablekeep:drill"
NOT_EXERCISED = (
    "tags", "warm-throughput", "auto-scaling", "contributor-insights", "kinesis", "resource-policy", "point-in-time-recovery",
    "deletion-protection",
)  # fmt: skip
"""Settings that a scratch table goes without: they cost money, wake other systems, open access or outlive the table."""


@dataclass(frozen=True)
class Objectives:
    """What the team has promised.

    :ivar rto_seconds: how long a restore may take, from finding the backup to its proof.
    :ivar rpo_seconds: how much time may be lost: age of the backup, counted from its scan's first page.
    """

    rto_seconds: float | None = None
    rpo_seconds: float | None = None


@dataclass
class DrillReport:
    """What a drill found.

    :ivar proved: the scratch table had exactly the backup's content. :ivar passed: proved, within the objectives, and
        nothing left behind. :ivar problems: why it did not pass. :ivar phases: seconds by phase.
    """

    table: str
    backup: str
    chosen: str
    scratch_table: str
    started: str
    items: int = 0
    content_hash: str = ""
    proved: bool = False
    rto_seconds: float = 0.0
    rpo_seconds: float = 0.0
    objectives: dict[str, float | None] = field(default_factory=dict)
    phases: dict[str, float] = field(default_factory=dict)
    torn_down: bool = False
    passed: bool = False
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def run_drill(
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    backups: str,
    table: str,
    objectives: Objectives = Objectives(),
    max_wcu: float | None = None,
    prices: Prices | None = None,
    max_usd: float | None = None,
    actor: str,
    run: str,
    backup_clients: SessionClients | None = None,
) -> DrillReport:
    """Restores the newest backup of `table` under `backups` (`s3://bucket/prefix`) to a scratch table and proves it.

    The scratch table is deleted in the end, after a failure too; what cannot be deleted is a problem of the report.

    :param prices, max_usd: the money that loading the scratch table may cost.
    :raises BadInputError: when there is no backup to drill, or it would cost too much.
    """
    check_table_name(table)
    bucket, root = parse_s3(backups)
    store = S3Store(backup_clients or clients, bucket)
    store.check()
    began, started = clock.monotonic(), clock.now()
    shelf, manifest = _newest(store, bucket, root, table)
    if prices and (
        over := prices.over_limit(
            write_units(manifest.items, manifest.raw_bytes) / 1e6 * prices.write_request_units_million, max_usd
        )
    ):
        raise BadInputError(f"drilling {manifest.uri}", over, "raise the limit")
    scratch = f"{PREFIX}{re.sub('[^A-Za-z0-9_.-]', '-', table)[:200]}-{clock.token(4)}"
    report = DrillReport(
        table, manifest.uri, "newest", scratch, utc_text(started),
        objectives={"rto_seconds": objectives.rto_seconds, "rpo_seconds": objectives.rpo_seconds},
    )  # fmt: skip
    report.rpo_seconds = round((started - manifest.consistent[0]).total_seconds(), 3)
    try:
        request = RestoreRequest(scratch, manifest.uri, max_wcu=max_wcu, skip_settings=NOT_EXERCISED)
        restored = restore_table(
            request, clients=clients, clock=clock, progress=progress, actor=actor, run=run, tags={DRILL_TAG: run}, record=False,
            backup_clients=backup_clients, prices=prices,
        )  # fmt: skip
        report.items, report.content_hash, report.proved, report.phases = (
            restored.items,
            restored.content_hash,
            restored.proved,
            restored.phases,
        )
    except TablekeepError as error:
        report.problems.append(str(error))
    finally:
        report.rto_seconds = round(clock.monotonic() - began, 3)
        progress.phase("teardown")
        report.torn_down = _tear_down(clients, clock, scratch, run, report)
    _judge(report, objectives)
    report.seconds = round(clock.monotonic() - began, 3)
    write_record(
        store, shelf, "drill", report.as_dict(), backup_id=manifest.backup_id, actor=actor, run=run, clock=clock
    )
    return report


def _newest(store: S3Store, bucket: str, root: str, table: str) -> tuple[Shelf, Manifest]:
    found = [
        (shelf, one)
        for shelf in shelves(store, bucket, root, name=table)
        for one in list_shelf(store, shelf).backups
        if one.window is None
    ]
    if not found:
        raise BadInputError(
            f"drilling the table {table}",
            f"there is no backup of it under {store.address}/{root}",
            "make one with `tablekeep export`",
        )
    return max(found, key=lambda pair: (pair[1].as_of, pair[1].finished))


def _tear_down(clients: SessionClients, clock: Clock, scratch: str, run: str, report: DrillReport) -> bool:
    try:
        created = find_created_table(clients, scratch, run=run)
        if created is not None:
            delete_table_created_by_run(clients, created, run=run, name_prefix=PREFIX, clock=clock)
        return find_created_table(clients, scratch, run=run) is None
    except TablekeepError as error:
        report.problems.append(f"the scratch table {scratch} may be left, and costs money: {error}")
        return False


def _judge(report: DrillReport, objectives: Objectives) -> None:
    for name, limit, actual in (
        ("RTO", objectives.rto_seconds, report.rto_seconds),
        ("RPO", objectives.rpo_seconds, report.rpo_seconds),
    ):
        if limit is not None and actual > limit:
            report.problems.append(f"{name} missed: {actual:,.0f} s, the objective is {limit:,.0f} s")
    if not report.torn_down and not report.problems:
        report.problems.append(f"the scratch table {report.scratch_table} is left")
    report.passed = report.proved and report.torn_down and not report.problems
