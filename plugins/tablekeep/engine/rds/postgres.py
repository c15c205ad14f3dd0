"""A table of PostgreSQL (RDS, Aurora, any other), read as text by COPY over several connections that share one exported snapshot.

Row-level security is an error instead of a filter: a backup of the rows that a user may see would look like one of the table.
"""

import os
import queue
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from psycopg import sql
from psycopg.rows import dict_row

from tablekeep.engine.copies.names import parse_table
from tablekeep.engine.copies.postgres_address import address_of, conninfo_of
from tablekeep.engine.copies.postgres_errors import bad_connection
from tablekeep.engine.errors import BadInputError, PermanentError, TablekeepError
from tablekeep.engine.rds.errors import translate_postgres_read
from tablekeep.engine.rds.postgres_catalog import FIND, describe
from tablekeep.engine.rds.schema import Service, SourceColumn, SqlTable, set_name
from tablekeep.engine.rds.source import (
    LOCK_SECONDS,
    PAGE_BYTES,
    PAGE_ROWS,
    RANGE_ROWS,
    RANGES_A_CONNECTION,
    Interval,
    Rows,
    Taken,
    Where,
    server_label,
)

SAMPLED_ROWS = 3000
PORT = 5432
_KINDS = {"r": True, "p": True, "m": False, "v": False, "f": False}
"""Relations that have rows, and whether they can be locked and sampled (PostgreSQL, "pg_class")."""
_EXACT = {
    # every value as the one text from which it is read again: PostgreSQL, "Client Connection Defaults" and "Date/Time Output"
    "client_encoding": "UTF8", "DateStyle": "ISO, YMD", "IntervalStyle": "postgres", "TimeZone": "UTC", "bytea_output": "hex",
    "extra_float_digits": "3", "lc_monetary": "C", "xmloption": "content", "search_path": "pg_catalog", "row_security": "off",
    # a server's limits for short statements would end a long reading
    "statement_timeout": "0", "idle_in_transaction_session_timeout": "0", "lock_timeout": f"{LOCK_SECONDS}s",
}  # fmt: skip
_BOM = b"\xef\xbb\xbf"


class PostgresSource:
    """A table of a PostgreSQL database.

    :param conninfo: see `conninfo_of`. :param table: `schema.table`.
    :param server: how backups name the server, instead of the RDS instance's identifier or the host.
    :raises BadInputError: for another text; it is never quoted, for it may hold a password.
    """

    service: Service = "postgres"

    def __init__(self, conninfo: str | dict[str, Any], table: str, *, server: str | None = None) -> None:
        self._given = conninfo_of(conninfo)
        self._table = parse_table(table, "postgres")
        host = self._given.get("host") or self._given.get("hostaddr") or os.environ.get("PGHOST")
        port = self._given.get("port") or os.environ.get("PGPORT") or PORT
        database = self._given.get("dbname") or os.environ.get("PGDATABASE") or self._given.get("user")
        if not database:
            raise BadInputError(
                "reading the address of the PostgreSQL database",
                "it names no database",
                "write postgresql://host/database",
            )
        label = server or server_label(str(host).split(",")[0] if host else None, int(str(port).split(",")[0]), PORT)
        self.name = set_name(label, str(database), self._table.schema, self._table.table)
        self.address = f"{address_of(self._given)}/{self._table}"

    @contextmanager
    def snapshot(self, connections: int) -> Iterator["PostgresSnapshot"]:
        what = f"reading {self.address}"
        with ExitStack() as stack:
            leader = stack.enter_context(_connect(self._given, what))
            try:
                found = leader.execute(FIND, [self._table.schema, self._table.table]).fetchone()
                oid, lockable = _readable(found, what)
                moment, name = self._state(leader, lockable, export=connections > 1)
                if leader.execute(FIND, [self._table.schema, self._table.table]).fetchone() != found:
                    raise PermanentError(what, "the table was made anew at this moment", "try again")
                with leader.cursor(row_factory=dict_row) as cursor:
                    table = describe(cursor, oid, self.name, self.address)
                others = [
                    stack.enter_context(_connect(self._given, what)) for _ in range(connections - 1 if name else 0)
                ]
                for other in others:
                    _begin(other)
                    other.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(name)))
            except psycopg.Error as error:
                raise translate_postgres_read(error, what) from None
            notes = () if name or connections == 1 else ("this server exports no snapshots: one connection reads",)
            taken = Taken(1 + len(others), "pg_export_snapshot" if others else "one transaction", notes)
            yield PostgresSnapshot([leader, *others], self._identifier, table, moment, taken, what, sampled=lockable)

    def _state(self, leader: psycopg.Connection[Any], lockable: bool, *, export: bool) -> tuple[datetime, str | None]:
        """Begins the transaction that sees the state: its moment by the server's clock, and the name under which others see it."""
        _begin(leader)
        if lockable:  # against ALTER and DROP until the last row is read; neither readers nor writers are hindered
            leader.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(self._identifier))
        call = "pg_export_snapshot()" if export else "NULL"
        try:
            moment, name = leader.execute(f"SELECT statement_timestamp(), {call}").fetchone()  # type: ignore[misc]
        except psycopg.errors.InsufficientPrivilege:
            raise
        except psycopg.DatabaseError:
            if not export or leader.broken:
                raise
            leader.execute("ROLLBACK")  # some servers, as old standbys, cannot
            return self._state(leader, lockable, export=False)
        return moment.astimezone(UTC), name

    @property
    def _identifier(self) -> sql.Identifier:
        return sql.Identifier(self._table.schema, self._table.table)


