"""The copy target PostgreSQL (RDS, Aurora, any other): one transaction from the first look to the swap.

A staging table is made, filled by COPY, given its primary key, counted, and put in the place of the old one. All of it is
one transaction: whoever dies on the way leaves the old table and no staging table. Grants, owner and comment go over to the
new table. Where the old one has more that is its owner's (views on it, foreign keys, triggers, policies, indexes), the rows
are replaced inside of it instead, if its columns are the same; else the copy is refused before anything changed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg

from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.clock import Clock
from tablekeep.engine.copies.convert import Converter, Reject, Sent, differing_counts
from tablekeep.engine.copies.ddl import reject_statements
from tablekeep.engine.copies.dialects import POSTGRES_BYTES, Dialect
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
from tablekeep.engine.copies.mapping import Mapping, SqlColumn
from tablekeep.engine.copies.modes import ModeName
from tablekeep.engine.copies.names import TableName, parse_table, quoted
from tablekeep.engine.copies.postgres_address import address_of, conninfo_of
from tablekeep.engine.copies.postgres_errors import bad_connection, translate_postgres
from tablekeep.engine.copies.target import Loaded, Standing, Work
from tablekeep.engine.errors import BadInputError, IntegrityError, TransientError
from tablekeep.engine.progress import Progress

LOCK_SECONDS = 60
"""How long the swap waits for readers of the old table; others queue behind it meanwhile."""


class PostgresTarget:
    """A table of a PostgreSQL database.

    :param conninfo: see `conninfo_of`.
    :param table: `schema.table`.
    :raises BadInputError: for another text; it is never quoted, for it may hold a password.
    """

    def __init__(self, conninfo: str | dict[str, Any], table: str) -> None:
        self._table = parse_table(table, "postgres")
        if self._table.table == LEDGER:
            raise BadInputError(f"copying to {self._table}", "this is the ledger itself", "name another table")
        self._given = conninfo_of(conninfo)

    @property
    def address(self) -> str:
        return address_of(self._given)

    @property
    def table(self) -> TableName:
        return self._table

    @property
    def dialect(self) -> Dialect:
        return "postgres"

    @property
    def child_tables(self) -> bool:
        return False

    @property
    def modes(self) -> frozenset[ModeName]:
        return frozenset({"replace"})

    @contextmanager
    def session(self, clock: Clock) -> Iterator["PostgresSession"]:
        what = f"copying to {self._table} in {self.address}"
        try:
            connection = psycopg.connect(**self._given)
        except psycopg.Error as error:
            raise bad_connection(error, f"connecting to {self.address}") from None
        try:
            # leaving it commits, or rolls back after an error
            with connection:
                yield PostgresSession(connection, self._table, what, clock)
        except psycopg.Error as error:
            raise translate_postgres(error, what) from None

    def keep_rejects(self, backup_id: str, rejects: tuple[Reject, ...], clock: Clock) -> None:
        with self.session(clock) as session:
            session.keep_rejects(backup_id, rejects)


class PostgresSession:
    """One transaction. Of two copies to one table the second is turned away, by an advisory lock of the transaction."""

    def __init__(self, connection: psycopg.Connection[Any], table: TableName, what: str, clock: Clock) -> None:
        self._connection, self._table, self._what, self._clock = connection, table, what, clock
        self._oid: int | None = None
        # a server's defaults for short statements would end a long load
        for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
            self._run(f"SET LOCAL {setting} = 0")
        self._run(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
        self._run("SET LOCAL client_encoding = 'UTF8'")
        if not self._one("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 7236))", [f"tablekeep {table}"])[0]:
            raise TransientError(what, "another copy to this table runs", "wait until it has ended")

    def _run(self, sql: str, values: list[Any] | dict[str, Any] | None = None) -> Any:
        return self._connection.execute(sql, values)

    def _one(self, sql: str, values: list[Any] | None = None) -> Any:
        return self._run(sql, values).fetchone()

    def standing(self) -> Standing:
        table = self._table
        if self._one("SELECT 1 FROM pg_namespace WHERE nspname = %s", [table.schema]) is None:
            raise BadInputError(
                self._what,
                f"there is no schema {table.schema!r}",
                f"CREATE SCHEMA {quoted(table.schema)}, or name another",
            )
        found = self._one(
            "SELECT c.oid, c.relkind = 'r' AND NOT c.relispartition AND NOT c.relhassubclass FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s",
            [table.schema, table.table],
        )
        last = None
        if self._one("SELECT to_regclass(%s)", [table.beside(LEDGER).sql])[0] is not None:
            row = self._one(newest_sql(table, "%s"), [str(table)])
            last = load_of(list(row)) if row else None
        if found is None:
            return Standing(False, last=last)
        self._oid = found[0]
        if last is not None and last.table_id != str(found[0]):
            last = None  # dropped and made anew by somebody else: theirs
        return Standing(True, bool(found[1]), last)

    def rows(self) -> int:
        return int(self._one(f"SELECT count(*) FROM {self._table.sql}")[0])  # noqa: S608  quoted

    def loaded(self, backup_id: str) -> Load | None:
        if self._one("SELECT to_regclass(%s)", [self._table.beside(LEDGER).sql])[0] is None:
            return None
        row = self._one(of_backup_sql(self._table, "%s", "%s"), [str(self._table), backup_id])
        found = load_of(list(row)) if row else None
        return found if found is not None and found.table_id == str(self._oid) else None

    def load(self, work: Work, *, progress: Progress) -> Loaded:
        opened, mapping, load = work.opened, work.mapping, work.load
        staging = self._table.beside(f"tablekeep_staging_{self._clock.token(6)}")
        self._run(f"CREATE TABLE {staging.sql} ({mapping.definitions})")
        sent = self._copy(staging, opened, mapping, progress)
        progress.phase("index")
        key = ", ".join(quoted(name) for name in mapping.key)
        self._run(f"ALTER TABLE {staging.sql} ADD PRIMARY KEY ({key})")
        self._check(staging, mapping, sent)
        progress.phase("swap")
        self._swap(staging, mapping, progress)
        # two sessions that make the same table at once break each other, IF NOT EXISTS or not
        self._run("SELECT pg_advisory_xact_lock(hashtext(%s))", [self._table.beside(LEDGER).sql])
        self._run(create_sql(self._table, "postgres"))
        oid = self._one("SELECT %s::regclass::oid::text", [self._table.sql])[0]
        self._run(insert_sql(self._table, placeholders()), replace(load, table_id=oid).values())
        if sent.rejects:
            self.keep_rejects(load.backup_id, sent.rejects)
        self._run(f"ANALYZE {self._table.sql}")
        return Loaded(sent, sent.rows)

    def keep_rejects(self, backup_id: str, rejects: Sequence[Reject]) -> None:
        """Writes the reject table, in the session's transaction."""
        for statement in reject_statements(self._table, backup_id, rejects, self._clock.now(), quoted_text):
            self._run(statement)

    def _copy(self, staging: TableName, opened: BackupSet, mapping: Mapping, progress: Progress) -> Sent:
        converter = Converter(mapping, opened.manifest)
        progress.phase("load", opened.manifest.items)
        with self._connection.cursor() as cursor:
            # FREEZE: the table was made in this transaction, so its rows never need a vacuum's second look
            with cursor.copy(f"COPY {staging.sql} FROM STDIN WITH (FREEZE)") as sink:
                for converted in converter.batches(opened, progress):
                    cells = [
                        _texts(column, array) for column, array in zip(mapping.columns, converted.arrays, strict=True)
                    ]
                    for row in zip(*cells, strict=True):
                        sink.write_row(row)
                sent = converter.check(str(self._table))
            if cursor.rowcount != sent.rows:
                raise IntegrityError(self._what, f"{cursor.rowcount:,} of {sent.rows:,} rows arrived")
        return sent

    def _check(self, staging: TableName, mapping: Mapping, sent: Sent) -> None:
        counts = ", ".join(f"count(*) - count({quoted(column.name)})" for column in mapping.columns)
        row = self._one(f"SELECT count(*), {counts} FROM {staging.sql}")  # noqa: S608  quoted
        nulls = {column.name: int(count) for column, count in zip(mapping.columns, row[1:], strict=True)}
        problems = differing_counts(sent, int(row[0]), nulls)
        if problems:
            raise IntegrityError(
                self._what,
                f"the staging table differs from what was sent: {'; '.join(problems[:5])}",
                "nothing was swapped; look for triggers or rules that the database adds to new tables",
            )

    def _swap(self, staging: TableName, mapping: Mapping, progress: Progress) -> None:
        if self._oid is None:
            self._rename(staging)
            return
        self._run(f"LOCK TABLE {self._table.sql} IN ACCESS EXCLUSIVE MODE")
        extras = [row[0] for row in self._run(_EXTRAS, {"oid": self._oid, "key": mapping.key}).fetchall()]
        if not extras:
            self._take_over(staging)
            self._run(f"DROP TABLE {self._table.sql}")
            self._rename(staging)
            return
        if self._columns(staging) != self._columns(self._table):
            named = ", ".join(extras[:5]) + (f" and {len(extras) - 5} more" if len(extras) > 5 else "")
            raise BadInputError(
                self._what,
                f"the columns have changed, and these belong to the old table: {named}",
                "drop them, copy again, and make them again; the table was left as it was",
            )
        progress.note(f"{self._table} has {len(extras)} views, indexes or the like: its rows are replaced inside of it")
        names = ", ".join(quoted(column.name) for column in mapping.columns)
        self._run(f"DELETE FROM {self._table.sql}")  # noqa: S608  quoted
        self._run(f"INSERT INTO {self._table.sql} ({names}) SELECT {names} FROM {staging.sql}")  # noqa: S608  quoted
        self._run(f"DROP TABLE {staging.sql}")

    def _rename(self, staging: TableName) -> None:
        self._run(f"ALTER TABLE {staging.sql} RENAME TO {quoted(self._table.table)}")
        name = f"{self._table.table}_pkey"
        if (
            len(name.encode()) <= POSTGRES_BYTES
            and self._one("SELECT to_regclass(%s)", [self._table.beside(name).sql])[0] is None
        ):
            old = quoted(f"{staging.table}_pkey")
            self._run(f"ALTER TABLE {self._table.sql} RENAME CONSTRAINT {old} TO {quoted(name)}")

    def _columns(self, table: TableName) -> list[Any]:
        rows = self._run(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname",
            [table.sql],
        )
        return list(rows.fetchall())

    def _take_over(self, staging: TableName) -> None:
        """Gives the staging table what people gave the old one: comment, grants, owner."""
        comment = self._one("SELECT obj_description(%s, 'pg_class')", [self._oid])[0]
        if comment is not None:
            literal = self._one("SELECT quote_literal(%s::text)", [comment])[0]
            self._run(f"COMMENT ON TABLE {staging.sql} IS {literal.replace('%', '%%')}", [])
        for statement in self._run(_GRANTS, {"oid": self._oid, "staging": staging.sql}).fetchall():
            self._run(statement[0])


