"""Several processes of this machine load one restore, and read the table that it has made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.processes import Worker, in_processes
from tablekeep.engine.progress import NoProgress, Progress
from tablekeep.engine.restore.load import Done, load_units
from tablekeep.engine.restore.plan import Prepared, RestorePlan
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.source import open_sets
from tablekeep.engine.restore.state import Loaded
from tablekeep.engine.restore.targets import Target


@dataclass(frozen=True)
class _Job:
    """What a process is told: the plan and what is needed to make of it again what the first process has."""

    plan: RestorePlan
    request: RestoreRequest
    settings: TableSettings
    token: str
    units: list[str]
    changes: Path | None


def load_in_processes(
    prepared: Prepared,
    request: RestoreRequest,
    token: str,
    units: list[str],
    workers: int,
    *,
    clients: Sequence[SessionClients],
    progress: Progress,
    done: Done,
    until: Callable[[], float] | None,
) -> None:
    """Loads units in `workers` processes, which share the write budget; the source must be open here.

    :param units: in the order in which they are given out. :param clients: of the target, and for the bucket.
    :param done: told of each loaded unit, in a thread of this process. :param until: see `in_processes`, and there for the errors.
    """
    job = _Job(prepared.plan, request, prepared.settings, token, units, prepared.source.shared)
    in_processes(
        _load, job, clients=clients, count=len(units), workers=workers, name="restore",
        what=f"restoring to the table {request.to_table}", progress=progress, told=lambda told: done(*told), until=until,
    )  # fmt: skip


def _load(worker: Worker, job: _Job) -> None:
    """One process."""
    target, bucket = worker.clients
    plan, request = job.plan, job.request
    source = open_sets(bucket, (plan.backup, *plan.increments), NoProgress(), parts=request.parts, changes=job.changes)
    selection = request.selection(source.full.key)
    prepared = Prepared(plan, source, selection, job.settings, Target(plan.to_table, plan.account, plan.region))

    def take() -> str | None:
        number = worker.take()
        return None if number is None else job.units[number]

    def done(unit: str, loaded: Loaded) -> None:
        worker.tell((unit, loaded))

    with source:
        load_units(
            prepared, job.token, take, clients=target, clock=worker.clock, progress=worker.progress,
            budget=request.budget(worker.clock, cell=worker.cell), done=done, guard=worker.guard,
        )  # fmt: skip
