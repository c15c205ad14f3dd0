"""Files of records → a backup set: the same plan, states and finish as a scan's, with a file for each segment."""

import contextlib
from collections.abc import Sequence
from datetime import datetime

import msgspec

from tablekeep.engine.backups.catalog import newest
from tablekeep.engine.backups.location import SetLocation
from tablekeep.engine.backups.manifest import Link
from tablekeep.engine.backups.sets import put_file
from tablekeep.engine.backups.store import Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.export.begin import Ready
from tablekeep.engine.export.native import read_native
from tablekeep.engine.export.pitr import (
    IN_PROGRESS,
    check_time,
    native_status,
    recovery_window,
    start_native,
    wait_for_native,
    wait_for_time,
)
from tablekeep.engine.export.plan import ExportPlan, check_same, load_plan, save_plan
from tablekeep.engine.export.read import TakeNumber, Tally
from tablekeep.engine.export.segments import ScannedSegment, TakeKeys
from tablekeep.engine.export.sources import Source, native_source
from tablekeep.engine.items.census import Census
from tablekeep.engine.items.changes import states_of
from tablekeep.engine.items.layout import Layout, decide
from tablekeep.engine.items.shapes import Learned
from tablekeep.engine.progress import Progress

SAMPLED_FILES = 4


def advance_native(
    clients: SessionClients, clock: Clock, ready: Ready, backup_id: str, as_of: datetime, since: datetime | None = None
) -> tuple[bool, str | None]:
    """Starts the service's export when the service can give the state of `as_of`; called as often as one likes, it starts one.

    :param since: for the changes from then on instead of the whole table.
    :returns: whether there is something to wait for, and the export's ARN when it was started.
    :raises BadInputError: for a time that cannot be had. :raises PermanentError: when the export failed.
    """
    location, options = ready.shelf.set(backup_id), ready.options
    if ready.store.head(location.manifest_key) is not None:
        return False, None
    window = recovery_window(clients, options.table)
    check_time(window, options.table, as_of, clock.now())
    if window.latest < as_of:
        return True, None
    arn = start_native(
        clients, ready.store, location, ready.settings, as_of, since=since, encryption=options.encryption, owner=options.owner
    )  # fmt: skip
    return native_status(clients, arn)[0] == IN_PROGRESS, arn


def plan_past(
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    ready: Ready,
    location: SetLocation,
    as_of: datetime,
    run: str,
    since: datetime | None = None,
    parents: Sequence[Link] = (),
) -> tuple[ExportPlan, Source]:
    """The service exports the state of a time, or the changes since another; how its files become parts is planned."""
    store, options = ready.store, ready.options
    wait_for_time(clients, clock, progress, options.table, as_of)
    arn = start_native(
        clients, store, location, ready.settings, as_of, since=since, encryption=options.encryption, owner=options.owner
    )  # fmt: skip
    manifest, native = wait_for_native(clients, clock, store, progress, arn)
    source = native_source(store, native)
    chosen = {"encryption": options.encryption, "owner": options.owner, "source": manifest}
    plan = plan_conversion(clock, store, location, source, ready.settings, options=chosen, run=run, parents=parents)
    return plan, source


def planned_source(store: Store, plan: ExportPlan) -> Source:
    """The files of a conversion that was planned with `plan_past`."""
    return native_source(store, read_native(store, plan.options["source"]))


def plan_conversion(
    clock: Clock,
    store: Store,
    location: SetLocation,
    source: Source,
    settings: TableSettings,
    *,
    options: dict[str, str | None],
    run: str,
    parents: Sequence[Link] = (),
) -> ExportPlan:
    """Samples some files, decides the columns and keeps the plan; an earlier try's holds."""
    found = load_plan(store, location)
    if found is not None:
        check_same(found, dict(options), source.table["id"])
        return found
    before = newest(store, location.shelf, table_id=source.table["id"])
    key = tuple((one.name, one.type) for one in settings.key_schema)
    layout = _sampled(source, key, before.layout if before else None)
    file = put_file(store, location, "table", settings.as_document(), int(clock.token(4), 16))
    return save_plan(
        store,
        ExportPlan(
            location, dict(options), source.table, key, len(source.files), layout, file, dict(settings.not_known), source.as_of,
            clock.now(), None, source.items, run, before.layout.schema if before else 0, engine=source.engine,
            consistent=source.consistent, window=source.window, parents=tuple(parents),
        ),
    )  # fmt: skip


def convert_files(
    store: Store,
    plan: ExportPlan,
    source: Source,
    take: TakeNumber,
    *,
    clock: Clock,
    progress: Progress,
    on_keys: TakeKeys | None = None,
) -> Tally:
    """Converts files; those that an earlier try has converted are kept.

    :param on_keys: takes the canonical keys of what is written now.

    :raises IntegrityError: for a file that is damaged or holds another number of items than it should.
    """
    attempt, learned, tally = int(clock.token(4), 16), Learned(plan.key_names), Tally()
    begins, ends = (utc_text(time) for time in plan.consistent or ())
    while (number := take()) is not None:
        state = ScannedSegment(store, plan, number, attempt, learned, on_keys)
        file = source.files[number]
        if not state.done:
            try:
                for records in file.read():
                    state.writer.add(records)
                    state.items += len(records)
                    progress.advance(len(records))
                if file.items is not None and state.items != file.items:
                    raise IntegrityError(
                        f"reading {file.name}",
                        f"it holds {state.items:,} items and the manifest says {file.items:,}",
                        "use another export",
                    )
            except BaseException:
                state.writer.abort()
                raise
            state.began, state.ended, state.pages = begins, ends, 1
            state.close()
            state.finish()
        else:
            progress.advance(state.items)
            tally.kept_parts += state.kept
        tally.add(state)
    return tally


def _sampled(source: Source, key: Sequence[tuple[str, str]], before: Layout | None) -> Layout:
    """The columns, from the beginnings of some files and the columns of the set before."""
    step = max(1, len(source.files) // SAMPLED_FILES)
    raws = list[bytes | msgspec.Raw]()
    for file in source.files[::step][:SAMPLED_FILES]:
        with contextlib.closing(file.read()) as pages:  # type: ignore[type-var]
            found = next(pages, [])
        raws += states_of(found, [name for name, _ in key]) if source.window else found
    return decide(Census.of(raws), list(key), before, changes=source.window is not None)
