"""A SQL table, in full, in one consistent snapshot → a backup set."""

import gc
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa

from tablekeep.engine.backups.catalog import newest
from tablekeep.engine.backups.location import SetLocation, Shelf, new_backup_id
from tablekeep.engine.backups.manifest import Link, Window
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import probe_conditional_writes, put_file
from tablekeep.engine.backups.store import AlreadyExistsError, Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock
from tablekeep.engine.errors import BadInputError, TransientError
from tablekeep.engine.export.convert import convert_files
from tablekeep.engine.export.finish import clear, finish_export, published, remove_orphans
from tablekeep.engine.export.plan import ExportPlan, save_plan
from tablekeep.engine.export.read import COLLECT_EVERY, in_turn
from tablekeep.engine.export.report import ExportReport, report_of
from tablekeep.engine.export.sources import Records, Source, SourceFile
from tablekeep.engine.items.census import Census, TypeCount
from tablekeep.engine.items.layout import Layout, decide
from tablekeep.engine.items.rows import ROW, Cells, wire_items
from tablekeep.engine.leases import Lease
from tablekeep.engine.names import parse_s3
from tablekeep.engine.progress import Progress
from tablekeep.engine.rds.position import Follow, next_position
from tablekeep.engine.rds.schema import choose_key
from tablekeep.engine.rds.source import Snapshot, SqlSource, Where

ENGINE = "snapshot"
SAMPLE_ROWS = 1000
MOST_CONNECTIONS = 64
Key = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SqlExport:
    """What a caller asks for.

    :ivar to: the root of the backups, `s3://bucket/prefix`. :ivar key: columns of a unique key; the primary key when empty.
    :ivar connections: that read side by side. :ivar follow: the column by which increments are to follow; None: none are.
    """

    source: SqlSource
    to: str
    key: Sequence[str] = ()
    connections: int = 1
    follow: Follow | None = None
    encryption: str | None = None
    owner: str | None = None


@dataclass(frozen=True)
class SqlReady:
    """A bucket that was looked at. The database was not asked yet."""

    asked: SqlExport
    store: S3Store
    shelf: Shelf


def get_ready(clients: SessionClients, asked: SqlExport) -> SqlReady:
    """Looks at bucket and options; writes the probe object alone.

    :raises BadInputError: for whatever makes the export impossible.
    """
    bucket, root = parse_s3(asked.to)
    if not 1 <= asked.connections <= MOST_CONNECTIONS:
        raise BadInputError(
            f"backing up {asked.source.address}", f"{asked.connections} connections", f"give 1 to {MOST_CONNECTIONS}"
        )
    store = S3Store(clients, bucket, owner=asked.owner, encryption=asked.encryption)
    store.check()
    probe_conditional_writes(store, root)
    shelf = Shelf(bucket, root, clients.account(), clients.region, asked.source.service, asked.source.name)
    return SqlReady(asked, store, shelf)


def export_sql(
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    asked: SqlExport,
    as_of: datetime | None = None,
    backup_id: str | None = None,
    actor: str,
    run: str,
) -> ExportReport:
    """Backs a SQL table up as it is at one moment.

    :param as_of: the nominal time; the snapshot's when not given. :param backup_id: given by a caller that must not make a second set
        when it is tried again: a set of that id is the result. A try that died left no set; the next one reads everything anew.
    :raises BadInputError: before anything was written: no such table, no such bucket, rows that the user may not see.
    :raises TransientError: the database cannot be reached, a lock is not to be had, another export of the table runs.
    :raises IntegrityError: when what was read, written and read back differ; no backup exists then.
    """
    began = clock.monotonic()
    ready = get_ready(clients, asked)
    location = ready.shelf.set(backup_id or new_backup_id(as_of or clock.now(), clock))
    if backup_id and (found := published(ready.store, location)):
        return replace(report_of(found), reused=True)
    with lease_of(ready, clock, actor, run) as lease:
        clear(ready.store, location, progress)  # of a try that died
        with asked.source.snapshot(asked.connections) as snapshot:
            for note in snapshot.taken.notes:
                progress.note(note)
            table = snapshot.table
            key = choose_key(table, asked.key)
            if asked.follow and key[0][0] == ROW:
                raise BadInputError(
                    f"backing up {table.address}",
                    "it has no key, so no increments can follow: nothing tells which row a changed one is",
                    "give the table a primary key, or back it up in full each time",
                )
            position = next_position(asked.follow, None, snapshot)[0] if asked.follow else None
            ranges = snapshot.ranges(table.column(key[0][0]))
            layout = sampled_layout(ready, snapshot, key, ranges)
            plan = plan_of(
                ready, clock, snapshot, key, layout, location, len(ranges), as_of=as_of or snapshot.moment, run=run
            )
            progress.phase("read", table.rows or None, "rows")
            read_ranges(ready.store, plan, snapshot, ranges, clock=clock, progress=progress)
        details = {"snapshot": snapshot.taken.as_json()} | ({"position": position.as_json()} if position else {})
        made = finish_export(
            ready.store, plan, lease, clock=clock, progress=progress, actor=actor, run=run, details=details
        )
        remove_orphans(ready.store, made, progress)
    return replace(report_of(made), seconds=round(clock.monotonic() - began, 3))


