"""Exports a table by parallel scan to a backup set: begin, read, finish.

`export_table` does all three in one process, or with several processes of this machine. Workers elsewhere call the three by
themselves (`begin_export`, `read_group`, `finish_group`), as Airflow's tasks do.
"""

from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from tablekeep.engine.backups.catalog import list_shelf, newest, verifications
from tablekeep.engine.backups.location import STATE, SetLocation, Shelf, new_backup_id, parse_manifest_uri
from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.backups.store import AlreadyExistsError, Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.dynamodb.settings import read_settings
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.export.begin import Begun, ExportOptions, Ready, begin, get_ready, unfinished
from tablekeep.engine.export.convert import convert_files, plan_conversion
from tablekeep.engine.export.finish import clear_state, finish_export
from tablekeep.engine.export.pitr import (
    IN_PROGRESS,
    check_time,
    clear_native,
    native_status,
    recovery_window,
    start_native,
    wait_for_native,
    wait_for_time,
)
from tablekeep.engine.export.plan import ExportPlan, load_plan
from tablekeep.engine.export.read import in_turn, read_segments
from tablekeep.engine.export.report import ExportReport, report_of
from tablekeep.engine.export.workers import MOST_PROCESSES, read_in_processes
from tablekeep.engine.leases import Lease
from tablekeep.engine.names import parse_s3
from tablekeep.engine.progress import NoProgress, Progress

ENGINES = ("scan", "pitr", "auto")
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
    if not 1 <= workers <= MOST_PROCESSES:
        raise BadInputError(f"exporting the table {table}", f"{workers} workers", f"give 1 to {MOST_PROCESSES}")
    began = clock.monotonic()
    ready = get_ready(clients, clock, ExportOptions(table, to, segments, read_budget, encryption, owner))
    store, shelf = ready.store, ready.shelf
    if resume:
        backup_id = unfinished(store, shelf) if resume == RESUME_NEWEST else resume
    by_service = exported_by_service(
        ready, engine, {"read_budget": read_budget, "segments": segments, "workers": workers}
    )
    if by_service:
        as_of = as_of or clock.now()
        check_time(recovery_window(clients, table), table, as_of, clock.now())
    location = shelf.set(backup_id or new_backup_id(as_of or clock.now(), clock))
    if backup_id and (found := _published(store, location, clients, owner)):
        return replace(report_of(found), reused=True)
    if resume and next(store.list(location.key(f"{STATE}/")), None) is None:
        raise BadInputError(f"going on with {location.uri}", "no export was begun there", "look into the bucket")
    lease = Lease(
        store, shelf.lease_key, holder=actor, run=run, clock=clock, conflict=AlreadyExistsError, wait=_waiter(progress, resume)
    )  # fmt: skip
    resumed = load_plan(store, location) is not None
    with lease:
        try:
            if by_service:
                assert as_of
                plan = _convert(clients, clock, progress, ready, location, as_of, run)
            else:
                begun = begin(clients, clock, progress, ready, location, at_least=workers, as_of=as_of, run=run)
                assert begun.plan
                plan = begun.plan
                progress.phase("scan", plan.expected or None)
                _read(clients, clock, progress, begun, plan, workers)
            published = finish_export(store, plan, lease, clock=clock, progress=progress, actor=actor, run=run)
        except BaseException:
            if load_plan(store, location) is not None:
                progress.note(
                    f"the export {location.backup_id} is unfinished; what it has finished is kept for a resume"
                )
            raise
        if by_service:
            clear_native(store, location, progress)
    return replace(report_of(published), seconds=round(clock.monotonic() - began, 3), resumed=resumed)


