"""What an export would take, and what speaks against it: looked at before anything costs."""

from dataclasses import asdict, dataclass, field
from typing import Any

from tablekeep.engine.backups.s3 import PIECE_BYTES, S3Store
from tablekeep.engine.backups.sets import may_write
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.budget import read_budget as parse_budget
from tablekeep.engine.dynamodb.settings import TableSettings, read_settings
from tablekeep.engine.dynamodb.wire import WireClient
from tablekeep.engine.errors import BadInputError, TablekeepError
from tablekeep.engine.export.begin import segment_count
from tablekeep.engine.export.pitr import may_export
from tablekeep.engine.names import check_table_name, parse_s3
from tablekeep.engine.prices import Prices

READ_UNIT = 8192
"""Bytes for one read unit, eventually consistent: half a unit for 4 KB (Developer Guide, "Read and write capacity")."""
WORKER_BYTES = 40_000_000
"""Bytes of the table that a worker process reads in a second, rounded down from benchmarks/RESULTS.md."""
LEAST_INCREMENT = 10_000_000
"""Bytes that an incremental export is paid for at least (AWS Database Blog on incremental exports)."""
STORED = 0.15
"""Share of the table's size that its parts take; 0.09 was measured on orders, and text that repeats less takes more."""

LEFTOVERS = (
    "the bucket {} has no lifecycle rule AbortIncompleteMultipartUpload: pieces of a part that was being written when a process was"
    " killed stay there, unseen, and cost; add one of 7 days"
)
PERMISSIONS = {
    "both": [
        "dynamodb:DescribeTable", "dynamodb:DescribeContinuousBackups", "s3:ListBucket", "s3:GetObject", "s3:PutObject",
        "s3:DeleteObject (to clear the running state away)",
    ],
    "scan": ["dynamodb:Scan"],
    "pitr": ["dynamodb:ExportTableToPointInTime", "dynamodb:DescribeExport", "dynamodb:ListExports", "s3:AbortMultipartUpload"],
}  # fmt: skip


@dataclass(frozen=True)
class Way:
    """One engine's figures. `minutes` is None where nobody can know."""

    engine: str
    usd: float
    minutes: float | None
    read_units: float
    note: str


@dataclass(frozen=True)
class ExportEstimate:
    """What was found.

    :ivar engine: the one that would be used. :ivar why: it. :ivar items, bytes: as DescribeTable tells, up to six hours old.
    :ivar capacity: what of what is used. :ivar problems: what makes it impossible as asked; empty: nothing known does.
    :ivar notes: what is worth knowing.
    """

    table: str
    engine: str
    why: str
    items: int
    bytes: int
    segments: int
    capacity: str
    usd: float
    minutes: float | None
    ways: list[Way]
    permissions: list[str]
    prices_as_of: str
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def estimate_export(
    *,
    clients: SessionClients,
    clock: Clock,
    table: str,
    to: str,
    prices: Prices,
    engine: str = "scan",
    segments: int | None = None,
    read_budget: str | float | None = None,
    workers: int = 1,
    within_minutes: float | None = None,
    incremental: bool = False,
    max_usd: float | None = None,
    owner: str | None = None,
) -> ExportEstimate:
    """Looks at table and bucket; reads one item (half a read unit) to see whether it may, and writes nothing.

    :param within_minutes: the time allowed; a budget that cannot finish in it is a problem.
    :param incremental: changes are to be exported, not the table. :param max_usd: the money allowed.
    :raises BadInputError: for a table or bucket that is not there, and for a budget that says nothing.
    """
    check_table_name(table)
    bucket, root = parse_s3(to)
    settings = read_settings(clients, table, clock=clock)
    problems: list[str] = []
    store = S3Store(clients, bucket, owner=owner)
    region = store.check()
    notes = [] if store.ends_incomplete_uploads() is not False else [LEFTOVERS.format(bucket)]
    if region and region != settings.region:
        problems.append(
            f"the bucket {bucket} lies in {region} and the table in {settings.region}: use one of its Region"
        )
    recovery = settings.point_in_time_recovery
    chosen, why = _choose(engine, recovery)
    if chosen == "pitr" and not recovery:
        problems.append("point-in-time recovery is off (aws dynamodb update-continuous-backups), which pitr needs")
    budget = parse_budget(settings, read_budget) if read_budget is not None else None
    capacity = budget.explanation if budget else "no limit: as fast as the service and this machine allow"
    ways = [
        _scan(settings, prices, budget.rcu if budget else None, workers),
        _pitr(settings, prices, bool(recovery), incremental),
    ]
    way = next(one for one in ways if one.engine == chosen)
    if chosen == "scan":
        _try_reading(clients, table, problems)
        if within_minutes is not None and way.minutes is not None and way.minutes > within_minutes:
            problems.append(
                f"it takes about {way.minutes:,.0f} minutes and {within_minutes:,.0f} are allowed: raise the read budget"
                " or the number of workers"
            )
    else:
        capacity = "none: the table is not read"
        if recovery and (refused := may_export(clients, settings, bucket)):
            problems.append(refused)
    try:
        may_write(store, root)
    except TablekeepError as error:
        problems.append(f"{error.what}: {error.why}")
    if over := prices.over_limit(way.usd, max_usd):
        problems.append(over)
    count = segments or segment_count(settings.size_bytes, workers)
    return ExportEstimate(
        table, chosen, why, settings.item_count, settings.size_bytes, count if chosen == "scan" else 0, capacity, way.usd, way.minutes,
        ways, PERMISSIONS["both"] + PERMISSIONS[chosen], prices.as_of, problems, notes,
    )  # fmt: skip


def _choose(engine: str, recovery: bool | None) -> tuple[str, str]:
    if engine != "auto":
        return engine, "it was asked for"
    if recovery:
        return "pitr", "auto: point-in-time recovery is on"
    return "scan", f"auto: point-in-time recovery is {'not known' if recovery is None else 'off'}"


def _requests(size: int, segments: int) -> float:
    """S3 requests that are paid as writes: pieces of parts, states, the set's own objects."""
    return size * STORED / PIECE_BYTES + segments * 3 + 20


def _scan(settings: TableSettings, prices: Prices, rcu: float | None, workers: int) -> Way:
    units = settings.size_bytes / READ_UNIT
    seconds = settings.size_bytes / (WORKER_BYTES * workers)
    if rcu:
        seconds = max(seconds, units / rcu)
    on_demand = settings.capacity is None
    paid = units / 1e6 * prices.read_request_units_million if on_demand else 0.0
    paid += _requests(settings.size_bytes, segment_count(settings.size_bytes)) / 1000 * prices.write_requests_thousand
    note = "read units are paid on demand" if on_demand else "uses provisioned capacity, which is paid in any case"
    return Way("scan", round(paid, 6), round(seconds / 60, 1), round(units), note)


def _pitr(settings: TableSettings, prices: Prices, recovery: bool, incremental: bool) -> Way:
    size = LEAST_INCREMENT if incremental else settings.size_bytes
    paid = size / 1e9 * prices.export_gb + _requests(size, 1) / 1000 * prices.write_requests_thousand
    note = "the service promises no duration" if recovery else "needs point-in-time recovery, which is off or not known"
    if incremental:
        note = f"at least: what was changed is paid, and nobody can know how much that is; {note}"
    return Way("pitr", round(paid, 6), None, 0, note)


def _try_reading(clients: SessionClients, table: str, problems: list[str]) -> None:
    try:
        WireClient(clients).scan(table, limit=1)
    except BadInputError:
        raise
    except TablekeepError as error:
        problems.append(f"reading one item failed: {error.why}")
