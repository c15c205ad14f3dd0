"""Exports a table to a backup set: begin, read, finish; by parallel scan, with one process or several of this machine, or from
DynamoDB's own export. Workers elsewhere: `groups.py`.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from tablekeep.engine.backups.location import STATE, SetLocation, new_backup_id
from tablekeep.engine.backups.manifest import Link
from tablekeep.engine.backups.store import AlreadyExistsError, Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.export.begin import Begun, ExportOptions, Ready, begin, get_ready, unfinished
from tablekeep.engine.export.choice import exported_by_service
from tablekeep.engine.export.convert import convert_files, plan_past
from tablekeep.engine.export.finish import finish_export, published, settings_since
from tablekeep.engine.export.pitr import check_time, recovery_window
from tablekeep.engine.export.plan import ExportPlan, load_plan
from tablekeep.engine.export.read import in_turn, read_segments
from tablekeep.engine.export.report import ExportReport, report_of
from tablekeep.engine.export.workers import read_in_processes
from tablekeep.engine.leases import Lease
from tablekeep.engine.processes import check_workers
from tablekeep.engine.progress import Progress

RESUME_NEWEST = "newest"


def export_table(
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    table: str,
    to: str,
    segments: int | None = None,
    read_budget: str | float | None = None,
    workers: int = 1,
    engine: str = "scan",
    as_of: datetime | None = None,
    backup_id: str | None = None,
    resume: str | None = None,
    encryption: str | None = None,
    owner: str | None = None,
    actor: str,
    run: str,
) -> ExportReport:
    """Backs a table up to `to` (`s3://bucket/prefix`).

    :param segments: 1 … 1,000,000; chosen by the table's size when None.
    :param read_budget: read capacity units a second over all segments, or a share of the table's capacity such as `"25%"`.
    :param workers: processes of this machine.
    :param engine: `scan`, `pitr` (the service's own export: no read capacity, and past times) or `auto` (pitr where recovery is on).
    :param as_of: the nominal time; for `pitr` the state that is exported.
    :param backup_id: given by a caller that must not make a second set when it is tried again: a set of that id is the result, and
        an unfinished one is gone on with.
    :param resume: the backup id of an unfinished export to go on with, or `"newest"`.
    :raises BadInputError: before anything was written: unknown table, missing bucket, impossible options.
    :raises TransientError: while another export of the table runs; names its holder.
    :raises IntegrityError: when what was read, written and read back differ; no backup exists then.
    """
    ready = get_ready(clients, clock, ExportOptions(table, to, segments, read_budget, encryption, owner))
    return export_ready(
        ready, clients=clients, clock=clock, progress=progress, workers=workers, engine=engine, as_of=as_of, backup_id=backup_id,
        resume=resume, actor=actor, run=run,
    )  # fmt: skip


def export_ready(
    ready: Ready,
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    workers: int = 1,
    engine: str = "scan",
    as_of: datetime | None = None,
    backup_id: str | None = None,
    resume: str | None = None,
    since: datetime | None = None,
    parents: Sequence[Link] = (),
    actor: str,
    run: str,
) -> ExportReport:
    """`export_table` of a table that was looked at.

    :param since: with `pitr`, the changes from then on instead of the whole table. :param parents: the set that these follow.
    """
    began = clock.monotonic()
    store, shelf, options = ready.store, ready.shelf, ready.options
    check_workers(f"exporting the table {options.table}", workers)
    if resume:
        backup_id = unfinished(store, shelf) if resume == RESUME_NEWEST else resume
    by_service = exported_by_service(
        ready, engine, {"read_budget": options.read_budget, "segments": options.segments, "workers": workers}
    )
    if by_service:
        as_of = as_of or clock.now()
        check_time(recovery_window(clients, options.table), options.table, as_of, clock.now())
    location = shelf.set(backup_id or new_backup_id(as_of or clock.now(), clock))
    if backup_id and (found := published(store, location)):
        return replace(report_of(found), reused=True)
    if resume and next(store.list(location.key(f"{STATE}/")), None) is None:
        raise BadInputError(f"going on with {location.uri}", "no export was begun there", "look into the bucket")
    lease = Lease(
        store, shelf.lease_key, holder=actor, run=run, clock=clock, conflict=AlreadyExistsError, wait=_waiter(progress, resume)
    )  # fmt: skip
    resumed = load_plan(store, location) is not None
    with lease, told_when_unfinished(store, location, progress):
        if by_service:
            assert as_of
            plan, source = plan_past(clients, clock, progress, ready, location, as_of, run, since, parents)
            progress.phase("convert", source.items)
            convert_files(store, plan, source, in_turn(range(plan.segments)), clock=clock, progress=progress)
        else:
            begun = begin(clients, clock, progress, ready, location, at_least=workers, as_of=as_of, run=run)
            assert begun.plan
            plan = begun.plan
            progress.phase("scan", plan.expected or None)
            _read(clients, clock, progress, begun, plan, workers)
        details = settings_since(clients, store, plan, clock, progress)
        made = finish_export(store, plan, lease, clock=clock, progress=progress, actor=actor, run=run, details=details)
    return replace(report_of(made), seconds=round(clock.monotonic() - began, 3), resumed=resumed)


@contextlib.contextmanager
def told_when_unfinished(store: Store, location: SetLocation, progress: Progress) -> Iterator[None]:
    """Says after a failure that what was done is kept."""
    try:
        yield
    except BaseException:
        if load_plan(store, location) is not None:
            progress.note(f"the export {location.backup_id} is unfinished; what it has finished is kept for a resume")
        raise


def _read(
    clients: SessionClients, clock: Clock, progress: Progress, begun: Begun, plan: ExportPlan, workers: int
) -> None:
    """All segments, by one process or several."""
    numbers = range(plan.segments)
    if workers > 1 and plan.segments > 1:
        read_in_processes(
            clients, plan, numbers, min(workers, plan.segments), owner=plan.options["owner"],
            encryption=plan.options["encryption"], progress=progress,
        )  # fmt: skip
        return
    read_segments(
        clients, begun.store, plan, in_turn(numbers), clock=clock, progress=progress, budget=begun.budget,
        first_pages=begun.first_pages,
    )  # fmt: skip


def _waiter(progress: Progress, resume: str | None) -> Any:
    """A person who resumes waits for the lease of the run that died; anybody else is told that the table is busy."""
    if not resume:
        return None
    return lambda seconds, holder: progress.note(f"waiting {seconds:.0f} s for the lease of {holder} to run out")
