"""Backup sets made of items in memory, for tests of what only reads sets: real parts, real manifest, no service."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tablekeep.engine.backups.location import Shelf, new_backup_id, part_name
from tablekeep.engine.backups.manifest import ColumnFigures, Manifest, Window
from tablekeep.engine.backups.parts import PartWriter
from tablekeep.engine.backups.sets import BackupSet, open_set, publish, put_file
from tablekeep.engine.backups.store import MemoryStore, Store
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.items.census import Census
from tablekeep.engine.items.changes import encoder_for, states_of
from tablekeep.engine.items.layout import Column, decide

SHELF = Shelf("bucket", "backups", "123456789012", "us-east-1", "dynamodb", "orders")
AS_OF = datetime(2026, 11, 23, 2, tzinfo=UTC)


def make_set(
    items: Sequence[dict[str, Any]],
    *,
    key: Sequence[tuple[str, str]] = (("pk", "S"), ("sk", "N")),
    as_of: datetime = AS_OF,
    changes: bool | tuple[datetime, datetime] = False,
    table_id: str = "t-1",
    pins: Sequence[Column] = (),
    store: Store | None = None,
    rows: int = 1000,
) -> BackupSet:
    """A published set of items (or of changes, as lines of an incremental export) given as wire JSON.

    :param changes: a set of changes; the window when it is not the day before `as_of`. :param rows: of each part.
    """
    store = store or MemoryStore()
    lines = [msgspec.json.encode(one) for one in items]
    names = [name for name, _ in key]
    sample = Census.of(states_of(lines, names) if changes else lines)
    window = changes if isinstance(changes, tuple) else (as_of - timedelta(days=1), as_of)
    layout = decide(sample, list(key), pins=pins, changes=bool(changes))
    encoder = encoder_for(layout, names)
    location = SHELF.set(new_backup_id(as_of, SystemClock()))
    parts = []
    for number, start in enumerate(range(0, len(lines), rows)):
        writer = PartWriter(store, location, part_name(0, number, 1), 0, layout)
        writer.add(encoder.encode(lines[start : start + rows]))
        parts.append(writer.finish())
    files = (
        put_file(store, location, "table", {"format": 1}, 1),
        put_file(store, location, "census", encoder.census.as_json(), 1),
    )
    manifest = Manifest(
        location, {"id": table_id, "name": "orders", "arn": "arn"}, tuple(key), "pitr", as_of,
        (as_of - timedelta(minutes=1), as_of + timedelta(minutes=1)), as_of, as_of, encoder.hasher.whole, tuple(encoder.hasher.buckets),
        layout, {name: ColumnFigures(one.nulls, one.misfits) for name, one in encoder.counts.items()}, encoder.rest_rows, (), tuple(parts),
        files, {}, window=Window(*window) if changes else None,
    )  # fmt: skip
    publish(store, manifest)
    return open_set(store, location)


def put(
    item: dict[str, Any], at: datetime = AS_OF, old: dict[str, Any] | None = None, key: Sequence[str] = ("pk", "sk")
) -> dict[str, Any]:
    """A line of an incremental export: the item was written."""
    line: dict[str, Any] = {
        "Metadata": {"WriteTimestampMicros": {"N": str(int(at.timestamp() * 1e6))}},
        "NewImage": item,
    }
    line["Keys"] = {name: item[name] for name in key}
    return line | ({"OldImage": old} if old else {})


def delete(item: dict[str, Any], at: datetime = AS_OF, key: Sequence[str] = ("pk", "sk")) -> dict[str, Any]:
    """A line of an incremental export: the item was deleted."""
    keys = {name: item[name] for name in key}
    return {"Metadata": {"WriteTimestampMicros": {"N": str(int(at.timestamp() * 1e6))}}, "Keys": keys, "OldImage": item}
