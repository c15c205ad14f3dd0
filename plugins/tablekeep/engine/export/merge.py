"""Folds a full set and the increments that follow it into a new full set, without touching the table ("synthetic full").

The new set is made of its own rows: its hash is not reckoned from the old ones'. Each part of the full set is a segment, and one more
holds the items that are new, so a merge that dies goes on where it stood.
"""

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from tablekeep.engine.backups.catalog import DISPROOF, list_shelf, usable_sets
from tablekeep.engine.backups.chains import CUT, Chain, chain, gap_text
from tablekeep.engine.backups.changed import ChangedKeys
from tablekeep.engine.backups.folding import gather
from tablekeep.engine.backups.location import SetLocation, Shelf, new_backup_id
from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.records import write_record
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import BackupSet, open_backup, put_file
from tablekeep.engine.backups.spool import KeySpool, differences
from tablekeep.engine.backups.store import AlreadyExistsError
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.errors import BadInputError, IntegrityError
from tablekeep.engine.export.finish import finish_export, published
from tablekeep.engine.export.plan import ExportPlan, check_same, load_plan, save_plan
from tablekeep.engine.export.report import ExportReport, report_of
from tablekeep.engine.export.segments import ScannedSegment
from tablekeep.engine.items.canonical import canonical_key, parse_item
from tablekeep.engine.items.census import Census
from tablekeep.engine.items.hashing import item_hash, key_hash
from tablekeep.engine.items.layout import decide
from tablekeep.engine.items.shapes import Learned
from tablekeep.engine.leases import Lease
from tablekeep.engine.progress import Progress

MOST_KEYS = 100
"""That a confirmation names."""


def merge_backups(
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    shelf: Shelf,
    table_id: str | None = None,
    as_of: datetime | None = None,
    without: Collection[str] = (),
    reach: datetime | None = None,
    backup_id: str | None = None,
    encryption: str | None = None,
    owner: str | None = None,
    actor: str,
    run: str,
) -> ExportReport:
    """A new full set of the newest state that the table's increments give.

    :param shelf: where the table's backups lie. :param table_id: of the table; the newest set's when not given.
    :param as_of: no state later than this. :param without: ids of sets to be left out.
    :param reach: the state must not be older than this. :param backup_id: see `export_table`.
    :returns: its report; that of the newest full set when no increment follows it.
    :raises BadInputError: when there is no full set, the chain has a gap, or it ends before `reach`.
    :raises IntegrityError: for a damaged set.
    """
    began = clock.monotonic()
    store = S3Store(clients, shelf.bucket, owner=owner, encryption=encryption)
    usable, wrong = usable_sets(store, shelf)
    sets = [one for one in usable if one.backup_id not in {*without, backup_id}]
    what = f"merging the backups of {shelf.name}"
    found = chain(sets, table_id=table_id or sets[0].table_id, until=as_of) if sets else None
    if found is None:
        raise BadInputError(what, "there is no full backup", "make one with `tablekeep export`")
    if found.missing:
        raise BadInputError(
            what, f"the chain is broken: {gap_text(found.missing)}", "make a full backup; it begins a new chain"
        )
    for one in wrong:
        if (
            one.window
            and one.table_id == found.full.table_id
            and one.as_of > found.newest.as_of
            and one.as_of <= (as_of or one.as_of)
        ):
            raise IntegrityError(
                what,
                f"a verification found {one.uri} wrong, and nothing else holds its changes",
                "export the changes again (`tablekeep export --incremental`), or make a full backup",
            )
    if reach and found.newest.as_of < reach:
        raise BadInputError(what, f"the chain ends at {utc_text(found.newest.as_of)}", "back the changes up first")
    location = shelf.set(backup_id or new_backup_id(found.newest.as_of, clock))
    if done := published(store, location):
        return replace(report_of(done), reused=True)
    if not found.increments:
        return replace(report_of(found.full), reused=True)
    with Lease(store, shelf.lease_key, holder=actor, run=run, clock=clock, conflict=AlreadyExistsError) as lease:
        plan = _planned(store, location, found, encryption, clock, run)
        with ChangedKeys() as changed:
            gather(store, found, changed, progress)
            _fold(store, plan, found, changed, clock, progress)
            details = {"boundary": changed.boundary, **_read_until(found.newest)}
        made = finish_export(store, plan, lease, clock=clock, progress=progress, actor=actor, run=run, details=details)
    return replace(report_of(made), seconds=round(clock.monotonic() - began, 3))


def _read_until(newest: Manifest) -> dict[str, Any]:
    """Where the next increment of a SQL table goes on."""
    return {"position": newest.run["position"]} if "position" in newest.run else {}


