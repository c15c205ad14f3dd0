"""Takes back what was written in a window, where incremental backups tell the old images: item by item, and only where nobody has written
since.

An increment holds one change a key: what the item was when the increment began, and what it is at its end. So a window begins and ends
with increments. An item that did not exist before is not deleted; it is counted, and its key is in the file where one is asked for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from tablekeep.engine.backups.catalog import usable_sets
from tablekeep.engine.backups.chains import gap_text
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.records import write_record
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.dynamodb.settings import read_settings
from tablekeep.engine.dynamodb.wire import BATCH_GET_KEYS, WireClient
from tablekeep.engine.errors import BadInputError, IntegrityError
from tablekeep.engine.items.canonical import encode_canonical
from tablekeep.engine.items.changes import Attributes, parse_change
from tablekeep.engine.items.hashing import key_hash
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.existing import get_items, patiently
from tablekeep.engine.restore.selection import Selection, select

MOST_KEYS = 100
MOST_ATTRIBUTES = 250
"""That a condition names: an expression has at most 300 operators (Developer Guide, "Expression limits")."""


@dataclass
class UndoReport:
    """What was, or would be, taken back.

    :ivar since, to: the window of the increments, which holds the one that was asked for.
    :ivar changed: keys that were written in it. :ivar put: items put back to what they were. :ivar same: that are so already.
    :ivar written_since: left alone, for they are not any more what the window made of them.
    :ivar new: that did not exist before; left alone. :ivar keys: of those left alone, up to 100: hash and why.
    """

    table: str
    since: str
    to: str
    increments: list[str]
    confirmed: bool = False
    changed: int = 0
    put: int = 0
    same: int = 0
    written_since: int = 0
    new: int = 0
    keys: list[dict[str, str]] = field(default_factory=list)
    file: str = ""
    proved: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def leave(self, key: bytes, why: str) -> None:
        if len(self.keys) < MOST_KEYS:
            self.keys.append({"key": key_hash(key), "why": why})


@dataclass
class _Key:
    """What a window did to one key."""

    before: Attributes | None
    after: Attributes | None
    written: int


def undo_window(
    *,
    clients: SessionClients,
    backup_clients: SessionClients | None = None,
    clock: Clock,
    progress: Progress,
    shelf: Shelf,
    since: datetime,
    to: datetime,
    table: str | None = None,
    keys: Sequence[str] | None = None,
    key_prefix: str | None = None,
    file: Path | None = None,
    confirm: bool = False,
    actor: str,
    run: str,
) -> UndoReport:
    """Takes back the writes from `since` to `to`.

    :param table: the table to be mended; the one that was backed up when not given. :param keys, key_prefix: see `selection.select`.
    :param file: write the items as they were there, as DynamoDB JSON lines, instead of to the table.
    :param confirm: without it nothing is written. Memory grows with the keys of the window.
    :raises BadInputError: when the increments do not cover the window, or tell no old images; when the table has another key.
    :raises IntegrityError: when an item that was put is not there afterwards.
    """
    store = S3Store(backup_clients or clients, shelf.bucket)
    chain = _increments(store, shelf, since, to)
    name = table or str(chain[0].table["name"])
    settings = read_settings(clients, name) if file is None else None
    if settings is not None and tuple((one.name, one.type) for one in settings.key_schema) != chain[0].key:
        raise BadInputError(
            f"undoing in the table {name}", "its key is another one than the backup's", "name the right table"
        )
    if file is not None and file.exists():
        raise BadInputError(f"writing {file}", "it exists", "name another file")
    windows = [one.window for one in chain if one.window]
    report = UndoReport(
        name,
        utc_text(windows[0].since),
        utc_text(windows[-1].to),
        [one.uri for one in chain],
        confirm or file is not None,
    )
    found = _changed(store, chain, select(chain[0].key, keys=keys, key_prefix=key_prefix), progress)
    begin, end = (int(moment.timestamp() * 1_000_000) for moment in (since, to))
    wanted = {key: one for key, one in found.items() if one.written >= begin and one.before != one.after}
    report.changed = len(wanted)
    if file is not None:
        _to_file(wanted, file, report)
        return report
    _mend(wanted, end, report, clients, list(chain[0].key_names), progress, confirm)
    if confirm:
        write_record(
            store,
            shelf,
            "restore",
            report.as_dict() | {"mode": "undo"},
            backup_id=None,
            actor=actor,
            run=run,
            clock=clock,
        )
    return report


def _increments(store: S3Store, shelf: Shelf, since: datetime, to: datetime) -> list[Manifest]:
    what = f"undoing what was written to {shelf.name} from {utc_text(since)} to {utc_text(to)}"
    if since >= to:
        raise BadInputError(what, "the window ends before it begins", "give --from before --to")
    usable, _wrong = usable_sets(store, shelf)
    inside = sorted(
        (one for one in usable if one.window and one.window.since < to and one.window.to > since),
        key=lambda one: one.as_of,
    )
    if not inside:
        raise BadInputError(
            what,
            "no incremental backup holds that time",
            "undo needs increments; restore some items instead",
        )
    edge = since
    for one in inside:
        assert one.window
        if one.window.since > edge:
            raise BadInputError(what, gap_text((edge, one.window.since)), "name a window without the gap")
        if not one.window.old_images:
            raise BadInputError(
                what,
                f"{one.uri} does not tell what the items were before",
                "restore the items from a full backup instead",
            )
        edge = max(edge, one.window.to)
    if edge < to:
        raise BadInputError(what, gap_text((edge, to)), "back the changes up first, or name an earlier end")
    return inside


def _changed(store: S3Store, chain: list[Manifest], selection: Selection, progress: Progress) -> dict[bytes, _Key]:
    """Each key's state before the first increment that has it and after the last one."""
    found: dict[bytes, _Key] = {}
    progress.phase("changes", sum(one.items for one in chain), "changes")
    for increment in chain:
        opened = BackupSet(store, increment)
        for part in increment.parts:
            for records in opened.items(part):
                for change in (parse_change(one, increment.key_names) for one in records):
                    key = encode_canonical(change.key)
                    if not selection.pick([key]):
                        continue
                    if key in found:
                        found[key].after, found[key].written = change.new, max(found[key].written, change.written)
                    else:
                        found[key] = _Key(change.old, change.new, change.written)
                progress.advance(len(records))
    return found