def _connect(given: dict[str, Any], what: str) -> psycopg.Connection[Any]:
    try:
        return psycopg.connect(**given, autocommit=True)
    except psycopg.Error as error:
        raise bad_connection(error, what) from None


def _begin(connection: psycopg.Connection[Any]) -> None:
    for name, value in _EXACT.items():
        connection.execute("SELECT set_config(%s, %s, false)", [name, value])
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def _readable(found: Any, what: str) -> tuple[int, bool]:
    """The table's number, and whether it can be locked and sampled."""
    if found is None:
        raise BadInputError(
            what,
            "there is no such table, or the user may not see it",
            'write it as in SQL, for example public."Orders"',
        )
    if found[1] not in _KINDS:
        raise BadInputError(what, "it has no rows (it is an index, a sequence or a type)", "name a table")
    return int(found[0]), _KINDS[found[1]]


class PostgresSnapshot:
    """See `source.Snapshot`."""

    def __init__(
        self,
        connections: Sequence[psycopg.Connection[Any]],
        identifier: sql.Identifier,
        table: SqlTable,
        moment: datetime,
        taken: Taken,
        what: str,
        *,
        sampled: bool,
    ) -> None:
        self.table, self.moment, self.taken = table, moment, taken
        self._all, self._identifier, self._what, self._sampled = list(connections), identifier, what, sampled
        self._free: queue.Queue[psycopg.Connection[Any]] = queue.Queue()
        for connection in connections:
            self._free.put(connection)

    def ranges(self, column: SourceColumn | None) -> list[Where]:
        count = self.taken.connections * RANGES_A_CONNECTION
        rows = self.table.rows
        if column is None or self.taken.connections == 1 or rows < RANGE_ROWS or not self._sampled:
            return [None]
        name = sql.Identifier(column.name)
        query = sql.SQL(
            "SELECT s.k::text FROM (SELECT DISTINCT {} AS k FROM {} TABLESAMPLE SYSTEM ({}) REPEATABLE (1)) s ORDER BY s.k"
        ).format(name, self._identifier, sql.Literal(min(100.0, 100 * SAMPLED_ROWS / rows)))
        with self._connection() as connection:
            found = [row[0] for row in connection.execute(query).fetchall()]
        if column.kind == "B":
            found = [one.removeprefix("\\x") for one in found]
        step = max(1, len(found) // count)
        bounds = [*found[step::step]][: count - 1]
        return [Interval(column, *pair) for pair in zip([None, *bounds], [*bounds, None], strict=True)]

    def read(self, columns: Sequence[SourceColumn], where: Where, *, limit: int | None = None) -> Iterator[list[Any]]:
        selected = sql.SQL(", ").join(sql.Identifier(one.name) for one in columns)
        query = sql.SQL("SELECT {} FROM {}").format(selected, self._identifier) + _condition(where)
        if limit is not None:
            query += sql.SQL(" LIMIT {}").format(sql.Literal(limit))
        copy = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(query)
        with self._connection() as connection, connection.cursor() as cursor, cursor.copy(copy) as source:
            lines, size = list[bytes](), 0
            for line in source:  # the server sends each row as one message
                lines.append(bytes(line))
                size += len(line)
                if size >= PAGE_BYTES or len(lines) >= PAGE_ROWS:
                    yield self._page(columns, lines)
                    lines, size = [], 0
            if lines:
                yield self._page(columns, lines)

    def largest(self, column: SourceColumn) -> str | None:
        query = sql.SQL("SELECT max({})::text FROM {}").format(sql.Identifier(column.name), self._identifier)
        with self._connection() as connection:
            return connection.execute(query).fetchone()[0]  # type: ignore[index, no-any-return]

    def stop(self) -> None:
        for connection in self._all:
            try:
                connection.cancel_safe(timeout=5)
            except psycopg.Error:
                continue  # it is gone already

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        connection = self._free.get()
        try:
            yield connection
        except psycopg.Error as error:
            raise translate_postgres_read(error, self._what) from None
        finally:
            self._free.put(connection)

    def _page(self, columns: Sequence[SourceColumn], lines: list[bytes]) -> list[Any]:
        data = b"".join(lines)
        try:
            return _parsed(columns, data, len(lines))
        except pa.ArrowInvalid as error:
            told = "it is not in UTF-8" if "UTF8" in str(error) else "it does not have the columns that were asked for"
            raise _unreadable(self._what, told) from None


def _unreadable(what: str, told: str) -> TablekeepError:
    return PermanentError(
        what,
        f"the server's text cannot be read: {told}",
        "a database of encoding SQL_ASCII holds bytes that are no text",
    )


def _parsed(columns: Sequence[SourceColumn], data: bytes, rows: int) -> list[Any]:
    """Arrays of the cells of lines of CSV. PostgreSQL quotes an empty text and does not quote NULL."""
    if data.startswith(_BOM):
        data = _BOM + data  # the reader takes the first one for the file's
    names = [str(number) for number in range(len(columns))]
    table = pyarrow.csv.read_csv(
        pa.BufferReader(data),
        read_options=pyarrow.csv.ReadOptions(column_names=names, use_threads=False, block_size=len(data) + 1),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    if table.num_rows != rows:
        raise pa.ArrowInvalid("rows")
    arrays = [table.column(name).combine_chunks() for name in names]
    return [_cells(column, array) for column, array in zip(columns, arrays, strict=True)]


def _cells(column: SourceColumn, array: Any) -> Any:
    if column.kind == "BOOL":
        return pc.equal(array, "t")
    if column.kind == "B":
        return pa.array([None if one is None else bytes.fromhex(one[2:]) for one in array.to_pylist()], pa.binary())
    return array


def _condition(where: Where) -> sql.Composable:
    """`WHERE …` in which every value is a quoted literal, cast to the column's type."""
    if where is None:
        return sql.SQL("")
    if isinstance(where, Rows):
        names = sql.SQL(", ").join(sql.Identifier(one.name) for one in where.columns)
        keys = (sql.SQL("({})").format(sql.SQL(", ").join(map(_literal, where.columns, key))) for key in where.keys)
        return sql.SQL(" WHERE ({}) IN ({})").format(names, sql.SQL(", ").join(keys))
    name, bounds = sql.Identifier(where.column.name), []
    if where.since is not None:
        bounds.append(sql.SQL("{} >= {}").format(name, _literal(where.column, where.since)))
    if where.until is not None:
        bounds.append(sql.SQL("{} < {}").format(name, _literal(where.column, where.until)))
    return sql.SQL(" WHERE {}").format(sql.SQL(" AND ").join(bounds)) if bounds else sql.SQL("")


def _literal(column: SourceColumn, text: str) -> sql.Composable:
    """A value of the column; see `Interval` for its text."""
    text = f"\\x{text}" if column.kind == "B" else text
    return sql.SQL("{}::{}").format(sql.Literal(text), sql.SQL(column.cast))