def exported_by_service(ready: Ready, engine: str, scan_only: dict[str, Any] | None = None) -> bool:
    """Whether the service's own export is used.

    :param scan_only: options that have no effect on it.
    :raises BadInputError: for such an option with `pitr`, and when `auto` would fall from pitr to scan by itself.
    """
    what = f"exporting the table {ready.settings.table}"
    if engine not in ENGINES:
        raise BadInputError(what, f"there is no engine {engine!r}", f"choose one of {', '.join(ENGINES)}")
    if engine == "scan":
        return False
    if engine == "auto" and not ready.settings.point_in_time_recovery:
        before = newest(ready.store, ready.shelf, table_id=ready.settings.table_id)
        if before is not None and before.engine == "pitr":
            raise BadInputError(
                what,
                "point-in-time recovery was turned off since its last backup, which was made by it",
                "turn it on again, or choose the engine scan",
            )
        return False
    given = sorted(name for name, value in (scan_only or {}).items() if value not in (None, 1))
    if given and engine == "pitr":
        raise BadInputError(
            what, f"{given[0]} is given, and the service's own export reads nothing from the table", "leave it out"
        )
    return True


def advance_native(
    clients: SessionClients,
    clock: Clock,
    *,
    table: str,
    to: str,
    backup_id: str,
    as_of: datetime,
    encryption: str | None,
    owner: str | None,
) -> tuple[bool, str | None]:
    """Starts the service's export when the service can give the state of `as_of`; called as often as one likes, it starts one.

    :returns: whether there is something to wait for, and the export's ARN when it was started.
    :raises BadInputError: for a time that cannot be had. :raises PermanentError: when the export failed.
    """
    ready = get_ready(clients, clock, ExportOptions(table, to, None, None, encryption, owner))
    location = ready.shelf.set(backup_id)
    if ready.store.head(location.manifest_key) is not None:
        return False, None
    window = recovery_window(clients, table)
    check_time(window, table, as_of, clock.now())
    if window.latest < as_of:
        return True, None
    arn = start_native(clients, clock, ready.store, location, ready.settings, as_of, encryption=encryption, owner=owner)
    return native_status(clients, arn)[0] == IN_PROGRESS, arn


def verified_as_of(
    clients: SessionClients, *, table: str, to: str, as_of: datetime, owner: str | None
) -> ExportReport | None:
    """The newest verified set of exactly that nominal time, made of the table that has the name now; None when there is none."""
    bucket, root = parse_s3(to)
    settings = read_settings(clients, table)
    store = S3Store(clients, bucket, owner=owner)
    shelf = Shelf(bucket, root, settings.account, settings.region, "dynamodb", table)
    verified = {name for name, record in verifications(store, shelf).items() if record["result"].get("ok")}
    for manifest in list_shelf(store, shelf).backups:
        if manifest.as_of == as_of and manifest.table_id == settings.table_id and manifest.backup_id in verified:
            return replace(report_of(manifest), reused=True, verified=True)
    return None


def _convert(
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    ready: Ready,
    location: SetLocation,
    as_of: datetime,
    run: str,
) -> ExportPlan:
    """The service exports, and its files become parts."""
    store, options = ready.store, ready.options
    wait_for_time(clients, clock, progress, options.table, as_of)
    arn = start_native(
        clients, clock, store, location, ready.settings, as_of, encryption=options.encryption, owner=options.owner
    )
    native = wait_for_native(clients, clock, store, progress, arn)
    plan = plan_conversion(
        clock, store, store, location, native, ready.settings, options={"encryption": options.encryption, "owner": options.owner},
        run=run,
    )  # fmt: skip
    progress.phase("convert", native.items)
    numbers = in_turn(range(plan.segments))
    convert_files(store, store, plan, native.files, numbers, clock=clock, progress=progress)
    return plan


def _read(
    clients: SessionClients, clock: Clock, progress: Progress, begun: Begun, plan: ExportPlan, workers: int
) -> None:
    """All segments, by one process or several."""
    numbers = range(plan.segments)
    if workers > 1 and plan.segments > 1:
        read_in_processes(
            clients, plan, numbers, min(workers, plan.segments), owner=plan.options["owner"],
            encryption=plan.options["encryption"], progress=progress, rcu=plan.rcu,
        )  # fmt: skip
        return
    read_segments(
        clients, begun.store, plan, in_turn(numbers), clock=clock, progress=progress, budget=begun.budget,
        first_pages=begun.first_pages,
    )  # fmt: skip


