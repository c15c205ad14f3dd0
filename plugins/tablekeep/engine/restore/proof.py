"""Proves a restore by what the table holds, read with consistent reads: never by what a service says of itself."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, parse_utc, utc_text
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.dynamodb.wire import WireClient
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.by_key import Looked, ReadBack, read_back
from tablekeep.engine.restore.differences import DIFFERENT, LEFT, RIGHT, See, explain, find
from tablekeep.engine.restore.kept import apart
from tablekeep.engine.restore.plan import Prepared
from tablekeep.engine.restore.report import BY_KEY, BY_SCAN, RestoreReport
from tablekeep.engine.restore.sides import PagesSide, TableSide
from tablekeep.engine.restore.source import every_page

IN_USE = ("missing-only", "overwrite-listed-keys")
"""Modes in which the table holds other items, too."""
STATES = {LEFT: "missing in the table", RIGHT: "not in the backup", DIFFERENT: "different"}
"""The words of reports: the backup is on the left, the table on the right."""


def prove(
    prepared: Prepared,
    report: RestoreReport,
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    see: See | None = None,
    workers: int = 1,
    read: ContentHash | None = None,
    sample: Collection[str] | None = None,
    reads: TokenBucket | None = None,
    looked: Looked | None = None,
) -> IntegrityError | None:
    """Fills in what the report says of the proof; returns the failure, None when it is proved.

    A table that AWS made of what it keeps, compared with a set of another moment, is neither proved nor wrong when it differs: the report
    says that it is unverified, and why.

    :param see: is shown the differing items that the report names. :param workers: processes of this machine that read the table.
    :param read: of the whole table, when others have read it. :param looked: of a table in use, when others have looked its items up.
    :param sample: names of parts of the backup: only their items are looked up, in a table that holds all of it; what should not be in
        the table is not found then. :param reads: read capacity units a second, of one process.
    """
    proof = _Proof(prepared, report, clients, clock, progress, see, workers, read, sample, reads)
    of_table = proof.of_table if sample is None else proof.of_sample
    failure = proof.of_items(looked) if prepared.plan.mode in IN_USE else of_table()
    report.proved = failure is None
    kept = prepared.plan.source_backup
    if failure is not None and kept is not None and not kept["same_moment"]:
        manifest = prepared.source.manifest
        where = apart(manifest, parse_utc(kept["at"]))
        report.unverified = f"compared with the backup set of {utc_text(manifest.as_of)}, {where}: {failure.why}"
        report.items = ContentHash.parse(report.content_hash).count
        return None
    return failure


def look_up(
    prepared: Prepared,
    units: Sequence[str],
    report: RestoreReport,
    *,
    done: Mapping[str, bytes],
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
) -> Looked:
    """One worker's part of the proof of a table in use: asks for the items of some units of the source.

    :param report: of the restore, as far as it is known. :param done: memos of the other units, see `Source.done`.
    """
    proof = _Proof(prepared, report, clients, clock, progress, None, 1, None, None, None)
    proof.done = done
    return proof.look_up(units)


def decide(
    report: RestoreReport, trouble: IntegrityError, failure: IntegrityError | None, progress: Progress
) -> IntegrityError | None:
    """What is to be made of a service's word when the table was read.

    :param trouble: what the service says. :param failure: what the proof says.
    """
    if failure is None and report.proved:
        progress.note(f"{trouble.why}; the table was read, and holds exactly what it should all the same")
        return None
    found = f"; {failure.why}" if failure else ""
    return IntegrityError(trouble.what, f"{trouble.why}{found}", trouble.todo)


def counted(counts: Mapping[str, int]) -> str:
    """How many items differ, and how, in words. :param counts: by state."""
    told = ", ".join(f"{count:,} {STATES[state]}" for state, count in counts.items() if count)
    return told or "equal now, so somebody writes to it"


class _Proof:
    def __init__(
        self, prepared: Prepared, report: RestoreReport, clients: SessionClients, clock: Clock, progress: Progress, see: See | None,
        workers: int, read: ContentHash | None, sample: Collection[str] | None, reads: TokenBucket | None,
    ) -> None:  # fmt: skip
        self._prepared, self._report, self._see = prepared, report, see
        self._clients, self._clock, self._progress = clients, clock, progress
        self._workers, self._read, self._sample, self._reads = workers, read, sample, reads
        self.done: Mapping[str, bytes] = {}
        self._what = f"proving the restore of {prepared.plan.backup} to {prepared.plan.to_table}"

    def of_table(self) -> IntegrityError | None:
        """The whole table's content hash; where it differs, by which keys."""
        table, expected = self._table(), self._report.content_hash
        self._report.compared = BY_SCAN
        actual = str(table.hasher().whole if self._read is None else self._read)
        if actual == expected:
            return None
        found = find(self._backup(), table)
        self._name(found.keys, table)
        self._report.content_hash = actual
        return IntegrityError(
            self._what,
            f"{counted(found.counts)}; the table's content hash is {actual} and should be {expected}",
            "run `tablekeep compare` on both, with --show-keys, to see which; do not use the table",
        )

    def of_items(self, looked: Looked | None) -> IntegrityError | None:
        """Every item that was wanted is there: in a table that holds others, too."""
        if looked is None:
            looked = self.look_up(None)
        absent, different, report = looked.absent, looked.different, self._report
        report.compared, report.differing = BY_KEY, looked.differing
        allowed = report.kept if self._prepared.plan.mode == "missing-only" else 0
        if not absent and different <= allowed:
            return None
        return IntegrityError(
            self._what,
            f"{absent:,} items are not there and {different:,} differ, where {allowed:,} were kept",
            "somebody may write to the table meanwhile: look at the keys in the report, then run it again",
        )

    def look_up(self, units: Collection[str] | None) -> Looked:
        """Asks the table for the items of these units of the source; None: of all."""
        self._sample = units
        back = self._read_back(self._prepared.plan.items)
        if any(back.counts.values()):
            self._name(back.keys, self._table())
        looked = Looked()
        looked.add(back.counts[LEFT], back.counts[DIFFERENT], self._report.differing)
        return looked

    def of_sample(self) -> IntegrityError | None:
        """The items of some parts are there: the table holds the others, too, and what should not be there stays unseen."""
        manifest, report = self._prepared.source.full, self._report
        back = self._read_back(sum(part.rows for part in manifest.parts if part.name in (self._sample or ())))
        report.items, report.content_hash = back.content.count, str(back.content)
        if not any(back.counts.values()):
            return None
        self._name(back.keys, self._table())
        return IntegrityError(
            self._what,
            f"{counted(back.counts)}, of {report.items:,} items that were looked up",
            "run `tablekeep compare` on both, with --show-keys, to see which; do not use the table",
        )

    def _read_back(self, items: int) -> ReadBack:
        plan = self._prepared.plan
        self._report.compared = BY_KEY
        self._progress.phase("proof", items)
        wire = WireClient(self._clients)
        try:
            return read_back(
                wire, plan.to_table, list(plan.key), self._wanted(), self._progress, clock=self._clock, budget=self._reads
            )  # fmt: skip
        finally:
            wire.close()

    def _name(self, keys: Sequence[tuple[bytes, str]], table: TableSide) -> None:
        for one in explain(self._backup(), table, keys, whole=self._see is not None):
            self._report.differing.append(one.told(STATES))
            if self._see is not None:
                self._see(one)

    def _table(self) -> TableSide:
        plan = self._prepared.plan
        return TableSide(
            self._clients, self._clock, self._progress, plan.to_table, workers=self._workers, size_bytes=plan.raw_bytes,
            budget=self._reads,
        )  # fmt: skip

    def _backup(self) -> PagesSide:
        plan, key = self._prepared.plan, self._prepared.source.full.key
        return PagesSide(plan.backup, key, plan.items, self._wanted, self._progress)

    def _wanted(self) -> Iterator[list[bytes]]:
        with self._prepared.source as source:
            for unit, memo in self.done.items():
                source.done(unit, memo)
            for page in every_page(source, self._sample):
                yield self._prepared.selection.pick(page)
