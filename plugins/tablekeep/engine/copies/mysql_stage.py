"""Staging in MySQL and MariaDB: tables that are filled by LOAD DATA LOCAL and proved before anything is swapped.

InnoDB keeps a table's rows in the order of its primary key, and a backup's come in another one. Rows that are put where they belong one
by one are quick as long as the table fits into the buffer pool, and many times slower beyond it (measured with 60 MB and a pool of
32 MB: 4.5 times). So each chunk is sorted by the key, and the key of a large table is made after its rows, by one sort of the server.
"""

import concurrent.futures
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.copies.convert import Converter
from tablekeep.engine.copies.ddl import create_child, create_table, table_key
from tablekeep.engine.copies.keys import KeySum
from tablekeep.engine.copies.mapping import Mapping, SqlColumn
from tablekeep.engine.copies.mysql_connection import LoadingConnection
from tablekeep.engine.copies.mysql_errors import TWICE
from tablekeep.engine.copies.mysql_rows import key_sum_sql, lines, load_sql
from tablekeep.engine.copies.mysql_swap import CHANGE
from tablekeep.engine.copies.names import TableName, quoted
from tablekeep.engine.copies.sent import Sent, differing_counts
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.progress import Progress

CHUNK_BYTES = 16 * 1024 * 1024
"""Of cells that one LOAD DATA takes; while it runs, the next ones are made."""
SHARE_OF_POOL = 0.5
"""Of the server's buffer pool: a set with more than that gets its key after its rows. Others want to stay in the pool, too."""


class Stage:
    """The staging tables of one load: one for the target, and one for each table of sets.

    :param table: the first one. :param changes: the set holds changes: a further column says which.
    """

    def __init__(
        self, connection: LoadingConnection, table: TableName, mapping: Mapping, what: str, *, changes: bool
    ) -> None:
        self._connection, self._table, self._mapping, self._what, self._changes = (
            connection, table, mapping, what, changes
        )  # fmt: skip

    def fill(self, opened: BackupSet, collation: str, mark: str, progress: Progress) -> Sent:
        """Makes the tables and sends all rows.

        :param collation: of text. :param mark: what follows a CREATE TABLE, so that its maker is known.
        :raises RejectedError: for values that the mapping does not allow.
        :raises IntegrityError: when the server takes other rows than were sent, or finds a key twice.
        """
        mapping, table, key = self._mapping, self._table, table_key(self._mapping)
        (pool,) = self._one("SELECT @@innodb_buffer_pool_size")
        large = bool(key) and opened.manifest.raw_bytes > pool * SHARE_OF_POOL
        more = [f"{quoted(CHANGE, 'mysql')} varchar(6) NOT NULL"] if self._changes else []
        self._run(create_table(table, mapping.columns, key=[] if large else key, more=more, collation=collation) + mark)
        for one in mapping.children:
            self._run(create_child(one, table, collation) + mark)
        converter = Converter(mapping, opened.manifest)
        progress.phase("load", opened.manifest.items)
        main = _Rows(load_sql(table, mapping.columns, CHANGE if self._changes else None), mapping.columns)
        children = [_Rows(load_sql(one.beside(table), one.columns), one.columns) for one in mapping.children]
        with _Loader(self._connection, self._what) as loader:
            for converted in converter.batches(opened, progress):
                loader.add(main, [*converted.arrays, *([converted.changes] if self._changes else [])])
                for child, arrays in zip(children, converted.children, strict=True):
                    if arrays and len(arrays[0]):
                        loader.add(child, arrays)
        sent = converter.check(str(table))
        if large:
            progress.phase("index")
            self._run(f"ALTER TABLE {table.sql} ADD PRIMARY KEY ({', '.join(quoted(one, 'mysql') for one in key)})")
        return sent

    def prove(self, sent: Sent) -> None:
        """That the staging tables hold what was sent: rows, nulls by column, and the very keys.

        :raises IntegrityError: else.
        """
        mapping = self._mapping
        counts = ", ".join(f"COUNT(*) - COUNT({quoted(column.name, 'mysql')})" for column in mapping.columns)
        keys = key_sum_sql([column for column in mapping.columns if column.key])
        row = self._one(f"SELECT COUNT(*), {keys}, {counts} FROM {self._table.sql}")  # noqa: S608  quoted
        nulls = {column.name: int(count) for column, count in zip(mapping.columns, row[2:], strict=True)}
        problems = differing_counts(sent, int(row[0]), nulls, KeySum(int(row[0]), int(row[1])))
        for child in mapping.children:
            (count,) = self._one(f"SELECT COUNT(*) FROM {child.beside(self._table).sql}")  # noqa: S608  quoted
            if count != sent.members[child.suffix]:
                problems.append(f"{child.suffix!r} has {count:,} members, {sent.members[child.suffix]:,} were sent")
        if problems:
            raise IntegrityError(
                self._what, f"the staging table differs from what was sent: {'; '.join(problems[:5])}", "nothing was swapped"
            )  # fmt: skip

    def _run(self, sql: str) -> Any:
        cursor = self._connection.cursor()
        cursor.execute(sql)
        return cursor

    def _one(self, sql: str) -> Any:
        return self._run(sql).fetchone()