def begin_export(
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    table: str,
    to: str,
    segments: int | None = None,
    read_budget: str | float | None = None,
    as_of: datetime | None = None,
    backup_id: str,
    encryption: str | None = None,
    owner: str | None = None,
    actor: str,
    run: str,
) -> Begun:
    """Plans an export whose segments workers elsewhere will read; see `export_table` for the parameters and errors.

    The table's lease is taken for the run and kept until `finish_group`.
    """
    ready = get_ready(clients, clock, ExportOptions(table, to, segments, read_budget, encryption, owner))
    location = ready.shelf.set(backup_id)
    if found := _published(ready.store, location, clients, owner):
        return Begun(ready.store, location, ready.settings, published=found)
    with _shared_lease(ready.store, ready.shelf, actor, run, clock):
        return begin(clients, clock, progress, ready, location, as_of=as_of, run=run)


def read_group(
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    backup: str,
    group: int,
    of: int,
    share: float = 1.0,
    encryption: str | None = None,
    owner: str | None = None,
    actor: str,
    run: str,
) -> dict[str, Any]:
    """Reads one group of the segments of an export that was begun; returns the `Tally`.

    :param backup: the URI that the manifest will have. :param group, of: the segments whose number modulo `of` is `group`.
    :param share: of the read budget, when several groups are read at a time.
    :raises BadInputError: when there is no such unfinished export.
    """
    location = parse_manifest_uri(backup)
    store = S3Store(clients, location.shelf.bucket, owner=owner, encryption=encryption)
    plan = _planned(store, location)
    budget = TokenBucket(plan.rcu * share, clock) if plan.rcu else None
    segments = range(group, plan.segments, of)
    progress.phase("scan", round(plan.expected * len(segments) / plan.segments) or None)
    with _shared_lease(store, location.shelf, actor, run, clock):
        tally = read_segments(clients, store, plan, in_turn(segments), clock=clock, progress=progress, budget=budget)
    return asdict(tally)


def finish_group(
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    backup: str,
    encryption: str | None = None,
    owner: str | None = None,
    actor: str,
    run: str,
) -> ExportReport:
    """Publishes an export whose groups were read.

    :raises TransientError: when a segment was not read to its end.
    """
    location = parse_manifest_uri(backup)
    store = S3Store(clients, location.shelf.bucket, owner=owner, encryption=encryption)
    if found := _published(store, location, clients, owner):
        return replace(report_of(found), reused=True)
    plan = _planned(store, location)
    with _shared_lease(store, location.shelf, actor, run, clock) as lease:
        made = finish_export(store, plan, lease, clock=clock, progress=progress, actor=actor, run=run)
        lease.release()
    return report_of(made)


def _shared_lease(store: Store, shelf: Shelf, actor: str, run: str, clock: Clock) -> Lease:
    return Lease(store, shelf.lease_key, holder=actor, run=run, clock=clock, conflict=AlreadyExistsError, shared=True)


def _planned(store: Store, location: SetLocation) -> ExportPlan:
    plan = load_plan(store, location)
    if plan is None:
        raise BadInputError(f"going on with {location.uri}", "no export was begun there", "begin it first")
    return plan


def _published(store: Store, location: SetLocation, clients: SessionClients, owner: str | None) -> Manifest | None:
    """The manifest of a set that is published; what its export left of its state is cleared away."""
    if store.head(location.manifest_key) is None:
        return None
    clear_state(store, location, NoProgress())
    return open_backup(clients, location.uri, owner=owner).manifest


def _waiter(progress: Progress, resume: str | None) -> Any:
    """A person who resumes waits for the lease of the run that died; anybody else is told that the table is busy."""
    if not resume:
        return None
    return lambda seconds, holder: progress.note(f"waiting {seconds:.0f} s for the lease of {holder} to run out")
