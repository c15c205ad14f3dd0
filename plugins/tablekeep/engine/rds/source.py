"""What a backup needs of a database. One suite (tests/engine/rds/test_sources.py) runs over all of them."""

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from tablekeep.engine.rds.schema import Service, SourceColumn, SqlTable

PAGE_ROWS = 4000
PAGE_BYTES = 1024 * 1024
"""Of text as the database sends it, after which a page is full: what a connection holds in memory, and its largest row."""
RANGE_ROWS = 20_000
"""A table with fewer rows is read by one connection."""
RANGES_A_CONNECTION = 4
"""So that no connection reads alone for long when one range is larger than was guessed."""
LOCK_SECONDS = 10
"""How long a lock on the table is waited for. Whoever wants to write queues behind it meanwhile."""

_RDS = re.compile(r"([a-z0-9-]+)\.(?:cluster-(?:ro-)?)?[a-z0-9]+\.[a-z0-9-]+\.rds\.amazonaws\.com(?:\.cn)?\Z")


@dataclass(frozen=True, slots=True)
class Interval:
    """Rows whose `column` lies between two values of its type: `since` belongs to it, `until` does not. None: no bound on that side.

    Values are texts as the database writes them; of bytes their hexadecimal digits.
    """

    column: SourceColumn
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows with these keys; each has a text for each of the columns."""

    columns: tuple[SourceColumn, ...]
    keys: tuple[tuple[str, ...], ...]


Where = Interval | Rows | None
"""Which rows; None: all."""


@dataclass(frozen=True)
class Taken:
    """How a snapshot was taken, for the manifest: `connections` that see it, and what made sure that they see the same.

    :ivar notes: what a person should know: fewer connections than were asked for, and why.
    """

    connections: int
    by: str
    notes: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        return {"connections": self.connections, "by": self.by}


class Snapshot(Protocol):
    """One state of the table, seen by several connections. Errors are the engine's; none quotes a value of a row."""

    @property
    def table(self) -> SqlTable: ...

    @property
    def moment(self) -> datetime:
        """When the state was so, by the server's clock; aware, UTC."""
        ...

    @property
    def taken(self) -> Taken: ...

    def ranges(self, column: SourceColumn | None) -> list[Where]:
        """The whole table in ranges of a column, of about the same size, for the connections to share; `[None]` for a small one.

        :param column: the key's first; None: the table has no key.
        """
        ...

    def read(self, columns: Sequence[SourceColumn], where: Where, *, limit: int | None = None) -> Iterator[list[Any]]:
        """Pages of rows: an Arrow array for each column, as `items.rows.wire_items` takes them. Bounded in memory.

        May be called by as many threads at once as there are connections. A generator that is closed early ends its connection.

        :param limit: no more rows than this.
        :raises TransientError: when the connection is lost. :raises PermanentError: when the database refuses to read.
        """
        ...

    def largest(self, column: SourceColumn) -> str | None:
        """The largest value, as text; None when there is none."""
        ...

    def stop(self) -> None:
        """Ends what all connections read, from another thread."""
        ...


class SqlSource(Protocol):
    """A table in a database. Making one connects to nothing."""

    @property
    def service(self) -> Service: ...

    @property
    def name(self) -> str:
        """Of the folder in which its backups lie."""
        ...

    @property
    def address(self) -> str:
        """Database and table, without user and password: `postgresql://db.example:5432/shop/public.orders`."""
        ...

    def snapshot(self, connections: int) -> AbstractContextManager[Snapshot]:
        """One state of the table, until the context is left.

        :param connections: that are to see it; see `Taken` for how many do.
        :raises BadInputError: there is no such table, it has no consistent reads, or the user may not read it whole.
        :raises TransientError: the database cannot be reached, or the table stays locked.
        """
        ...


def server_label(host: str | None, port: int | None, usual_port: int) -> str:
    """How a server is called in the names of backups: an RDS instance or cluster by its identifier, which is unique in its account
    and Region; any other by its host, and its port unless that is the usual one.
    """
    if not host or host.startswith("/"):
        host = "local"
    if found := _RDS.match(host.lower()):
        return found[1]
    return host if port in (None, usual_port) else f"{host}-{port}"
