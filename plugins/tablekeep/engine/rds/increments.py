"""What changed in a SQL table since its newest backup → an increment: a set of changes that follows that one.

The rows whose column lies between where the chain has read it to and a little before now are put. Deletions leave no row behind, so they
are found, where that is asked for, by comparing all keys of the table with all keys that the chain has; this finds rows, too, that came
late: written by a transaction that ended after their value had been passed.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from tablekeep.engine.backups.catalog import usable_sets
from tablekeep.engine.backups.chains import Chain, chain, gap_text
from tablekeep.engine.backups.changed import ChangedKeys
from tablekeep.engine.backups.folding import gather
from tablekeep.engine.backups.location import new_backup_id
from tablekeep.engine.backups.manifest import Window
from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.backups.spool import KeySpool, differences
from tablekeep.engine.backups.store import Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock
from tablekeep.engine.errors import BadInputError, PermanentError
from tablekeep.engine.export.convert import convert_files
from tablekeep.engine.export.finish import clear, finish_export, published, remove_orphans
from tablekeep.engine.export.plan import ExportPlan
from tablekeep.engine.export.read import in_turn
from tablekeep.engine.export.report import ExportReport, report_of
from tablekeep.engine.export.sources import Records, Source, SourceFile
from tablekeep.engine.items.canonical import canonical_item, canonical_key, decode_json, parse_item
from tablekeep.engine.items.rows import wire_items
from tablekeep.engine.progress import Progress
from tablekeep.engine.rds.export import (
    ENGINE,
    SqlExport,
    SqlReady,
    few_collections,
    get_ready,
    lease_of,
    plan_of,
    rows_of,
    sampled_layout,
)
from tablekeep.engine.rds.position import Position, followed, interval, next_position
from tablekeep.engine.rds.schema import SourceColumn, SqlTable, choose_key
from tablekeep.engine.rds.source import PAGE_ROWS, Interval, Rows, Snapshot

COMPARE, IGNORE = "compare", "ignore"
DELETES = (IGNORE, COMPARE)
SOME_KEYS = 500
"""Rows that came late are asked for by so many keys at a time."""


def export_changes(
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    asked: SqlExport,
    deletes: str = IGNORE,
    backup_id: str | None = None,
    actor: str,
    run: str,
) -> ExportReport:
    """Backs up what changed since the newest set.

    :param asked: `follow` is needed; `connections` does not count, one reads. :param deletes: `compare` or `ignore`.
    :param backup_id: see `export_sql`.
    :raises NoChainError: there is no full set that tells where its column was read to, or the chain is broken; nothing was written.
    :raises BadInputError: for options that do not go together.
    :raises TransientError, IntegrityError: see `export_sql`.
    """
    began = clock.monotonic()
    what = f"backing up the changes of {asked.source.address}"
    if asked.follow is None:
        raise BadInputError(what, "no column is named that tells what changed", "name it, for example updated_at")
    if deletes not in DELETES:
        raise BadInputError(what, f"deletes: {deletes}", f"choose one of {', '.join(DELETES)}")
    ready = get_ready(clients, asked)
    location = ready.shelf.set(backup_id or new_backup_id(clock.now(), clock))
    if backup_id and (found := published(ready.store, location)):
        return replace(report_of(found), reused=True)
    with lease_of(ready, clock, actor, run) as lease:
        clear(ready.store, location, progress)
        with asked.source.snapshot(1) as snapshot:
            follows = current_chain(ready, snapshot.table, what)
            key = follows.full.key
            choose_key(snapshot.table, [name for name, _ in key])  # still one
            followed(asked.follow, snapshot)
            before = _read_until(follows, what)
            if before.column != asked.follow.column:
                raise NoChainError(
                    what,
                    f"its backups follow the column {before.column}, not {asked.follow.column}",
                    "make a full backup; it begins a new chain",
                )
            position, since = next_position(asked.follow, before, snapshot)
            rows = interval(position, snapshot)
            layout = sampled_layout(ready, snapshot, key, [rows], changes=True)
            plan = plan_of(
                ready, clock, snapshot, key, layout, location, 2 if deletes == COMPARE else 1, as_of=snapshot.moment, run=run,
                window=Window(follows.next_from, snapshot.moment, old_images=False), parents=(follows.newest.link,), since=since,
            )  # fmt: skip
            progress.phase("read", unit="rows")
            with few_collections():
                _read(ready, plan, snapshot, rows, follows, clock, progress)
        details = {"snapshot": snapshot.taken.as_json(), "position": position.as_json(), "deletes": deletes}
        made = finish_export(
            ready.store, plan, lease, clock=clock, progress=progress, actor=actor, run=run, details=details
        )
        remove_orphans(ready.store, made, progress)
    return replace(report_of(made), seconds=round(clock.monotonic() - began, 3))


class NoChainError(BadInputError):
    """Nothing is there that changes could follow: a full backup has to come first."""


def current_chain(ready: SqlReady, table: SqlTable, what: str) -> Chain:
    """The table's chain as it stands.

    :raises NoChainError: when there is no full backup of this table, or the chain is broken.
    """
    usable, _ = usable_sets(ready.store, ready.shelf)
    found = chain(usable, table_id=table.table_id)
    if found is None:
        anew = " (the table was made anew, or altered, since the last one)" if usable else ""
        raise NoChainError(what, f"there is no full backup that they could follow{anew}", "make a full backup first")
    if found.missing:
        raise NoChainError(what, gap_text(found.missing), "make a full backup; it begins a new chain")
    return found


def _read_until(follows: Chain, what: str) -> Position:
    position = Position.of(follows.newest.run)
    if position is None:
        raise NoChainError(
            what,
            f"its newest backup {follows.newest.backup_id} does not tell up to where a column was read",
            "make a full backup that names the column; it begins a new chain",
        )
    return position


def _read(
    ready: SqlReady,
    plan: ExportPlan,
    snapshot: Snapshot,
    rows: Interval,
    follows: Chain,
    clock: Clock,
    progress: Progress,
) -> None:
    """The rows of the interval; then, where deletions are asked for, what the comparison of the keys finds."""
    micros = int(snapshot.moment.timestamp() * 1_000_000)
    expected = max(follows.full.items, snapshot.table.rows)
    assert plan.consistent
    with KeySpool(expected) as known, KeySpool(expected) as present:
        compares = plan.segments > 1
        reads: list[Callable[[], Records]] = [
            lambda: (_puts(page, micros) for page in rows_of(snapshot, rows)),
            lambda: _compared(ready.store, plan, snapshot, follows, known, present, micros, progress),
        ]
        files = tuple(SourceFile(snapshot.table.address, None, read) for read in reads[: plan.segments])
        source = Source(plan.table, ENGINE, plan.as_of, plan.consistent, 0, files, plan.window)
        every = in_turn(range(plan.segments))
        # keys that are put now are known: what is new in the table is not what came late
        on_keys = known.add_keys if compares else None
        convert_files(ready.store, plan, source, every, clock=clock, progress=progress, on_keys=on_keys)


def _puts(items: Sequence[bytes | msgspec.Raw], micros: int) -> list[bytes | msgspec.Raw]:
    return [b'{"NewImage":%b,"WriteTimestampMicros":"%d"}' % (bytes(item), micros) for item in items]


def _compared(
    store: Store,
    plan: ExportPlan,
    snapshot: Snapshot,
    follows: Chain,
    known: KeySpool,
    present: KeySpool,
    micros: int,
    progress: Progress,
) -> Records:
    """Deletions of keys that the chain has and the table has not; rows whose keys the table has and the chain has not."""
    columns = [column for name in plan.key_names if (column := snapshot.table.column(name))]
    progress.phase("compare", follows.full.items, "keys")
    for page in snapshot.read(columns, None):
        keys = [canonical_item(parse_item(one)) for one in wire_items([one.cells for one in columns], page)]
        present.add_keys(keys)
    _spool_chain(store, follows, plan.key_names, known, progress)
    gone, late = list[bytes | msgspec.Raw](), list[bytes]()
    for key, state in differences(known, present):
        if state == "left only":
            gone.append(b'{"Keys":%b,"WriteTimestampMicros":"%d"}' % (key, micros))
            if len(gone) >= PAGE_ROWS:
                yield gone
                gone = []
        elif state == "right only":
            late.append(key)
            if len(late) >= SOME_KEYS:
                yield from _late(snapshot, columns, late, micros)
                late = []
    yield gone
    yield from _late(snapshot, columns, late, micros)


def _spool_chain(store: Store, follows: Chain, names: Sequence[str], known: KeySpool, progress: Progress) -> None:
    """All keys that the table had by the chain."""

    def add(items: Sequence[bytes]) -> None:
        known.add_keys([canonical_key(parse_item(one), names) for one in items])

    opened = BackupSet(store, follows.full)
    with ChangedKeys() as changed:
        gather(store, follows, changed, progress)
        progress.phase("compare", follows.full.items, "keys")
        for part in follows.full.parts:
            for items in opened.items(part):
                keys = [canonical_key(parse_item(one), names) for one in items]
                add(changed.over(keys, keys))  # a key stands for its item where that was not changed
                progress.advance(len(items))
        for items in changed.rest():
            add(items)


def _late(snapshot: Snapshot, columns: Sequence[SourceColumn], keys: Sequence[bytes], micros: int) -> Records:
    """The rows of keys, as changes.

    :raises PermanentError: when one is not found by its key: the database compares it otherwise than it writes it.
    """
    if not keys:
        return
    wanted = tuple(tuple(_text(decode_json(key)[column.name]) for column in columns) for key in keys)
    found = 0
    for page in rows_of(snapshot, Rows(tuple(columns), wanted)):
        found += len(page)
        yield _puts(page, micros)
    if found != len(keys):
        raise PermanentError(
            f"reading rows of {snapshot.table.address} by their keys",
            f"{found:,} of {len(keys):,} were found",
            "leave out deletes: compare, or make full backups",
        )


def _text(value: dict[str, Any]) -> str:
    """A key's value as a text of its column's type; of bytes their hexadecimal digits."""
    ((kind, content),) = value.items()
    if kind == "B":
        return base64.b64decode(content).hex()
    return content if isinstance(content, str) else str(content).lower()
