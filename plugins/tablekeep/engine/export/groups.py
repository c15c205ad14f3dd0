"""An export by workers elsewhere, as Airflow's tasks: one begins it, each reads groups of its segments, one finishes it."""

from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from tablekeep.engine.backups.location import SetLocation, Shelf, parse_manifest_uri
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.store import AlreadyExistsError, Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.export.begin import Begun, Ready, begin
from tablekeep.engine.export.convert import convert_files, plan_past, planned_source
from tablekeep.engine.export.finish import finish_export, published, settings_since
from tablekeep.engine.export.plan import ExportPlan, load_plan
from tablekeep.engine.export.read import in_turn, read_segments
from tablekeep.engine.export.report import ExportReport, report_of
from tablekeep.engine.leases import Lease
from tablekeep.engine.progress import Progress


def begin_export(
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    ready: Ready,
    as_of: datetime | None = None,
    by_service: bool = False,
    backup_id: str,
    actor: str,
    run: str,
) -> Begun:
    """Plans an export whose segments workers elsewhere will read; see `export_table` for the parameters and errors.

    The table's lease is taken for the run and kept until `finish_group`.

    :param ready: see `get_ready`. :param by_service: of the service's own export of `as_of`: its files are the segments.
    """
    location = ready.shelf.set(backup_id)
    if found := published(ready.store, location):
        return Begun(ready.store, location, published=found)
    with _shared_lease(ready.store, ready.shelf, actor, run, clock):
        if by_service:
            assert as_of
            plan, _ = plan_past(clients, clock, progress, ready, location, as_of, run)
            return Begun(ready.store, location, plan)
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
    """Reads one group of the segments of an export that was begun, or converts one of its files; returns the `Tally`.

    :param backup: the URI that the manifest will have. :param group, of: the segments whose number modulo `of` is `group`.
    :param share: of the read budget, when several groups are read at a time.
    :raises BadInputError: when there is no such unfinished export.
    """
    location = parse_manifest_uri(backup)
    store = S3Store(clients, location.shelf.bucket, owner=owner, encryption=encryption)
    plan = _planned(store, location)
    budget = TokenBucket(plan.rcu * share, clock) if plan.rcu else None
    segments = range(group, plan.segments, of)
    expected = round(plan.expected * len(segments) / plan.segments) or None
    with _shared_lease(store, location.shelf, actor, run, clock):
        if plan.engine == "pitr":
            progress.phase("convert", expected)
            source = planned_source(store, plan)
            return asdict(convert_files(store, plan, source, in_turn(segments), clock=clock, progress=progress))
        progress.phase("scan", expected)
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
    if found := published(store, location):
        return replace(report_of(found), reused=True)
    plan = _planned(store, location)
    with _shared_lease(store, location.shelf, actor, run, clock) as lease:
        details = settings_since(clients, store, plan, clock, progress)
        made = finish_export(store, plan, lease, clock=clock, progress=progress, actor=actor, run=run, details=details)
        lease.release()
    return report_of(made)


def _shared_lease(store: Store, shelf: Shelf, actor: str, run: str, clock: Clock) -> Lease:
    return Lease(store, shelf.lease_key, holder=actor, run=run, clock=clock, conflict=AlreadyExistsError, shared=True)


def _planned(store: Store, location: SetLocation) -> ExportPlan:
    plan = load_plan(store, location)
    if plan is None:
        raise BadInputError(f"going on with {location.uri}", "no export was begun there", "begin it first")
    return plan
