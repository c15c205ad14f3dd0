"""What a copy needs of a database. One conformance suite (tests/engine/copies/test_targets.py) runs over all of them.

A target is a table in a database; a session is one copy's connection to it. The engine (copy.py) decides: which set, by which mapping,
whether at all. A session does: it stages what the engine gives it, proves the staged rows, and puts them in place by one mode, with a
line in the ledger, all of it or nothing.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.clock import Clock
from tablekeep.engine.copies.dialects import Dialect
from tablekeep.engine.copies.drift import Evolution
from tablekeep.engine.copies.ledger import Load
from tablekeep.engine.copies.mapping import Mapping
from tablekeep.engine.copies.modes import Mode, ModeName
from tablekeep.engine.copies.names import TableName
from tablekeep.engine.copies.sent import Reject, Sent
from tablekeep.engine.errors import TransientError
from tablekeep.engine.progress import Progress


def disk_full(what: str, told: str, left: str) -> TransientError:
    """For a database whose disk is full.

    :param told: the server's own words or number. :param left: what became of the table.
    """
    todo = f"give the database more storage: while a copy runs, its rows are there a second time; {left}"
    return TransientError(what, f"the database's disk is full ({told})", todo)


@dataclass(frozen=True, slots=True)
class Standing:
    """What lies under the target's name.

    :ivar exists: something of that name is there. :ivar replaceable: it is an ordinary table (no view, no partition).
    :ivar last: the newest load in the ledger; None when there is none, or when the table was made anew since by others.
    :ivar columns: names of the columns that the table has.
    """

    exists: bool
    replaceable: bool = True
    last: Load | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Work:
    """One load.

    :ivar opened: the set; of changes when its manifest has a window. :ivar mode: how it comes into the table. With `incremental` a set
        of changes is put by key (puts written, deletions deleted), a full one as with `upsert`.
    :ivar evolution: the mapping, and which columns an existing table has to get or to widen before the rows come.
    :ivar load: the line for the ledger, without what only the session knows. :ivar adopt: tables that others made may be taken over.
    """

    opened: BackupSet
    mode: Mode
    evolution: Evolution
    load: Load
    adopt: bool = False

    @property
    def mapping(self) -> Mapping:
        return self.evolution.mapping


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did.

    :ivar sent: what was converted. :ivar rows: of the table now. :ivar inserted, updated, deleted: rows of it; `replace` counts neither
        updated nor unchanged ones.
    """

    sent: Sent
    rows: int
    inserted: int = 0
    updated: int = 0
    deleted: int = 0


class Session(Protocol):
    """A connection for one copy. Errors are the engine's; none quotes a value of a row."""

    def standing(self) -> Standing:
        """What is there now. Called first.

        :raises BadInputError: when the schema does not exist.
        """
        ...

    def rows(self) -> int:
        """Rows of the target table, which must exist."""
        ...

    def loaded(self, backup_id: str) -> Load | None:
        """The ledger's line of a set that was loaded to this table, while it is still the same table; for `append`."""
        ...

    def load(self, work: Work, *, progress: Progress) -> Loaded:
        """Stages the set, proves what is staged, brings it into the table by the mode, and adds the load to the ledger: all or nothing.

        - Staging takes what `Converter(work.mapping, manifest).batches(…)` gives; `Converter.check` comes before anything is swapped.
        - Proof, before the swap: the staging table's rows, its nulls by column and its key set's sum (`keys.py`, reckoned in the
          database) are those that were sent (`differing_counts`), child tables have as many rows as were sent.
        - The key of the table is the mapping's: after each mode but `append` no key is there twice.
        - Readers see the old table or the new one, never something between. A process that dies before the swap changes nothing.
        - `replace`: afterwards the table has exactly the set's rows; its number, grants, indexes and views stay (`swap: rows`).
        - `append`: rows are added; `_backup_id` says of which set. · `upsert`: rows are written by key; keys that are not in the set are
          deleted unless `keep_absent`; with `keep_existing` only new keys are written. · changes: puts are written, deletions deleted.
        - Child tables follow: the members of every key that was written or deleted are replaced.
        - `sent.rejects` go to the reject table (`ddl.create_rejects`).

        :raises RejectedError: for values that the mapping does not allow. :raises BadInputError: for what the table does not allow.
        :raises IntegrityError: when counts or keys differ. :raises TransientError: when the connection is lost, or another copy was
            faster. The old table stays in each case.
        """
        ...


class Target(Protocol):
    """A table in a database. Making one connects to nothing."""

    @property
    def address(self) -> str:
        """Where it is, without user and password: `postgresql://db.example:5432/shop`."""
        ...

    @property
    def table(self) -> TableName: ...

    @property
    def dialect(self) -> Dialect: ...

    @property
    def modes(self) -> frozenset[ModeName]:
        """Those that it has; the engine refuses the others."""
        ...

    @property
    def child_tables(self) -> bool:
        """Whether sets may become tables beside it."""
        ...

    def session(self, clock: Clock) -> AbstractContextManager[Session]:
        """A session; leaving it with an error undoes what it did.

        :raises TransientError: when the database cannot be reached, or another copy to the same table runs.
        :raises BadInputError: when it refuses the user, or does not exist.
        """
        ...

    def keep_rejects(self, backup_id: str, rejects: tuple[Reject, ...], clock: Clock) -> None:
        """Writes the reject table for a load that was refused; earlier lines of the same set go.

        :raises TransientError: as `session`.
        """
        ...
