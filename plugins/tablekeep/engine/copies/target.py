"""What a copy needs of a database. One conformance suite (tests/engine/copies/test_targets.py) runs over all of them."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.clock import Clock
from tablekeep.engine.copies.convert import Sent
from tablekeep.engine.copies.ledger import Load
from tablekeep.engine.copies.mapping import Mapping
from tablekeep.engine.copies.names import TableName
from tablekeep.engine.progress import Progress


@dataclass(frozen=True, slots=True)
class Standing:
    """What lies under the target's name.

    :ivar exists: something of that name is there. :ivar replaceable: it is an ordinary table (no view, no partition).
    :ivar last: the newest load in the ledger; None when there is none, or when the table was made anew since by others.
    """

    exists: bool
    replaceable: bool = True
    last: Load | None = None


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

    def load(self, opened: BackupSet, mapping: Mapping, load: Load, *, progress: Progress) -> Sent:
        """Puts the whole set in the place of the target table and adds `load` to the ledger: all of it or nothing.

        Until the one moment of the swap others see the old table; a process that dies before it changes nothing.
        Before the swap the staging table's rows and its nulls per column are compared with what was sent.

        :raises BadInputError: for values that the database cannot hold. :raises IntegrityError: when counts differ.
        :raises TransientError: when the connection is lost or another copy was faster. The old table stays in each case.
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

    def mapping(self, opened: BackupSet) -> Mapping:
        """The columns for a set.

        :raises BadInputError: for attributes whose names the database cannot take, before anything is written.
        """
        ...

    def session(self, clock: Clock) -> AbstractContextManager[Session]:
        """A session; leaving it with an error undoes what it did.

        :raises TransientError: when the database cannot be reached, or another copy to the same table runs.
        :raises BadInputError: when it refuses the user, or does not exist.
        """
        ...