@dataclass
class _Rows:
    """Batches that wait for a statement."""

    statement: str
    columns: Sequence[SqlColumn]
    waiting: list[list[Any]] = field(default_factory=list)
    size: int = 0

    def take(self) -> bytes:
        """All of them as lines, sorted by the key."""
        arrays = [pa.concat_arrays(pieces) for pieces in zip(*self.waiting, strict=True)]
        self.waiting, self.size = [], 0
        keys = {str(number): arrays[number] for number, column in enumerate(self.columns) if column.key}
        if keys:
            order = pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending") for name in keys])
            arrays = [array.take(order) for array in arrays]
        return lines(self.columns, arrays[: len(self.columns)], *arrays[len(self.columns) :])


class _Loader:
    """Sends chunks of lines in the background, one at a time. As a context it waits for the last one.

    :raises IntegrityError: when the server takes fewer rows than were sent, or warns of a value.
    """

    def __init__(self, connection: LoadingConnection, what: str) -> None:
        self._connection, self._what = connection, what
        self._pool = concurrent.futures.ThreadPoolExecutor(1, "load-data")
        self._running: concurrent.futures.Future[None] | None = None
        self._all: dict[str, _Rows] = {}

    def __enter__(self) -> "_Loader":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                for rows in self._all.values():
                    if rows.waiting:
                        self._send(rows)
                self._wait()
        finally:
            self._pool.shutdown(wait=True)

    def add(self, rows: _Rows, arrays: list[Any]) -> None:
        """A batch; it is sent when there is enough."""
        self._all[rows.statement] = rows
        rows.waiting.append(arrays)
        rows.size += sum(array.nbytes for array in arrays)
        if rows.size >= CHUNK_BYTES:
            self._send(rows)

    def _send(self, rows: _Rows) -> None:
        body = rows.take()
        self._wait()
        self._running = self._pool.submit(self._load, rows.statement, body)

    def _wait(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def _load(self, statement: str, body: bytes) -> None:
        sent = body.count(b"\n")  # those inside of a value are escaped
        taken, warnings = self._connection.load(statement, body)
        if TWICE in warnings:
            raise IntegrityError(
                self._what, "a key is there twice", "verify the backup with --level full; nothing was swapped"
            )
        if warnings or taken != sent:
            told = f" and warned ({', '.join(str(one) for one in sorted(set(warnings)))})" if warnings else ""
            raise IntegrityError(
                self._what, f"the server took {taken:,} of {sent:,} rows{told}", "nothing was swapped; look up the warnings' numbers"
            )  # fmt: skip
