"""Incremental backups: what was changed since the chain's last set, by DynamoDB's own export, in windows of 15 minutes to 24 hours."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from tablekeep.engine.backups.catalog import list_shelf, usable_sets
from tablekeep.engine.backups.chains import Chain, chain, gap_text
from tablekeep.engine.backups.location import SetLocation
from tablekeep.engine.backups.manifest import Link, Manifest
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.export.begin import Ready, unfinished
from tablekeep.engine.export.pitr import begun_window, check_time, recovery_window
from tablekeep.engine.export.report import ExportReport
from tablekeep.engine.export.table import RESUME_NEWEST, export_ready
from tablekeep.engine.progress import Progress

SHORTEST, LONGEST = timedelta(minutes=15), timedelta(hours=24)
"""Of a window: AWS Database Blog, "Introducing incremental export from Amazon DynamoDB to Amazon S3"."""


@dataclass(frozen=True)
class NextWindow:
    """The next increment that is to be made.

    :ivar backup_id: follows from the run and the window, so a later try finds what an earlier one has begun.
    """

    since: datetime
    to: datetime
    backup_id: str
    parents: tuple[Link, ...]


def current_chain(ready: Ready) -> Chain:
    """The table's chain as it stands.

    :raises BadInputError: when there is no full backup, or the chain is broken.
    """
    usable, _ = usable_sets(ready.store, ready.shelf)  # what a set that was found wrong has held is exported again
    found = chain(usable, table_id=ready.settings.table_id)
    what = f"backing up the changes of the table {ready.settings.table}"
    if found is None:
        raise BadInputError(
            what,
            "there is no full backup of it that they could follow",
            "make a full backup first, with the engine pitr",
        )
    return found


def next_window(ready: Ready, clients: SessionClients, clock: Clock, as_of: datetime, run_id: str) -> NextWindow | None:
    """The first window that is missing until `as_of`; None when none is.

    :param as_of: seconds count, for the service knows no fractions. :param run_id: a backup id that belongs to the run.
    :raises BadInputError: when the service does not keep all of the changes any more: the chain is broken; for a future time.
    """
    as_of = as_of.replace(microsecond=0)
    found = current_chain(ready)
    # a full set that is newer needs no increment, though the first one after it would begin earlier
    if as_of <= found.newest.as_of:
        return None
    what = f"backing up the changes of the table {ready.settings.table} since {utc_text(found.newest.as_of)}"
    if found.missing:
        raise BadInputError(what, gap_text(found.missing), "make a full backup; it begins a new chain")
    since = found.next_from.replace(microsecond=0)
    to = min(as_of, since + LONGEST)
    since = min(since, to - SHORTEST)
    recovery = recovery_window(clients, ready.settings.table)
    if since < recovery.earliest:
        if found.next_from >= recovery.earliest:
            raise BadInputError(
                what, f"the service keeps its past since {utc_text(recovery.earliest)}, not yet 15 minutes", "try again later"
            )  # fmt: skip
        raise BadInputError(
            what,
            f"the chain is broken: {gap_text((found.next_from, recovery.earliest))}, and the service does not keep them",
            "make a full backup; it begins a new chain",
        )
    check_time(recovery, ready.settings.table, to, clock.now())
    return NextWindow(since, to, _window_id(run_id, to), (found.newest.link,))


def _window_id(run_id: str, to: datetime) -> str:
    digest = hashlib.sha256(f"{run_id} {utc_text(to)}".encode()).hexdigest()[:8]
    return f"{to:%Y%m%dT%H%M%SZ}-{digest}"


def made_by(ready: Ready, run_id: str) -> list[Manifest]:
    """The increments that a run has made, in all its tries; oldest first."""
    sets = list_shelf(ready.store, ready.shelf).backups
    return [one for one in reversed(sets) if one.window and one.backup_id == _window_id(run_id, one.window.to)]


def export_window(
    ready: Ready, window: NextWindow, *, clients: SessionClients, clock: Clock, progress: Progress, actor: str, run: str
) -> ExportReport:
    """One increment; when an earlier try has begun it, this one goes on."""
    return export_ready(
        ready, clients=clients, clock=clock, progress=progress, engine="pitr", as_of=window.to, since=window.since,
        parents=window.parents, backup_id=window.backup_id, actor=actor, run=run,
    )  # fmt: skip


def export_changes(
    ready: Ready,
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    run_id: str,
    as_of: datetime | None = None,
    resume: str | None = None,
    actor: str,
    run: str,
) -> list[ExportReport]:
    """As many increments as it takes until `as_of` (now, when not given), oldest first; `[]` when nothing is missing.

    :param run_id: see `next_window`. :param resume: an unfinished increment's id, or `newest`, to finish first.
    :raises BadInputError: see `next_window`; and when what is to be resumed is no increment.
    """
    as_of, made = as_of or clock.now(), list[ExportReport]()
    common = {"clients": clients, "clock": clock, "progress": progress, "actor": actor, "run": run}
    if resume:
        location = ready.shelf.set(unfinished(ready.store, ready.shelf) if resume == RESUME_NEWEST else resume)
        made.append(export_window(ready, _begun(ready, location), **common))  # type: ignore[arg-type]
    while (window := next_window(ready, clients, clock, as_of, run_id)) is not None:
        made.append(export_window(ready, window, **common))  # type: ignore[arg-type]
    return made


def _begun(ready: Ready, location: SetLocation) -> NextWindow:
    times = begun_window(ready.store, location)
    if times is None:
        raise BadInputError(
            f"going on with {location.uri}", "no incremental export was begun there", "resume it as a full one"
        )
    return NextWindow(*times, location.backup_id, (current_chain(ready).newest.link,))
