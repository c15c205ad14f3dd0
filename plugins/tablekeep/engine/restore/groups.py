"""A restore by workers elsewhere, as Airflow's tasks: one begins it, each loads a group of the backup's parts, one completes the table,
each reads a group of its segments for the proof, one finishes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.settings import read_settings
from tablekeep.engine.errors import BadInputError, IntegrityError, TransientError
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.prices import load_prices
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.by_key import Looked
from tablekeep.engine.restore.order import in_turn
from tablekeep.engine.restore.plan import RestorePlan
from tablekeep.engine.restore.proof import IN_USE, decide, look_up, prove
from tablekeep.engine.restore.report import RestoreReport
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.sides import hash_table, segment_count
from tablekeep.engine.restore.state import RestoreState
from tablekeep.engine.restore.steps import Restoring
from tablekeep.engine.restore.table import carry_out


@dataclass(frozen=True)
class Workplace:
    """What every step of one restore is told; equal in all of its tasks.

    :ivar clients: of the target's account and Region. :ivar backup_clients: for the bucket.
    """

    request: RestoreRequest
    clients: SessionClients
    backup_clients: SessionClients
    clock: Clock
    progress: Progress
    actor: str
    run: str

    def start(self) -> tuple[Restoring, RestoreState]:
        """A step of the restore."""
        shelf = self.request.check().where_backups_lie
        store = S3Store(self.backup_clients, shelf.bucket)
        state = RestoreState(
            store, shelf, self.clients.account(), self.clients.region, self.request.to_table
        )  # fmt: skip
        one = Restoring(
            self.request, self.clients, self.backup_clients, self.clock, self.progress, self.actor, self.run, state
        )
        return one, state


@dataclass(frozen=True)
class Begun:
    """A restore that was begun.

    :ivar units: parts that groups have to load, 0 when there is no such. :ivar report: of one that is done already.
    """

    units: int = 0
    report: RestoreReport | None = None


def begin_restore(work: Workplace, *, plan_hash: str, above_bytes: float) -> Begun:
    """Makes the table of a large restore, for groups to load; does a small one, or one that no group can help, from its beginning to
    its end. A second time it goes on.

    The table's lease is taken for the run, and kept until `finish_restore` when there is something for groups.

    :param above_bytes: of the items, as the plan tells them: what is larger is large.
    :raises BadInputError: see `restore_table`, and there for the other errors of a small one.
    """
    one, state = work.start()
    source = None if one.begun() else one.open()
    with state.lease(actor=work.actor, run=work.run, clock=work.clock, shared=True) as lease:
        one.hold(lease)
        for_groups = False
        try:
            if (done := one.earlier_report()) is not None:
                return Begun(report=done)
            began = work.clock.monotonic()
            one.begin(source, plan_hash, load_prices())
            for_groups = _is_for_groups(one.plan, above_bytes)
            if not for_groups:
                return Begun(report=carry_out(one, work.clients, work.clock, work.progress, began=began))
            one.make({})
            one.keep_what_stands()
            one.keep()
            return Begun(len(one.parts))
        finally:
            if not for_groups:
                lease.release()


def _is_for_groups(plan: RestorePlan, above_bytes: float) -> bool:
    """What AWS keeps is loaded by AWS, and what it is given to put is staged as a whole."""
    return plan.raw_bytes > above_bytes and plan.path in ("batch-write", "import-table", "conditional-put")


def load_group(work: Workplace, *, group: int, of: int, share: float = 1.0) -> dict[str, int]:
    """Loads the parts whose number modulo `of` is `group`, as far as nobody has; returns how many it has loaded, and their items.

    :param share: of the write budget, when several groups load at a time.
    :raises BadInputError: when no restore of the request was begun. :raises PermanentError: when its table is another one by now.
    """
    one, state = work.start()
    with state.lease(actor=work.actor, run=work.run, clock=work.clock, shared=True) as lease:
        one.hold(lease)
        one.go_on()
        one.check_table()
        mine = one.parts[group::of]
        before = set(one.loaded)
        one.load_group([unit for unit in mine if unit not in before], group / of, share)
        new = [one.loaded[unit] for unit in mine if unit not in before]
    return {"parts": len(new), "items": sum(loaded.items for loaded in new)}


def complete_restore(work: Workplace) -> int:
    """When the groups have loaded all parts: what the increments added, the service's import, the indexes.

    :returns: segments of the table that are to be read for the proof; of a table in use, units of the backup that are to be looked up.
    :raises TransientError: when a part is not loaded. :raises IntegrityError: when the service left items out; see `restore_table`.
    """
    one, state = work.start()
    with state.lease(actor=work.actor, run=work.run, clock=work.clock, shared=True) as lease:
        one.hold(lease)
        one.go_on_in_time()
        one.load_last()
        if (trouble := one.complete({})) is not None:  # its content decides, not what the service says of itself
            report = one.report()
            failure = decide(report, trouble, _read_whole(one, report, work), work.progress)
            if failure is not None:
                one.settle(report, failure)
        one.index()
        one.keep()
        return len(one.prepared.source.units) if one.plan.mode in IN_USE else segment_count(one.plan.raw_bytes)


def prove_group(work: Workplace, *, group: int, of: int, segments: int) -> dict[str, Any]:
    """Reads the segments whose number modulo `of` is `group`, or looks up the units of the backup that have such numbers; returns what
    `finish_restore` takes: hashes and counts, and of items that differ the key's hash and the names of attributes.
    """
    one, state = work.start()
    with state.lease(actor=work.actor, run=work.run, clock=work.clock, shared=True):
        plan = one.begun()
        if plan is None:
            raise BadInputError(
                f"proving the restore to the table {work.request.to_table}", "no restore of this request is unfinished"
            )
        numbers = range(group, segments, of)
        told: dict[str, Any] = {"group": group, "of": of, "segments": segments}
        if plan.mode in IN_USE:
            return told | _look_up(one, [*numbers], work)
        work.progress.phase("proof", round(plan.items * len(numbers) / segments) or None)
        found = hash_table(
            work.clients, read_settings(work.clients, plan.to_table), segments, in_turn(numbers), work.clock, work.progress
        )  # fmt: skip
    return told | {"content": str(found.whole)}


def _look_up(one: Restoring, numbers: Sequence[int], work: Workplace) -> dict[str, Any]:
    """The part of the proof that these units are. What the increments added is known when all other units are done."""
    one.go_on()
    one.check_table()
    every = one.prepared.source.units
    units = [every[number] for number in numbers if number < len(every)]
    done = {unit: loaded.memo for unit, loaded in one.loaded.items() if unit not in units}
    looked = look_up(
        one.prepared, units, one.report(), done=done, clients=work.clients, clock=work.clock, progress=work.progress
    )  # fmt: skip
    return {"absent": looked.absent, "different": looked.different, "differing": looked.differing}


def finish_restore(work: Workplace, proofs: Sequence[Mapping[str, Any]], *, workers: int) -> RestoreReport:
    """Judges what the groups have read, sets the settings, writes the record; the lease is released.

    :param proofs: of all groups, see `prove_group`. :param workers: how many groups were at work at a time, for the record.
    :raises TransientError: when a group has not read. :raises IntegrityError: see `restore_table`.
    """
    one, state = work.start()
    with state.lease(actor=work.actor, run=work.run, clock=work.clock, shared=True) as lease:
        one.hold(lease)
        if (done := one.earlier_report()) is None:
            one.go_on_in_time()
            report = one.report()
            report.workers = workers
            in_use = one.plan.mode in IN_USE
            failure = _judge(one, report, work, proofs) if in_use else _read_whole(one, report, work, _sum(proofs))
            try:
                one.settle(report, failure)
            finally:
                if one.at.finished:
                    lease.release()
            return report
        lease.release()
    return done


def _read_whole(
    one: Restoring, report: RestoreReport, work: Workplace, read: ContentHash | None = None
) -> IntegrityError | None:
    """The proof.

    :param read: what groups have read; else it is read here.
    """
    failure = prove(
        one.prepared, report, clients=work.clients, clock=work.clock, progress=work.progress, read=read
    )  # fmt: skip
    one.lap("proof")
    return failure


def _judge(
    one: Restoring, report: RestoreReport, work: Workplace, proofs: Sequence[Mapping[str, Any]]
) -> IntegrityError | None:
    """The proof of a table in use, of what groups have looked up."""
    _check_whole(proofs)
    looked = Looked()
    for found in proofs:
        looked.add(int(found["absent"]), int(found["different"]), found["differing"])
    failure = prove(
        one.prepared, report, clients=work.clients, clock=work.clock, progress=work.progress, looked=looked
    )  # fmt: skip
    one.lap("proof")
    return failure


def _sum(proofs: Sequence[Mapping[str, Any]]) -> ContentHash:
    """What all segments together hold."""
    _check_whole(proofs)
    return sum((ContentHash.parse(str(one["content"])) for one in proofs), ContentHash())


def _check_whole(proofs: Sequence[Mapping[str, Any]]) -> None:
    """:raises TransientError: when these are not all groups."""
    groups = {int(one["group"]) for one in proofs}
    of = {(int(one["of"]), int(one["segments"])) for one in proofs}
    if len(of) != 1 or groups != set(range(next(iter(of))[0])) or len(proofs) != len(groups):
        raise TransientError(
            "proving the restore",
            f"{len(groups)} groups of segments were read, and these are not all",
            "read the others",
        )