_EXTRAS = """
SELECT 'the view ' || v.oid::regclass::text FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
  JOIN pg_class v ON v.oid = r.ev_class
  WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = %(oid)s AND v.oid <> %(oid)s
UNION SELECT 'the constraint ' || conname FROM pg_constraint
  WHERE contype IN ('f', 'c', 'u', 'x') AND (conrelid = %(oid)s OR confrelid = %(oid)s)
UNION SELECT 'the index ' || i.indexrelid::regclass::text FROM pg_index i WHERE i.indrelid = %(oid)s AND NOT (i.indisprimary
  AND (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(i.indkey) WITH ORDINALITY k(attnum, n)
       JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum) = %(key)s::text[])
UNION SELECT 'the trigger ' || tgname FROM pg_trigger WHERE tgrelid = %(oid)s AND NOT tgisinternal
UNION SELECT 'the policy ' || polname FROM pg_policy WHERE polrelid = %(oid)s
ORDER BY 1"""
"""What would be lost, or would forbid it, if the table were dropped."""

_GRANTS = """
SELECT format('GRANT %%s ON %%s TO %%s%%s', a.privilege_type, %(staging)s::text,
              CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END,
              CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
  FROM pg_class c, aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
  WHERE c.oid = %(oid)s AND a.grantee <> c.relowner AND (a.grantee = 0 OR r.rolname IS NOT NULL)
UNION ALL SELECT format('ALTER TABLE %%s OWNER TO %%I', %(staging)s::text, r.rolname)
  FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE c.oid = %(oid)s AND r.rolname <> current_user"""


def _texts(column: SqlColumn, array: Any) -> list[str | None]:
    """Cells as COPY's text format takes them, before its escapes."""
    import pyarrow as pa

    match column.form:
        case "int" | "decimal" | "float" | "date" | "time" | "timestamp":
            return list(array.cast(pa.string()).to_pylist())
        case "bytes":
            return [None if one is None else f"\\x{one.hex()}" for one in array.to_pylist()]
        case "bool":
            return [None if one is None else "t" if one else "f" for one in array.to_pylist()]
        case _:
            return list(array.to_pylist())


def quoted_text(text: str) -> str:
    """A text as a literal of PostgreSQL (with standard_conforming_strings, which is its default since 9.1)."""
    return "'" + text.replace("'", "''") + "'"