def _planned(
    store: S3Store, location: SetLocation, found: Chain, encryption: str | None, clock: Clock, run: str
) -> ExportPlan:
    """The columns: those of the full set, and what the increments' censuses add."""
    options = {"encryption": encryption, "newest": found.newest.backup_id}
    known = load_plan(store, location)
    if known is not None:
        check_same(known, options, found.full.table_id)
        return known
    census = Census()
    for one in found.increments:
        census.merge(Census.from_json(BackupSet(store, one).document("census")))
    full, newest = found.full, found.newest
    # what the increments' columns are is told by more than their census where the table has types
    added = [one for one in newest.layout.columns if full.layout.column_of(one.attribute) is None]
    layout = decide(census, list(full.key), replace(full.layout, columns=(*full.layout.columns, *added)))
    layout = replace(layout, schema=full.layout.schema + (layout.columns != full.layout.columns))
    settings = BackupSet(store, newest).document("table")
    file = put_file(store, location, "table", settings, int(clock.token(4), 16))
    return save_plan(
        store,
        ExportPlan(
            location, options, full.table, full.key, len(full.parts) + 1, layout, file,
            TableSettings.refused_in(settings), newest.as_of, clock.now(), None, full.items, run, full.layout.schema,
            engine="merge",
            consistent=newest.consistent if newest.engine == "snapshot" else (newest.as_of - CUT, newest.as_of + CUT),
            parents=(full.link, *(one.link for one in found.increments)),
        ),
    )  # fmt: skip


def _fold(
    store: S3Store, plan: ExportPlan, found: Chain, changed: ChangedKeys, clock: Clock, progress: Progress
) -> None:
    """Writes every segment that no earlier try has written; the full set's keys are looked up in any case."""
    progress.phase("merge", found.full.items)
    attempt, learned = int(clock.token(4), 16), Learned(plan.key_names)
    opened = BackupSet(store, found.full)
    for number in range(plan.segments):
        state = ScannedSegment(store, plan, number, attempt, learned)
        try:
            last = number == len(found.full.parts)
            for keys, items in _rest(changed) if last else opened.keyed(found.full.parts[number]):
                kept = items if last else changed.over(keys, items)
                if not state.done:
                    state.writer.add(kept)
                    state.items += len(kept)
                progress.advance(len(items))
        except BaseException:
            state.writer.abort()
            raise
        if not state.done:
            state.began = state.ended = utc_text(plan.as_of)
            state.pages = 1
            state.close()
            state.finish()


def _rest(changed: ChangedKeys) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """What is new, without its keys."""
    return (([], items) for items in changed.rest())


@dataclass
class Confirmation:
    """A merged set beside a full export of about the same time.

    :ivar ok: no key differs but those that were written between the two cuts.
    :ivar explained: keys that differ and were. :ivar unexplained: keys that differ and were not; `keys`: some of their hashes.
    """

    merged: str
    full: str
    ok: bool
    equal: bool
    explained: int
    unexplained: int
    keys: list[dict[str, str]]
    level: str = DISPROOF

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def confirm_merge(
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    merged: str,
    full: str,
    owner: str | None = None,
    actor: str,
    run: str,
) -> Confirmation:
    """Compares a merged set with a full export of the same time or a little earlier, and leaves a record of verification.

    A key may differ when it was written after the full export's cut, or in the minute before. What is written after the merged set's
    end cannot be told from a fault, so the full export's time lies two minutes before it, or the table is quiet.

    :raises BadInputError: for a set that is not merged, or sets of different tables.
    """
    one, other = (open_backup(clients, uri, owner=owner).manifest for uri in (merged, full))
    what = f"confirming {merged}"
    if one.engine != "merge":
        raise BadInputError(what, "it is not a merged set", "name a set that `tablekeep merge` made")
    if one.table_id != other.table_id or other.engine != "pitr":
        raise BadInputError(
            what, f"{full} is no export of the same table by DynamoDB", "name a full set of engine pitr"
        )
    store = S3Store(clients, one.location.shelf.bucket, owner=owner)
    result = Confirmation(merged, full, True, one.content == other.content, 0, 0, [])
    if not result.equal:
        _explain(store, one, other, result, progress)
        result.ok = not result.unexplained
    write_record(
        store, one.location.shelf, "verify", result.as_dict(), backup_id=one.backup_id, actor=actor, run=run, clock=clock
    )  # fmt: skip
    return result


def _explain(store: S3Store, merged: Manifest, full: Manifest, result: Confirmation, progress: Progress) -> None:
    since = int((full.as_of - CUT - timedelta(seconds=1)).timestamp() * 1_000_000)
    expected = max(merged.items, full.items)
    with KeySpool(expected) as left, KeySpool(expected) as right, ChangedKeys() as changed:
        increments = tuple(
            one for one in list_shelf(store, merged.location.shelf).backups
            if one.link in merged.parents and one.window and one.window.to > full.as_of - CUT
        )  # fmt: skip
        gather(store, Chain(full, increments[::-1]), changed, progress)
        progress.phase("compare", merged.items + full.items)
        for spool, manifest in ((left, merged), (right, full)):
            for part in manifest.parts:
                for items in BackupSet(store, manifest).items(part):
                    for item in items:
                        key = canonical_key(parse_item(item), manifest.key_names)
                        spool.add(key, item_hash(item).to_bytes(32, "big"))
                    progress.advance(len(items))
        for key, state in differences(left, right):
            written = changed.written(key)
            if written is not None and written >= since:
                result.explained += 1
                continue
            result.unexplained += 1
            if len(result.keys) < MOST_KEYS:
                result.keys.append({"key": key_hash(key), "state": state})
