"""Several processes of this machine read one export; what they finish stands in the segments' states, and a later try goes on."""

from collections.abc import Sequence

from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.export.plan import ExportPlan
from tablekeep.engine.export.read import read_segments
from tablekeep.engine.processes import Worker, in_processes
from tablekeep.engine.progress import Progress

Job = tuple[ExportPlan, list[int], str | None, str | None]


def read_in_processes(
    clients: SessionClients,
    plan: ExportPlan,
    segments: Sequence[int],
    workers: int,
    *,
    owner: str | None,
    encryption: str | None,
    progress: Progress,
) -> None:
    """Reads segments in `workers` processes; see `read_segments` for what is so afterwards, and `in_processes` for the errors."""
    job: Job = (plan, list(segments), owner, encryption)
    in_processes(
        _work, job, clients=[clients], count=len(segments), workers=workers, name="export",
        what=f"exporting the table {plan.table['name']}", progress=progress,
    )  # fmt: skip


def _work(worker: Worker, job: Job) -> None:
    """One worker process."""
    plan, segments, owner, encryption = job
    (clients,) = worker.clients

    def take() -> int | None:
        number = worker.take()
        return None if number is None else segments[number]

    store = S3Store(clients, plan.location.shelf.bucket, owner=owner, encryption=encryption)
    budget = TokenBucket(plan.rcu, worker.clock, worker.cell) if plan.rcu else None
    read_segments(clients, store, plan, take, clock=worker.clock, progress=worker.progress, budget=budget)