def _to_file(wanted: dict[bytes, _Key], file: Path, report: UndoReport) -> None:
    with file.open("xb") as sink:
        file.chmod(0o600)
        for key, one in wanted.items():
            if one.before is None:
                report.new += 1
                report.leave(key, "new in the window")
            else:
                sink.write(b'{"Item":%b}\n' % encode_canonical(one.before))
                report.put += 1
    report.file, report.proved = str(file), True


def _mend(
    wanted: dict[bytes, _Key],
    end: int,
    report: UndoReport,
    clients: SessionClients,
    names: list[str],
    progress: Progress,
    confirm: bool,
) -> None:
    wire, done = WireClient(clients), list[tuple[bytes, bytes]]()
    progress.phase("undo", len(wanted))
    for some in _batches(list(wanted)):
        there = get_items(wire, report.table, names, some)
        for key in some:
            one = wanted[key]
            before = None if one.before is None else encode_canonical(one.before)
            after = None if one.after is None else encode_canonical(one.after)
            if there.get(key) == before:
                report.same += 1
            elif one.written >= end or there.get(key) != after:
                report.written_since += 1
                report.leave(key, "written since")
            elif before is None:
                report.new += 1
                report.leave(key, "new in the window")
            elif not confirm:
                report.put += 1
            elif _put(wire, report.table, before, _condition(one, names)):
                report.put += 1
                done.append((key, before))
            else:  # between the look and the write
                report.written_since += 1
                report.leave(key, "written since")
        progress.advance(len(some))
    expected = dict(done)
    for some in _batches(list(expected)):
        there = get_items(wire, report.table, names, some)
        if lost := [key for key in some if there.get(key) != expected[key]]:
            raise IntegrityError(
                f"proving the undo in table {report.table}", f"{len(lost):,} items are not what was put, one of them {key_hash(lost[0])}",
                "somebody may write to the table meanwhile: look at it before you go on",
            )  # fmt: skip
    report.proved = confirm
    wire.close()


def _put(wire: WireClient, table: str, item: bytes, condition: bytes) -> bool:
    return patiently(f"writing to table {table}", lambda: wire.put(table, item, condition=condition)).written


def _batches(keys: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(keys), BATCH_GET_KEYS):
        yield keys[start : start + BATCH_GET_KEYS]


def _condition(one: _Key, key_names: list[str]) -> bytes:
    """That the item is still what the window made of it: members of a PutItem request."""
    if one.after is None:
        return (
            b',"ConditionExpression":"attribute_not_exists(#0)","ExpressionAttributeNames":{"#0":%b}'
            % msgspec.json.encode(key_names[0])
        )
    before = one.before or {}
    compared = {name: value for name, value in one.after.items() if name not in key_names}
    if len(compared) > MOST_ATTRIBUTES:
        compared = {name: value for name, value in compared.items() if before.get(name) != value}
    gone = [name for name in before if name not in one.after]
    names = {f"#{number}": name for number, name in enumerate([*compared, *gone])} | {"#k": key_names[0]}
    values = {f":{number}": value for number, value in enumerate(compared.values())}
    terms = ["attribute_exists(#k)", *(f"#{number} = :{number}" for number in range(len(compared)))]
    terms += [f"attribute_not_exists(#{number})" for number in range(len(compared), len(compared) + len(gone))]
    members = {"ConditionExpression": " AND ".join(terms), "ExpressionAttributeNames": names}
    if values:
        members["ExpressionAttributeValues"] = values
    return b"," + encode_canonical(members)[1:-1]
