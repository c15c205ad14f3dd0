"""Makes a backup of the segments that workers have read: repairs columns, sums up, publishes, clears the state away."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec

from tablekeep.engine.backups.location import NATIVE, STATE, SetLocation
from tablekeep.engine.backups.manifest import ColumnFigures, Manifest, Part, Segment
from tablekeep.engine.backups.parts import part_records
from tablekeep.engine.backups.sets import open_set, publish, put_file
from tablekeep.engine.backups.store import Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, parse_utc
from tablekeep.engine.dynamodb.drift import changed_settings
from tablekeep.engine.dynamodb.settings import TableSettings, read_settings
from tablekeep.engine.errors import PermanentError, TablekeepError, TransientError
from tablekeep.engine.export.plan import ExportPlan, load_plan, save_plan
from tablekeep.engine.export.segments import ScannedSegment
from tablekeep.engine.items.changes import encoder_for
from tablekeep.engine.items.codec import Encoder
from tablekeep.engine.items.layout import Layout, decide
from tablekeep.engine.leases import Lease
from tablekeep.engine.progress import NoProgress, Progress

READERS = 16
"""States that are read at a time."""


def finish_export(
    store: Store,
    plan: ExportPlan,
    lease: Lease,
    *,
    clock: Clock,
    progress: Progress,
    actor: str,
    run: str,
    details: dict[str, Any] | None = None,
) -> Manifest:
    """Publishes the set of an export whose segments are all read.

    :param details: for the manifest's `run`.
    :raises TransientError: when a segment is not. :raises PermanentError: when the lease was lost, or another has published.
    """
    attempt = int(clock.token(4), 16)
    read = _gather(store, plan)
    superseded: list[str] = []
    if read.whole.numbers_missed:
        superseded = [part.name for part in read.parts]
        plan = _rewrite(store, plan, read, attempt, progress)
        read = _gather(store, plan)
    progress.phase("publish")
    manifest = _manifest(store, plan, read, attempt, clock, (details or {}) | {"actor": actor, "id": run})
    lease.check()
    made = publish(store, manifest)
    for name in superseded:
        remove(store, plan.location.key(name), progress)
    clear(store, plan.location, progress)
    return made


@dataclass
class _Read:
    """What all segments together hold."""

    whole: Encoder
    segments: list[Segment] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    consumed: float = 0.0


def _gather(store: Store, plan: ExportPlan) -> _Read:
    """Sums the states of all segments up; keeps none of them."""
    read, unread = _Read(encoder_for(plan.layout, plan.key_names)), list[int]()
    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, plan.segments, READERS * 4):
            numbers = range(start, min(plan.segments, start + READERS * 4))
            for state in pool.map(lambda number: ScannedSegment(store, plan, number, 0), numbers):
                if not state.done:
                    unread.append(state.writer.segment)
                    continue
                read.whole.merge(state.writer.encoder)
                read.segments.append(state.as_segment())
                read.parts += state.writer.parts
                read.consumed += state.consumed
    if unread:
        raise TransientError(
            f"publishing {plan.location.uri}",
            f"{len(unread)} of {plan.segments} segments were not read to their ends (the first: {unread[0]})",
            "run the workers of these segments again",
        )
    return read


def _rewrite(store: Store, plan: ExportPlan, read: _Read, attempt: int, progress: Progress) -> ExportPlan:
    """Rewrites all parts under columns that hold every number, so that plain SQL on a column is right."""
    wider = load_plan(store, plan.location, plan.revision + 1)
    if wider is None:
        layout = decide(read.whole.census, list(plan.key), plan.layout, changes=plan.layout.changes)
        wider = save_plan(store, plan.with_layout(replace(layout, schema=plan.previous_schema + 1)))
    progress.phase("rewrite", read.whole.census.items)
    progress.note(
        "some numbers do not fit the columns that the sample suggested; the parts are rewritten with wider ones"
    )
    parts: dict[int, list[Part]] = {}
    for part in read.parts:
        parts.setdefault(part.segment, []).append(part)
    view = _PartView(plan.location, plan.layout)
    for segment in read.segments:
        new = ScannedSegment(store, wider, segment.number, attempt)
        if new.done:
            progress.advance(new.items)
            continue
        for part in parts.get(segment.number, ()):
            for items in part_records(store, view, part):  # type: ignore[arg-type]
                new.writer.add(items)
                progress.advance(len(items))
        new.rewritten(segment)
    return wider


@dataclass(frozen=True)
class _PartView:
    """What `part_records` needs to know of a set that has no manifest yet."""

    location: SetLocation
    layout: Layout

    @property
    def backup_id(self) -> str:
        return self.location.backup_id


def _manifest(
    store: Store, plan: ExportPlan, read: _Read, attempt: int, clock: Clock, details: dict[str, Any]
) -> Manifest:
    details |= {"not_known": plan.not_known, "consumed_rcu": read.consumed}
    if plan.run != details["id"]:
        details["begun_by"] = plan.run
    return Manifest(
        location=plan.location,
        table=plan.table,
        key=plan.key,
        engine=plan.engine,
        as_of=plan.as_of,
        consistent=plan.consistent or _read_between(read.segments),
        started=plan.started,
        finished=clock.now(),
        content=read.whole.hasher.whole,
        buckets=tuple(read.whole.hasher.buckets),
        layout=plan.layout,
        columns={name: ColumnFigures(one.nulls, one.misfits) for name, one in read.whole.counts.items()},
        rest_rows=read.whole.rest_rows,
        segments=tuple(read.segments),
        parts=tuple(read.parts),
        files=(plan.settings, put_file(store, plan.location, "census", read.whole.census.as_json(), attempt)),
        run=details,
        window=plan.window,
        parents=plan.parents,
    )


def _read_between(segments: list[Segment]) -> tuple[datetime, datetime]:
    """The first request and the last answer of a scan; a clock that was set back meanwhile makes the span longer, never negative."""
    times = [parse_utc(text) for one in segments for text in (one.from_, one.to)]
    return min(times), max(times)


def clear(store: Store, location: SetLocation, progress: Progress) -> None:
    """Removes from the folder of a set that is published its running state, which holds keys, and the files of DynamoDB's own
    export, which the set holds now."""
    for folder in (STATE, NATIVE):
        for info in list(store.list(location.key(f"{folder}/"))):
            if not remove(store, info.key, progress):
                return


def settings_since(
    clients: SessionClients, store: Store, plan: ExportPlan, clock: Clock, progress: Progress
) -> dict[str, Any]:
    """What of the table's settings has changed since the export began, for the manifest's `run`; the set has those of the beginning."""
    began = TableSettings.from_document(msgspec.json.decode(store.get(plan.location.key(plan.settings.name))))
    try:
        now = read_settings(clients, plan.table["arn"], clients.region, clock=clock)
    except TablekeepError as error:
        changed = [f"not known: {error.why}"]
    else:
        changed = changed_settings(began, now)
    if changed:
        progress.note(
            f"settings were changed while the table was read, and the set has the old ones: {', '.join(changed)}"
        )
    return {"settings_changed": changed} if changed else {}


def published(store: Store, location: SetLocation) -> Manifest | None:
    """The manifest of a set that is published, else None; what its export left is cleared away."""
    if store.head(location.manifest_key) is None:
        return None
    clear(store, location, NoProgress())
    return open_set(store, location).manifest


def remove(store: Store, key: str, progress: Progress) -> bool:
    """Removes an object that nothing names. Not worth a failure: the backup is whole, and what stays is named by nothing."""
    try:
        store.delete(key)
    except (PermanentError, TransientError) as error:
        progress.note(f"left behind, for it could not be removed: {key} ({error.why})")
        return False
    return True


def remove_orphans(store: Store, made: Manifest, progress: Progress) -> None:
    """Removes from the folder of a published set the parts that tries before it have left; nobody can publish there any more."""
    named = {made.location.key(part.name) for part in made.parts}
    for info in list(store.list(made.location.key("data/"))):
        if info.key not in named and not remove(store, info.key, progress):
            return
