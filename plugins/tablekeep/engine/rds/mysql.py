"""A table of MySQL or MariaDB (RDS, Aurora, any other), read by several connections whose consistent reads begin under one short lock.

The lock is one on the table alone (LOCK TABLES … READ): it waits for open transactions that write the table, and keeps new ones waiting
until all connections have begun. Where it is not granted, FLUSH TABLES WITH READ LOCK is tried; where neither is, one connection reads,
which needs no lock.
"""

import queue
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pymysql
import pymysql.cursors

from tablekeep.engine.copies.mysql_errors import DENIED, RIGHTS, bad_connection, error_parts
from tablekeep.engine.copies.names import parse_table
from tablekeep.engine.copies.names import quoted as quoted_for
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.items.logical import to_texts
from tablekeep.engine.rds.errors import translate_mysql_read
from tablekeep.engine.rds.mysql_catalog import bits, describe
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

PORT = 3306
FETCHED = 64
"""Rows that are fetched before their size is looked at."""
_SETTINGS = (
    "SET NAMES utf8mb4",
    # above all without PAD_CHAR_TO_FULL_LENGTH and ANSI_QUOTES
    "SET SESSION sql_mode = '', time_zone = '+00:00', net_write_timeout = 3600, net_read_timeout = 3600",
    f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}, innodb_lock_wait_timeout = {LOCK_SECONDS}",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
)
_CONNECTING: dict[str, Any] = {
    "charset": "utf8mb4", "autocommit": True, "connect_timeout": 10, "program_name": "tablekeep", "conv": {},
}  # fmt: skip
"""Without conversions every value comes as the text or the bytes that the server sent."""
_LIMITS = ("SET SESSION max_execution_time = 0", "SET SESSION max_statement_time = 0")
"""MySQL knows the first, MariaDB the second."""
_LOCK_TIMEOUT = 1205
_BEGIN = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
_QUOTED = (
    "char",
    "varchar",
    "tinytext",
    "text",
    "mediumtext",
    "longtext",
    "date",
    "datetime",
    "utc",
    "time",
    "uuid",
    "year",
)
"""Types whose values are compared with a text as with each other."""
_NUMBERS = ("tinyint", "smallint", "mediumint", "int", "bigint", "decimal")
_BYTES = ("binary", "varbinary")


class MysqlSource:
    """A table of a MySQL or MariaDB database.

    :param arguments: of `pymysql.connect`, see `connections.mysql_arguments`. :param table: `database.table`, or `table` alone.
    :param server: how backups name the server, instead of the RDS instance's identifier or the host.
    :raises BadInputError: for a text that names no table.
    """

    service: Service = "mysql"

    def __init__(self, arguments: Mapping[str, Any], table: str, *, server: str | None = None) -> None:
        self._arguments = dict(arguments)
        found = parse_table(table, "mysql", str(self._arguments.get("database") or ""))
        self._database, self._table, self._quoted = found.schema, found.table, found.sql
        host, port = self._arguments.get("host"), self._arguments.get("port")
        self.name = set_name(server or server_label(host, port, PORT), self._database, self._table)
        self.address = f"mysql://{host or ''}{f':{port}' if port else ''}/{self._database}.{self._table}"

    @contextmanager
    def snapshot(self, connections: int) -> Iterator["MysqlSnapshot"]:
        what = f"reading {self.address}"
        with ExitStack() as stack:
            try:
                readers = [stack.enter_context(self._connect()) for _ in range(connections)]
                moment, taken = self._state(readers, what)
                with readers[0].cursor(pymysql.cursors.DictCursor) as cursor:
                    table = describe(cursor, self._database, self._table, self._quoted, self.name, self.address)
            except pymysql.MySQLError as error:
                raise translate_mysql_read(error, what) from None
            yield MysqlSnapshot(readers[: taken.connections], self._arguments, self._quoted, table, moment, taken, what)

    def _state(self, readers: list[Any], what: str) -> tuple[datetime, Taken]:
        """Begins the transactions that see one state, and its moment by the server's clock."""
        if len(readers) == 1:
            return self._begin(readers), Taken(1, "one transaction")
        with self._connect() as locker, locker.cursor() as cursor:
            for by, statement in (
                ("LOCK TABLES", f"LOCK TABLES {self._quoted} READ"),
                ("FLUSH TABLES WITH READ LOCK", "FLUSH TABLES WITH READ LOCK"),
            ):
                try:
                    cursor.execute(statement)
                except pymysql.MySQLError as error:
                    if error_parts(error)[0] == _LOCK_TIMEOUT:
                        why = f"a transaction that writes the table stayed open for {LOCK_SECONDS} s"
                        break
                    if error_parts(error)[0] not in DENIED | RIGHTS:
                        raise
                    why = "the user may not lock the table (LOCK TABLES, or RELOAD)"
                    continue
                try:
                    return self._begin(readers), Taken(len(readers), by)
                finally:
                    cursor.execute("UNLOCK TABLES")
        return self._begin(readers[:1]), Taken(
            1, "one transaction", (f"one connection reads, not {len(readers)}: {why}",)
        )

    def _begin(self, readers: Sequence[Any]) -> datetime:
        with readers[0].cursor() as cursor:
            cursor.execute("SELECT CAST(UTC_TIMESTAMP(6) AS CHAR)")
            moment = datetime.fromisoformat(str(cursor.fetchone()[0])).replace(tzinfo=UTC)
        for reader in readers:
            with reader.cursor() as cursor:
                cursor.execute(_BEGIN)
                # from its first look on a transaction keeps the table from being altered
                cursor.execute(f"SELECT 1 FROM {self._quoted} LIMIT 1")  # noqa: S608  quoted
                cursor.fetchall()
        return moment

    @contextmanager
    def _connect(self) -> Iterator[Any]:
        try:
            opened = pymysql.connect(**self._arguments, **_CONNECTING)
        except pymysql.MySQLError as error:
            raise bad_connection(error, f"connecting to {self.address}") from None
        with closing(opened) as connection:
            with connection.cursor() as cursor:
                for statement in _SETTINGS:
                    cursor.execute(statement)
                for statement in _LIMITS:
                    try:
                        cursor.execute(statement)
                    except pymysql.MySQLError as error:
                        if error_parts(error)[0] != 1193:  # there is no such variable
                            raise
            yield connection