def lease_of(ready: SqlReady, clock: Clock, actor: str, run: str) -> Lease:
    """The lease of the table's exports."""
    return Lease(ready.store, ready.shelf.lease_key, holder=actor, run=run, clock=clock, conflict=AlreadyExistsError)


def plan_of(
    ready: SqlReady,
    clock: Clock,
    snapshot: Snapshot,
    key: Key,
    layout: Layout,
    location: SetLocation,
    segments: int,
    *,
    as_of: datetime,
    run: str,
    window: Window | None = None,
    parents: Sequence[Link] = (),
    since: datetime | None = None,
) -> ExportPlan:
    """Keeps the plan beside the parts to come, with `table.json`.

    :param since: of an increment, from when on the snapshot shows every change; else it shows one moment.
    """
    table, asked = snapshot.table, ready.asked
    document = table.document | {"key": [name for name, _ in key]}
    file = put_file(ready.store, location, "table", document, int(clock.token(4), 16))
    before = newest(ready.store, ready.shelf, table_id=table.table_id)
    names = {"name": table.name, "arn": table.address, "id": table.table_id}
    return save_plan(
        ready.store,
        ExportPlan(
            location, {"encryption": asked.encryption, "owner": asked.owner}, names, key, segments, layout, file, {}, as_of, clock.now(),
            None, table.rows, run, before.layout.schema if before else 0, engine=ENGINE,
            consistent=(since or snapshot.moment, snapshot.moment), window=window, parents=tuple(parents),
        ),
    )  # fmt: skip


def sampled_layout(
    ready: SqlReady, snapshot: Snapshot, key: Key, ranges: Sequence[Where], *, changes: bool = False
) -> Layout:
    """The columns: as the types tell them; those of numbers without a scale by a look at some rows, and by the set before."""
    table = snapshot.table
    before = newest(ready.store, ready.shelf, table_id=table.table_id)
    census, open_ = Census(), [one.name for one in table.columns if one.pin is None]
    if open_:
        sample = Census()
        for items in rows_of(snapshot, ranges[0], keyless=key[0][0] == ROW, limit=SAMPLE_ROWS):
            sample.merge(Census.of(items))
        # a column of numbers is one of numbers, be most of a sample NaN
        census.attributes = {name: {"N": sample.attributes.get(name, {}).get("N", TypeCount())} for name in open_}
    known = table.known(before.layout if before else None)
    return decide(census, list(key), known, table.pins(), changes=changes)


def read_ranges(
    store: Store,
    plan: ExportPlan,
    snapshot: Snapshot,
    ranges: Sequence[Where],
    *,
    clock: Clock,
    progress: Progress,
) -> None:
    """Reads ranges by as many threads as the snapshot has connections, a segment each; the first failure ends all."""
    table, keyless = snapshot.table, plan.key[0][0] == ROW
    stopped, failures = threading.Event(), list[BaseException]()

    def file(where: Where) -> SourceFile:
        return SourceFile(table.address, None, lambda: rows_of(snapshot, where, keyless=keyless, stopped=stopped))

    assert plan.consistent
    source = Source(plan.table, ENGINE, plan.as_of, plan.consistent, 0, tuple(file(one) for one in ranges))
    take = in_turn(range(len(ranges)))

    def work() -> None:
        try:
            convert_files(
                store, plan, source, lambda: None if stopped.is_set() else take(), clock=clock, progress=progress
            )
        except BaseException as error:
            failures.append(error)  # the first one counts: the others end because of it
            stopped.set()
            snapshot.stop()

    with few_collections(), ThreadPoolExecutor(snapshot.taken.connections, thread_name_prefix="read") as pool:
        futures = [pool.submit(work) for _ in range(min(len(ranges), snapshot.taken.connections))]
        try:
            wait(futures)
        except BaseException:  # Ctrl-C
            stopped.set()
            snapshot.stop()
            raise
    if failures:
        raise failures[0]


def rows_of(
    snapshot: Snapshot,
    where: Where,
    *,
    keyless: bool = False,
    limit: int | None = None,
    stopped: threading.Event | None = None,
) -> Records:
    """Rows as items, a page at a time.

    :param keyless: they are numbered. :param limit: no more than this. :param stopped: ends it with an error.
    """
    columns = snapshot.table.columns
    cells = [one.cells for one in columns] + ([Cells(ROW, "N")] if keyless else [])
    number = 1
    for page in snapshot.read(columns, where, limit=limit):
        if stopped and stopped.is_set():
            raise TransientError(f"reading {snapshot.table.address}", "another connection has failed", "try again")
        if keyless:
            count = len(page[0])
            page.append(pa.array([str(one) for one in range(number, number + count)], pa.string()))
            number += count
        yield wire_items(cells, page)


@contextmanager
def few_collections() -> Iterator[None]:
    """Python looks for cycles seldom: a page makes thousands of objects and leaves no cycle."""
    thresholds = gc.get_threshold()
    gc.set_threshold(max(thresholds[0], COLLECT_EVERY), *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
