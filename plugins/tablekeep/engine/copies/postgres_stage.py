"""Staging in PostgreSQL: tables that only one transaction sees, filled by binary COPY and proved before anything is swapped.

Measured (benchmarks/copies.py): rows that are encoded here and sent by psycopg take a tenth of the CPU of psycopg's `write_row`, no more
than ADBC's `adbc_ingest`, and stay in the one transaction, which a second connection would not.
"""

import tempfile
from collections.abc import Sequence
from typing import IO, Any

import psycopg

from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.copies.convert import Converter
from tablekeep.engine.copies.ddl import create_table
from tablekeep.engine.copies.keys import SEPARATOR, KeySum
from tablekeep.engine.copies.kinds import Kind
from tablekeep.engine.copies.mapping import Mapping, SqlColumn, make_column
from tablekeep.engine.copies.names import TableName, quoted
from tablekeep.engine.copies.postgres_binary import HEAD, TAIL, encode_rows
from tablekeep.engine.copies.sent import Sent, differing_counts
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.progress import Progress

PREFIX = "tablekeep_staging_"
CHANGE = "_change"
"""A further column of the staging table for a set of changes: put or delete."""
SPOOL_BYTES = 16 * 1024 * 1024
BLOCK_BYTES = 1024 * 1024


class Stage:
    """The staging tables of one load: one for the target, and one for each table of sets.

    :param token: tells them from others'.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        table: TableName,
        mapping: Mapping,
        token: str,
        what: str,
        *,
        changes: bool,
    ) -> None:
        self._connection, self._mapping, self._what = connection, mapping, what
        self.main = table.beside(f"{PREFIX}{token}")
        self.children = [table.beside(f"{PREFIX}{token}_{number}") for number in range(len(mapping.children))]
        more = (make_column(CHANGE, Kind("text"), "postgres"),) if changes else ()
        self._columns: tuple[SqlColumn, ...] = (*mapping.columns, *more)

    def create(self, *, logged: bool, like: TableName | None = None) -> None:
        """Makes the tables, without keys: an index is built faster over all rows at once.

        :param logged: they are going to stay; else what is in them is moved, and they need no write-ahead log.
        :param like: a table whose columns, defaults, checks and comments the first one takes over.
        """
        words = "TABLE" if logged else "UNLOGGED TABLE"
        if like is not None:
            self._run(f"CREATE {words} {self.main.sql} (LIKE {like.sql} INCLUDING ALL EXCLUDING INDEXES)")
        else:
            self._run(create_table(self.main, self._columns, words=words))
        for name, child in zip(self.children, self._mapping.children, strict=True):
            self._run(create_table(name, child.columns, words=words))

    def fill(self, opened: BackupSet, progress: Progress) -> Sent:
        """Sends all rows. Members of sets wait on the disk until the target's rows are there: a connection has one COPY at a time.

        :raises RejectedError: for values that the mapping does not allow. :raises IntegrityError: when fewer rows arrive than were sent.
        """
        converter, changes = Converter(self._mapping, opened.manifest), opened.manifest.window is not None
        spools: list[IO[bytes]] = [tempfile.SpooledTemporaryFile(SPOOL_BYTES) for _ in self.children]  # noqa: SIM115
        progress.phase("load", opened.manifest.items)
        try:
            with self._connection.cursor() as cursor:
                with cursor.copy(_copy_sql(self.main, self._columns)) as sink:
                    sink.write(HEAD)
                    for converted in converter.batches(opened, progress):
                        arrays = [*converted.arrays, converted.changes] if changes else converted.arrays
                        sink.write(encode_rows(self._columns, arrays))
                        for spool, child, rows in zip(spools, self._mapping.children, converted.children, strict=True):
                            spool.write(encode_rows(child.columns, rows))
                    sent = converter.check(str(self.main))
                    sink.write(TAIL)
                self._arrived(cursor, sent.rows)
                for spool, name, child in zip(spools, self.children, self._mapping.children, strict=True):
                    self._send(cursor, name, child.columns, spool)
                    self._arrived(cursor, sent.members[child.suffix])
        finally:
            for spool in spools:
                spool.close()
        return sent

    def _send(self, cursor: Any, name: TableName, columns: Sequence[SqlColumn], spool: IO[bytes]) -> None:
        spool.seek(0)
        with cursor.copy(_copy_sql(name, columns)) as sink:
            sink.write(HEAD)
            while block := spool.read(BLOCK_BYTES):
                sink.write(block)
            sink.write(TAIL)

    def _arrived(self, cursor: Any, rows: int) -> None:
        if cursor.rowcount != rows:
            raise IntegrityError(self._what, f"{cursor.rowcount:,} of {rows:,} rows arrived")

    def prove(self, sent: Sent) -> None:
        """That the staging tables hold what was sent: rows, nulls by column, and the very keys.

        :raises IntegrityError: else.
        """
        mapping = self._mapping
        counts = ", ".join(f"count(*) - count({quoted(column.name)})" for column in mapping.columns)
        row = self._run(f"SELECT count(*), {key_sum_sql(mapping)}, {counts} FROM {self.main.sql}").fetchone()  # noqa: S608  quoted
        nulls = {column.name: int(count) for column, count in zip(mapping.columns, row[2:], strict=True)}
        problems = differing_counts(sent, int(row[0]), nulls, KeySum(int(row[0]), int(row[1])))
        for name, child in zip(self.children, mapping.children, strict=True):
            (found,) = self._run(f"SELECT count(*) FROM {name.sql}").fetchone()  # noqa: S608  quoted
            if found != sent.members[child.suffix]:
                problems.append(f"{child.suffix!r} has {found:,} rows, {sent.members[child.suffix]:,} were sent")
        if problems:
            raise IntegrityError(
                self._what,
                f"the staging table differs from what was sent: {'; '.join(problems[:5])}",
                "nothing was swapped; look for triggers or rules that the database adds to new tables",
            )

    def drop(self) -> None:
        """Removes what is left of them."""
        for name in (self.main, *self.children):
            self._run(f"DROP TABLE {name.sql}")

    def _run(self, sql: str) -> Any:
        return self._connection.execute(sql)


def _copy_sql(name: TableName, columns: Sequence[SqlColumn]) -> str:
    names = ", ".join(quoted(column.name) for column in columns)
    # FREEZE: the table was made in this transaction, so its rows never need a vacuum's second look
    return f"COPY {name.sql} ({names}) FROM STDIN WITH (FORMAT binary, FREEZE)"


def key_sum_sql(mapping: Mapping) -> str:
    """The key set's sum over a table's rows; see keys.py."""
    texts = f" || chr({ord(SEPARATOR)}) || ".join(_key_text(column) for column in mapping.columns if column.key)
    digits = f"left(encode(sha256(convert_to({texts}, 'UTF8')), 'hex'), 15)"
    return f"coalesce(sum(('x' || {digits})::bit(60)::bigint), 0)"


def _key_text(column: SqlColumn) -> str:
    name = quoted(column.name)
    match column.form:
        case "decimal" | "number":
            return f"trim_scale({name})::text"
        case "bytes":
            return f"encode({name}, 'hex')"
        case "timestamp":
            return f"to_char({name}, 'YYYY-MM-DD HH24:MI:SS.US')"
        case "timestamptz":
            return f"to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
        case "time":
            return f"to_char({name}, 'HH24:MI:SS.US')"
        case _:
            return f"{name}::text"