class MysqlSnapshot:
    """See `source.Snapshot`."""

    def __init__(
        self,
        connections: Sequence[Any],
        arguments: Mapping[str, Any],
        quoted_table: str,
        table: SqlTable,
        moment: datetime,
        taken: Taken,
        what: str,
    ) -> None:
        self.table, self.moment, self.taken = table, moment, taken
        self._all, self._arguments, self._quoted, self._what = list(connections), arguments, quoted_table, what
        self._free: queue.Queue[Any] = queue.Queue()
        for connection in connections:
            self._free.put(connection)

    def ranges(self, column: SourceColumn | None) -> list[Where]:
        count = self.taken.connections * RANGES_A_CONNECTION
        if column is None or self.taken.connections == 1 or self.table.rows < RANGE_ROWS:
            return [None]
        if column.base in _NUMBERS and column.base != "decimal":
            bounds = self._spread(column, count)
        elif column.base in (*_QUOTED, *_BYTES, "decimal"):
            bounds = self._walked(column, count)
        else:
            return [None]
        return [Interval(column, *pair) for pair in zip([None, *bounds], [*bounds, None], strict=True)]

    def _spread(self, column: SourceColumn, count: int) -> list[str]:
        """Bounds at equal distances between the smallest and the largest number."""
        name = quoted(column.name)
        row = self._ask(f"SELECT MIN({name}), MAX({name}) FROM {self._quoted}")  # noqa: S608  quoted
        if row is None or row[0] is None:
            return []
        low, high = int(row[0]), int(row[1])
        return [
            str(one) for one in sorted({low + (high - low) * step // count for step in range(1, count)}) if one > low
        ]

    def _walked(self, column: SourceColumn, count: int) -> list[str]:
        """Bounds at equal numbers of rows: the server walks through the key's index once."""
        name, step = quoted(column.name), max(1, self.table.rows // count)
        bounds: list[str] = []
        while len(bounds) < count - 1:
            after = f" WHERE {name} > {_literal(column, bounds[-1])}" if bounds else ""
            row = self._ask(f"SELECT {name} FROM {self._quoted}{after} ORDER BY {name} LIMIT 1 OFFSET {step}")  # noqa: S608  quoted
            if row is None:
                break
            bounds.append(row[0].hex() if isinstance(row[0], bytes) else str(row[0]))
        return bounds

    def read(self, columns: Sequence[SourceColumn], where: Where, *, limit: int | None = None) -> Iterator[list[Any]]:
        selected = ", ".join((one.read or "{}").format(quoted(one.name)) for one in columns)
        query = f"SELECT {selected} FROM {self._quoted}{_condition(where)}"  # noqa: S608  quoted
        if limit is not None:
            query += f" LIMIT {limit}"
        with self._connection() as connection, connection.cursor(pymysql.cursors.SSCursor) as cursor:
            cursor.execute(query)
            rows, size = list[tuple[Any, ...]](), 0
            while some := cursor.fetchmany(FETCHED):
                rows += some
                size += sum(len(cell) for row in some for cell in row if cell is not None)
                if size >= PAGE_BYTES or len(rows) >= PAGE_ROWS:
                    yield _page(columns, rows)
                    rows, size = [], 0
            if rows:
                yield _page(columns, rows)

    def largest(self, column: SourceColumn) -> str | None:
        row = self._ask(f"SELECT MAX({quoted(column.name)}) FROM {self._quoted}")  # noqa: S608  quoted
        return None if row is None or row[0] is None else str(row[0])

    def stop(self) -> None:
        for connection in self._all:
            try:
                with closing(pymysql.connect(**self._arguments, autocommit=True)) as other, other.cursor() as cursor:
                    cursor.execute(f"KILL {int(connection.thread_id())}")
            except pymysql.MySQLError:
                continue  # it is gone already

    def _ask(self, query: str) -> tuple[Any, ...] | None:
        with self._connection() as connection, connection.cursor() as cursor:
            cursor.execute(query)
            found: tuple[Any, ...] | None = cursor.fetchone()
            return found

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        connection = self._free.get()
        try:
            yield connection
        except pymysql.MySQLError as error:
            raise translate_mysql_read(error, self._what) from None
        finally:
            self._free.put(connection)


def quoted(name: str) -> str:
    """An identifier in backquotes."""
    return quoted_for(name, "mysql")


def _page(columns: Sequence[SourceColumn], rows: list[tuple[Any, ...]]) -> list[Any]:
    return [_cells(column, cells) for column, cells in zip(columns, zip(*rows, strict=True), strict=True)]


def _cells(column: SourceColumn, cells: Sequence[Any]) -> Any:
    if column.kind == "B":
        return pa.array(cells, pa.binary())
    if column.base == "bit":
        width = bits(column.sql_type)
        return pa.array(
            [None if one is None else f"{int.from_bytes(one, 'big'):0{width}b}" for one in cells], pa.string()
        )
    texts = pa.array(cells, pa.string())
    if column.logical in ("float4", "float8"):
        return to_texts(
            column.logical, texts.cast(pa.float64()).cast(pa.float32() if column.logical == "float4" else pa.float64())
        )
    if column.logical in ("time", "timestamp", "timestamptz"):
        # MySQL writes as many digits of a fraction as the column has; one form for all, as PostgreSQL has it
        texts = pc.replace_substring_regex(texts, r"(\.[0-9]*?)0+$", r"\1")
        texts = pc.replace_substring_regex(texts, r"\.$", "")
    if column.base == "utc":
        moment = pc.binary_join_element_wise(texts, "+00", "")
        return pc.if_else(pc.starts_with(texts, "0000"), texts, moment)
    return texts


def _condition(where: Where) -> str:
    """`WHERE …`; a value stands in it as hexadecimal digits or as a number, so none is ever read as SQL."""
    if where is None:
        return ""
    if isinstance(where, Rows):
        names = ", ".join(quoted(one.name) for one in where.columns)
        keys = ", ".join(f"({', '.join(map(_literal, where.columns, key))})" for key in where.keys)
        return f" WHERE ({names}) IN ({keys})"
    name, bounds = quoted(where.column.name), []
    if where.since is not None:
        bounds.append(f"{name} >= {_literal(where.column, where.since)}")
    if where.until is not None:
        bounds.append(f"{name} < {_literal(where.column, where.until)}")
    return f" WHERE {' AND '.join(bounds)}" if bounds else ""


def _literal(column: SourceColumn, text: str) -> str:
    """A value of the column; see `Interval` for its text."""
    if column.kind == "N":
        sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
        if not digits.replace(".", "", 1).isdigit():
            raise BadInputError("comparing a number", "it is none", "this is a fault of the program")
        return sign + digits
    if column.kind == "B":
        return f"x'{bytes.fromhex(text).hex()}'"
    if column.base == "utc":
        text = text.removesuffix("+00")
    return f"_utf8mb4 x'{text.encode().hex()}'"
