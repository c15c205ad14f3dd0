"""Carries out a restore as planned, from its beginning to its end: creates, loads, indexes, proves, sets, compares. Never deletes, never
writes to what the plan does not name; a try that died is gone on with. Workers elsewhere: `groups.py`."""

from collections.abc import Collection
from contextlib import nullcontext
from datetime import timedelta

from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.prices import Prices, load_prices
from tablekeep.engine.processes import check_workers
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.differences import See
from tablekeep.engine.restore.intents import Intents
from tablekeep.engine.restore.proof import decide
from tablekeep.engine.restore.proof import prove as prove_restore
from tablekeep.engine.restore.report import RestoreReport
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.state import RestoreState
from tablekeep.engine.restore.steps import KEPT_BY_AWS, Restoring


def restore_table(
    request: RestoreRequest,
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    actor: str,
    run: str,
    backup_clients: SessionClients | None = None,
    plan_hash: str | None = None,
    plan_holds: timedelta | None = None,
    prices: Prices | None = None,
    tags: dict[str, str] | None = None,
    prove: bool = True,
    record: bool = True,
    intents: Intents | None = None,
    see: See | None = None,
    workers: int = 1,
    sample: Collection[str] | None = None,
    reads: TokenBucket | None = None,
) -> RestoreReport:
    """Restores as the request says; an unfinished restore of the same request to the same table is gone on with.

    :param clients: of the target's account and Region. :param backup_clients: for the bucket, when it belongs to another account.
    :param plan_hash: of the plan that was approved, or its first 16 digits or more: nothing else is done.
    :param plan_holds: so long after it was shown (`shown.record_plan`); for ever when not given.
    :param tags: further tags of a new table. :param intents: where it is written down which table a service is about to make, for those
        who remove tables by their tags: the service's calls take none.
    :param see: is shown the items that the proof finds to differ: for a person's terminal only.
    :param record: keep state and a record beside the backups; without it nothing is written there, and nothing is gone on with.
    :param workers: processes of this machine that load and read back.
    :param sample, reads: see `proof.prove`; a sample is of what AWS restores whole (the paths pitr and backup).
    :raises BadInputError: before anything was made: the restore may not be done as asked, or the plan is another one by now.
    :raises IntegrityError: for a damaged part (nothing of it was written) or a table that differs in the end; its attribute
        `report` is the RestoreReport.
    """
    request.check()
    assert sample is None or request.path in KEPT_BY_AWS, "what is loaded in part is read whole"
    check_workers(f"restoring to the table {request.to_table}", workers)
    began, given = clock.monotonic(), backup_clients or clients
    shelf = request.where_backups_lie
    store = S3Store(given, shelf.bucket)
    state = RestoreState(store, shelf, clients.account(), clients.region, request.to_table) if record else None
    one = Restoring(request, clients, given, clock, progress, actor, run, state, intents)
    # what cannot be opened is told before a lease is taken
    source = None if one.begun() else one.open()
    with state.lease(actor=actor, run=run, clock=clock) if state else nullcontext() as lease:
        if (done := one.earlier_report()) is not None:
            return done
        one.hold(lease)
        one.begin(source, plan_hash, prices or load_prices(), plan_holds)
        return carry_out(
            one, clients, clock, progress, tags=tags or {}, prove=prove, see=see, workers=workers, began=began,
            sample=sample, reads=reads,
        )  # fmt: skip


def carry_out(
    one: Restoring,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    *,
    tags: dict[str, str] | None = None,
    prove: bool = True,
    see: See | None = None,
    workers: int = 1,
    began: float,
    sample: Collection[str] | None = None,
    reads: TokenBucket | None = None,
) -> RestoreReport:
    """All steps of a restore that was begun, in this process; see `restore_table`.

    :param began: when (the clock's monotonic time).
    """

    def proof() -> IntegrityError | None:
        failure = prove_restore(
            one.prepared, report, clients=clients, clock=clock, progress=progress, see=see, workers=workers, sample=sample, reads=reads
        )  # fmt: skip
        one.lap("proof")
        return failure

    one.make(tags or {})
    one.load(workers)
    trouble = one.complete(tags or {})
    report, failure = one.report(), None
    report.workers = workers
    if trouble is not None:  # its content decides, not what the service says of itself
        failure = proof()
        failure = decide(report, trouble, failure, progress)
    if failure is None:
        one.index()
    if prove and trouble is None:  # before the settings: with expiry on, items may vanish
        failure = proof()
    one.settle(report, failure, clock.monotonic() - began)
    return report
