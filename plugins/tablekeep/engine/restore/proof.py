"""Proves a restore by what the table holds, read with consistent reads: never by what a service says of itself."""

from collections.abc import Iterator, Sequence

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, parse_utc, utc_text
from tablekeep.engine.dynamodb.wire import WireClient
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.differences import DIFFERENT, LEFT, MOST_KEYS, RIGHT, Found, See, explain, find
from tablekeep.engine.restore.existing import read_back
from tablekeep.engine.restore.kept import apart
from tablekeep.engine.restore.plan import Prepared
from tablekeep.engine.restore.report import RestoreReport
from tablekeep.engine.restore.sides import PagesSide, TableSide
from tablekeep.engine.restore.source import every_page

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
) -> IntegrityError | None:
    """Fills in what the report says of the proof; returns the failure, None when it is proved.

    A table that AWS made of what it keeps, compared with a set of another moment, is neither proved nor wrong when it differs: the report
    says that it is unverified, and why.

    :param see: is shown the differing items that the report names. :param workers: processes of this machine that read the table.
    :param read: of the whole table, when others have read it.
    """
    proof = _Proof(prepared, report, clients, clock, progress, see, workers, read)
    failure = proof.of_items() if prepared.plan.mode in ("missing-only", "overwrite-listed-keys") else proof.of_table()
    report.proved = failure is None
    kept = prepared.plan.source_backup
    if failure is not None and kept is not None and not kept["same_moment"]:
        manifest = prepared.source.manifest
        where = apart(manifest, parse_utc(kept["at"]))
        report.unverified = f"compared with the backup set of {utc_text(manifest.as_of)}, {where}: {failure.why}"
        report.items = ContentHash.parse(report.content_hash).count
        return None
    return failure


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


def counted(found: Found) -> str:
    """How many items differ, and how, in words."""
    told = ", ".join(f"{count:,} {STATES[state]}" for state, count in found.counts.items() if count)
    return told or "equal now, so somebody writes to it"


class _Proof:
    def __init__(
        self, prepared: Prepared, report: RestoreReport, clients: SessionClients, clock: Clock, progress: Progress, see: See | None,
        workers: int, read: ContentHash | None,
    ) -> None:  # fmt: skip
        self._prepared, self._report, self._see = prepared, report, see
        self._clients, self._clock, self._progress = clients, clock, progress
        self._workers, self._read = workers, read
        self._what = f"proving the restore of {prepared.plan.backup} to {prepared.plan.to_table}"

    def of_table(self) -> IntegrityError | None:
        """The whole table's content hash; where it differs, by which keys."""
        table, expected = self._table(), self._report.content_hash
        actual = str(table.hasher().whole if self._read is None else self._read)
        if actual == expected:
            return None
        found = find(self._backup(), table)
        self._name(found.keys, table)
        self._report.content_hash = actual
        return IntegrityError(
            self._what,
            f"{counted(found)}; the table's content hash is {actual} and should be {expected}",
            "run `tablekeep compare` on both, with --show-keys, to see which; do not use the table",
        )

    def of_items(self) -> IntegrityError | None:
        """Every item that was wanted is there: in a table that holds others, too."""
        plan = self._prepared.plan
        self._progress.phase("proof", plan.items)
        wire = WireClient(self._clients)
        found = read_back(wire, plan.to_table, list(plan.key), self._wanted(), self._progress)
        wire.close()
        allowed = self._report.kept if plan.mode == "missing-only" else 0
        some = [(key, LEFT) for key in found.absent] + [(key, DIFFERENT) for key in found.different]
        if some:
            self._name(some[:MOST_KEYS], self._table())
        if not found.absent and len(found.different) <= allowed:
            return None
        return IntegrityError(
            self._what,
            f"{len(found.absent):,} items are not there and {len(found.different):,} differ, where {allowed:,} were kept",
            "somebody may write to the table meanwhile: look at the keys in the report, then run it again",
        )

    def _name(self, keys: Sequence[tuple[bytes, str]], table: TableSide) -> None:
        for one in explain(self._backup(), table, keys, whole=self._see is not None):
            self._report.differing.append(one.told(STATES))
            if self._see is not None:
                self._see(one)

    def _table(self) -> TableSide:
        plan = self._prepared.plan
        return TableSide(
            self._clients, self._clock, self._progress, plan.to_table, workers=self._workers, size_bytes=plan.raw_bytes
        )

    def _backup(self) -> PagesSide:
        plan, key = self._prepared.plan, self._prepared.source.full.key
        return PagesSide(plan.backup, key, plan.items, self._wanted, self._progress)

    def _wanted(self) -> Iterator[list[bytes]]:
        with self._prepared.source as source:
            for page in every_page(source):
                yield self._prepared.selection.pick(page)
