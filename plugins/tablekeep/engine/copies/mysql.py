"""The copy target MySQL and MariaDB (RDS, Aurora, any other): a staging table by LOAD DATA LOCAL, proved, then one swap.

A statement that makes or renames a table commits by itself there, so the swap of `replace` is one RENAME TABLE, which is atomic. The
table's comment carries a mark, and the ledger's line the same one: the line is written before the swap and counts for nothing until
the table with its mark is in place. The other modes change rows and the ledger in one transaction. Where the old table has triggers,
foreign keys or indexes of its owner's, `replace` changes the rows inside of it, too.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pymysql

from tablekeep.engine.clock import Clock
from tablekeep.engine.copies.ddl import reject_statements
from tablekeep.engine.copies.dialects import Dialect
from tablekeep.engine.copies.ledger import (
    LEDGER,
    Load,
    create_sql,
    insert_sql,
    load_of,
    newest_sql,
    of_backup_sql,
    placeholders,
)
from tablekeep.engine.copies.modes import ModeName
from tablekeep.engine.copies.mysql_connection import LoadingConnection, connect
from tablekeep.engine.copies.mysql_errors import translate_mysql
from tablekeep.engine.copies.mysql_stage import Stage
from tablekeep.engine.copies.mysql_swap import CHANGE, Described, MysqlSwap, marked
from tablekeep.engine.copies.names import TableName, parse_table, quoted
from tablekeep.engine.copies.sent import Reject, Sent
from tablekeep.engine.copies.target import Loaded, Standing, Work
from tablekeep.engine.errors import BadInputError, TransientError
from tablekeep.engine.progress import Progress


class MysqlTarget:
    """A table of a MySQL or MariaDB database.

    :param arguments: of pymysql's `connect`: host, port, user, password, database, ssl, unix_socket.
    :param table: `database.table`, or a table of the connection's database.
    :raises BadInputError: for a table's name that cannot be.
    """

    def __init__(self, arguments: Mapping[str, Any], table: str) -> None:
        self._given = dict(arguments)
        self._table = parse_table(table, "mysql", str(self._given.get("database") or ""))
        if self._table.table == LEDGER:
            raise BadInputError(f"copying to {self._table}", "this is the ledger itself", "name another table")

    @property
    def address(self) -> str:
        where = self._given.get("host") or self._given.get("unix_socket") or "localhost"
        return f"mysql://{where}:{self._given.get('port', 3306)}/{self._table.schema}"

    @property
    def table(self) -> TableName:
        return self._table

    @property
    def dialect(self) -> Dialect:
        return "mysql"

    @property
    def child_tables(self) -> bool:
        return True

    @property
    def modes(self) -> frozenset[ModeName]:
        return frozenset({"replace", "append", "upsert", "incremental"})

    @contextmanager
    def session(self, clock: Clock) -> Iterator["MysqlSession"]:
        what = f"copying to {self._table} in {self.address}"
        connection = connect(self._given, self.address)
        try:
            yield MysqlSession(connection, self._table, what, clock)
        except pymysql.MySQLError as error:
            raise translate_mysql(error, what) from None
        finally:
            with suppress(pymysql.MySQLError):
                connection.close()  # what was not committed is rolled back, and the lock is given back

    def keep_rejects(self, backup_id: str, rejects: tuple[Reject, ...], clock: Clock) -> None:
        with self.session(clock) as session:
            session.keep_rejects(backup_id, rejects)


class MysqlSession:
    """One connection. Of two copies to one table the second is turned away, by a lock of the connection's."""

    def __init__(self, connection: LoadingConnection, table: TableName, what: str, clock: Clock) -> None:
        self._connection, self._table, self._what, self._clock = connection, table, what, clock
        self._standing: Standing | None = None
        if self._one("SELECT @@lower_case_table_names")[0]:  # the server keeps names in lower case
            self._table = table = replace(table, schema=table.schema.lower(), table=table.table.lower())
        name = f"tablekeep:{hashlib.sha256(str(table).encode()).hexdigest()[:40]}"
        if self._one("SELECT GET_LOCK(%s, 0)", [name])[0] != 1:
            raise TransientError(what, "another copy to this table runs", "wait until it has ended")
        version = str(self._one("SELECT VERSION()")[0])
        # keys that differ by case or by spaces at their end are two
        self._collation = "utf8mb4_nopad_bin" if "MariaDB" in version else "utf8mb4_0900_bin"
        self._swap = MysqlSwap(self._run, table, what)

    def _run(self, sql: str, values: Sequence[Any] | None = None) -> Any:
        cursor = self._connection.cursor()
        cursor.execute(sql, values)
        return cursor

    def _one(self, sql: str, values: Sequence[Any] | None = None) -> Any:
        return self._run(sql, values).fetchone()

    def standing(self) -> Standing:
        table = self._table
        if self._one("SELECT 1 FROM information_schema.schemata WHERE BINARY schema_name = %s", [table.schema]) is None:
            raise BadInputError(
                self._what, f"there is no database {table.schema!r}", f"CREATE DATABASE {quoted(table.schema, 'mysql')}, or name another"
            )  # fmt: skip
        self._run(f"USE {quoted(table.schema, 'mysql')}")  # some statements need one, named or not
        found = self._swap.described(table)
        last = None
        if found is not None and found.mark and self._swap.described(table.beside(LEDGER)) is not None:
            row = self._one(newest_sql(table, "%s", "%s"), [str(table), found.mark])
            last = _load(row) if row else None
        if found is None:
            self._standing = Standing(False)
        else:
            self._standing = Standing(True, found.replaceable, last, found.columns)
        return self._standing

    def rows(self) -> int:
        return self._count(self._table)

    def _count(self, table: TableName) -> int:
        return int(self._one(f"SELECT COUNT(*) FROM {table.sql}")[0])  # noqa: S608  quoted

    def loaded(self, backup_id: str) -> Load | None:
        found = self._swap.described(self._table)
        if found is None or not found.mark or self._swap.described(self._table.beside(LEDGER)) is None:
            return None
        row = self._one(of_backup_sql(self._table, "%s", "%s", "%s"), [str(self._table), backup_id, found.mark])
        return _load(row) if row else None

    def load(self, work: Work, *, progress: Progress) -> Loaded:
        standing = self._standing or self.standing()
        self._check_columns(standing, work)
        self._swap.drop_forgotten(progress)
        staging = self._swap.staging(self._clock.token(6))
        try:
            stage = Stage(
                self._connection, staging, work.mapping, self._what, changes=work.opened.manifest.window is not None
            )
            sent = stage.fill(work.opened, self._collation, marked(self._clock.token(8)), progress)
            progress.phase("proof")
            stage.prove(sent)
            self._run(create_sql(self._table, "mysql"))
            progress.phase("swap")
            loaded = self._swap_in(staging, work, sent, standing, progress)
            if work.mapping.document.misfits_to == "reject":
                self.keep_rejects(work.load.backup_id, tuple(sent.rejects))
            return loaded
        except BaseException:
            self._give_up(staging, work)
            raise

    def _check_columns(self, standing: Standing, work: Work) -> None:
        """Rows that are written anew would lose what stands in columns that others added."""
        known = {column.name.casefold() for column in work.mapping.columns}
        others = [name for name in standing.columns if name.casefold() not in known]
        if others and standing.exists and work.mode.name in ("upsert", "incremental") and not work.mode.keep_existing:
            raise BadInputError(
                self._what,
                f"the table has columns that the mapping does not know: {', '.join(others[:5])}",
                "add them to the mapping, or copy to another table; their values would be lost",
            )

    def _swap_in(self, staging: TableName, work: Work, sent: Sent, standing: Standing, progress: Progress) -> Loaded:
        swap, mode = self._swap, work.mode
        if not standing.exists:
            self._drop_deletions(staging, work)
            rows = self._count(staging)
            self._rename(staging, work, rows, None)
            return Loaded(sent, rows, inserted=rows)
        found = swap.described(self._table)
        if found is None:
            raise TransientError(self._what, "the table was dropped meanwhile", "look at it, and try again")
        if mode.name == "replace" and swap.may_rename(work, standing, progress):
            self._rename(staging, work, sent.rows, found)
            return Loaded(sent, sent.rows, inserted=sent.rows)
        mark = found.mark or swap.give_mark(self._clock.token(8))
        swap.prepare(work, found, self._collation, mark)
        self._run("START TRANSACTION")
        inserted, updated, deleted = swap.apply(staging, work)
        rows = self._count(self._table)
        self._add_line(self._line(work, mark, rows))
        self._connection.commit()
        swap.drop([staging, *(child.beside(staging) for child in work.mapping.children)])
        return Loaded(sent, rows, inserted, updated, deleted)

    def _rename(self, staging: TableName, work: Work, rows: int, found: Described | None) -> None:
        """The ledger's line first: it counts from the moment in which the table that has its mark is in place."""
        self._add_line(self._line(work, self._swap.mark_of(staging), rows))
        self._connection.commit()
        self._swap.rename(staging, work, found)

    def _drop_deletions(self, staging: TableName, work: Work) -> None:
        """A first load of changes: what is deleted in them was never there."""
        if work.opened.manifest.window is not None:
            self._run(f"DELETE FROM {staging.sql} WHERE {quoted(CHANGE, 'mysql')} = 'delete'")  # noqa: S608  quoted
            self._run(f"ALTER TABLE {staging.sql} DROP COLUMN {quoted(CHANGE, 'mysql')}")

    def _line(self, work: Work, mark: str, rows: int) -> Load:
        return replace(work.load, table_id=mark, rows=rows)

    def _add_line(self, load: Load) -> None:
        values = [
            one.astimezone(UTC).replace(tzinfo=None) if isinstance(one, datetime) else one for one in load.values()
        ]
        self._run(insert_sql(self._table, placeholders()), values)

    def keep_rejects(self, backup_id: str, rejects: tuple[Reject, ...]) -> None:
        """Writes the reject table; earlier lines of the same set go."""
        literal = self._connection.literal
        for statement in reject_statements(self._table, backup_id, rejects, self._clock.now(), literal):
            self._run(statement)
        self._connection.commit()

    def _give_up(self, staging: TableName, work: Work) -> None:
        with suppress(Exception):  # the error that led here matters more; a later copy drops the tables
            self._connection.rollback()
            self._swap.drop([staging, *(child.beside(staging) for child in work.mapping.children)])


def _load(row: Sequence[Any]) -> Load:
    """A line of the ledger; its times are UTC."""
    return load_of([one.replace(tzinfo=UTC) if isinstance(one, datetime) else one for one in row])
