"""The copy target PostgreSQL (RDS, Aurora, any other): one transaction from the first look to the ledger's line.

A staging table is made, filled by COPY and proved; then its rows are moved into the target by the mode, or it becomes the target. Whoever
dies on the way leaves the old table and no staging table. Others read the old rows until the commit; writers wait.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg

from tablekeep.engine.clock import Clock
from tablekeep.engine.copies.ddl import create_table, reject_statements, table_key
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
from tablekeep.engine.copies.mapping import Mapping, SqlColumn
from tablekeep.engine.copies.modes import ModeName
from tablekeep.engine.copies.names import TableName, parse_table, quoted
from tablekeep.engine.copies.postgres_address import address_of, conninfo_of
from tablekeep.engine.copies.postgres_errors import bad_connection, translate_postgres
from tablekeep.engine.copies.postgres_merge import Merge, column_types, reconcile
from tablekeep.engine.copies.postgres_rename import check_can_rename, take_over
from tablekeep.engine.copies.postgres_stage import Stage
from tablekeep.engine.copies.sent import Reject
from tablekeep.engine.copies.target import Loaded, Standing, Work
from tablekeep.engine.errors import BadInputError, IntegrityError, TransientError
from tablekeep.engine.progress import Progress

LOCK_SECONDS = 60
"""How long a copy waits for those who write to the table, or alter it; others queue behind it meanwhile."""
DOCUMENT_STATISTICS = 10
"""A tenth of PostgreSQL's own default: a sample of 3,000 rows."""
MAX_NAME = 63 - len("_pkey")


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
        return True

    @property
    def modes(self) -> frozenset[ModeName]:
        return frozenset({"replace", "append", "upsert", "incremental"})

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
        self._run("SET LOCAL datestyle = 'ISO'")
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
        found = self._relation(table)
        last = None
        if self._has_ledger():
            row = self._one(newest_sql(table, "%s"), [str(table)])
            last = load_of(list(row)) if row else None
        if found is None:
            return Standing(False, last=last)
        self._oid = found[0]
        # a table that was dropped and made anew by somebody else is theirs
        ours = last if last is not None and last.table_id.split(" ")[0] == str(self._oid) else None
        return Standing(True, bool(found[1]), ours, tuple(column_types(self._run, table)))

    def _relation(self, table: TableName) -> Any:
        """A table's number, and whether it is an ordinary one; None when there is none."""
        return self._one(
            "SELECT c.oid, c.relkind = 'r' AND NOT c.relispartition AND NOT c.relhassubclass FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s",
            [table.schema, table.table],
        )

    def _has_ledger(self) -> bool:
        return self._one("SELECT to_regclass(%s)", [self._table.beside(LEDGER).sql])[0] is not None

    def rows(self) -> int:
        return int(self._one(f"SELECT count(*) FROM {self._table.sql}")[0])  # noqa: S608  quoted

    def loaded(self, backup_id: str) -> Load | None:
        row = (
            self._one(of_backup_sql(self._table, "%s", "%s"), [str(self._table), backup_id])
            if self._has_ledger()
            else None
        )
        found = load_of(list(row)) if row else None
        return found if found is not None and found.table_id.split(" ")[0] == str(self._oid) else None

    def load(self, work: Work, *, progress: Progress) -> Loaded:
        mapping, mode, renamed = work.mapping, work.mode, work.mode.swap == "rename"
        changes = work.opened.manifest.window is not None
        self._check_children(work)
        if self._oid is None and changes:
            raise BadInputError(
                self._what, "the table does not exist, and the set holds changes", "copy a full set first"
            )
        if self._oid is not None:
            self._check_references(
                deletes=mode.name != "append" and not mode.keep_absent, replaced=mode.name == "replace"
            )
            if renamed:
                check_can_rename(self._run, self._oid, self._what)
        fresh = self._oid is None or renamed
        stage = Stage(self._connection, self._table, mapping, self._clock.token(6), self._what, changes=changes)
        stage.create(logged=fresh, like=self._table if self._oid is not None and renamed else None)
        if self._oid is not None and renamed:
            self._shape(stage, mapping)
        sent = stage.fill(work.opened, progress)
        progress.phase("proof")
        stage.prove(sent)
        progress.phase("swap")
        if fresh:
            loaded = Loaded(sent, sent.rows, inserted=sent.rows)
            self._put_in_place(stage, mapping)
        else:
            loaded = self._merge(stage, work, sent)
        if sent.rejects:
            self.keep_rejects(work.load.backup_id, sent.rejects)
        self._add_to_ledger(work.load, mapping, loaded.rows)
        self._analyze(self._table, mapping.columns)
        for child in mapping.children:
            self._analyze(child.beside(self._table), child.columns)
        return loaded

    def _analyze(self, table: TableName, columns: Sequence[SqlColumn]) -> None:
        """Statistics for the planner. Comparing documents takes most of an ANALYZE, and all that is asked of them is their width."""
        documents = [quoted(column.name) for column in columns if column.form in ("json", "rest")]
        if documents:
            self._run(f"SET LOCAL default_statistics_target = {DOCUMENT_STATISTICS}")
            self._run(f"ANALYZE {table.sql} ({', '.join(documents)})")
            self._run("SET LOCAL default_statistics_target TO DEFAULT")
        others = [quoted(column.name) for column in columns if column.form not in ("json", "rest")]
        self._run(f"ANALYZE {table.sql} ({', '.join(others)})")

    def _check_children(self, work: Work) -> None:
        """Tables of sets that others made are left alone, as the target is."""
        standing = self._known_children(work)
        for child in work.mapping.children:
            name = child.beside(self._table)
            found = self._relation(name)
            if found is None or str(found[0]) in standing or work.adopt:
                continue
            raise BadInputError(
                self._what,
                f"the table {name} exists and is not in our ledger, so others made it",
                "name the column in another way, or give --adopt once",
            )

    def _known_children(self, work: Work) -> set[str]:
        row = self._one(newest_sql(self._table, "%s"), [str(self._table)]) if self._has_ledger() else None
        return set(load_of(list(row)).table_id.split(" ")[1:]) if row else set()

    def _check_references(self, *, deletes: bool, replaced: bool) -> None:
        """Deleting rows must not delete those of others."""
        if not deletes:
            return
        found = self._run(
            "SELECT conname, conrelid::regclass::text, confdeltype FROM pg_constraint WHERE contype = 'f' AND confrelid = %s",
            [self._oid],
        ).fetchall()
        for name, other, action in found:
            if replaced or action in ("c", "n", "d"):
                raise BadInputError(
                    self._what,
                    f"the foreign key {name} of {other} refers to the table, and deleting rows would "
                    + ("fail" if action in ("a", "r") else f"change rows of {other}"),
                    "use the mode upsert with keep_absent, or drop the foreign key",
                )

    def _shape(self, stage: Stage, mapping: Mapping) -> None:
        """Gives a staging table that was made like the old one the columns that the mapping wants."""
        shape = stage.main.beside(f"{stage.main.table}_s")
        self._run(create_table(shape, mapping.columns, words="UNLOGGED TABLE"))
        reconcile(self._run, stage.main, shape, mapping.columns, set(), empty=True, what=self._what)
        self._run(f"DROP TABLE {shape.sql}")

    def _put_in_place(self, stage: Stage, mapping: Mapping) -> None:
        """The staging tables become the target and its children."""
        later = list[str]()
        if self._oid is not None:
            self._run(f"LOCK TABLE {self._table.sql} IN ACCESS EXCLUSIVE MODE")
            later = take_over(self._run, self._oid, stage.main)
            self._run(f"DROP TABLE {self._table.sql}")
        else:
            self._add_key(stage.main, table_key(mapping), self._table.table, later)
        self._run(f"ALTER TABLE {stage.main.sql} RENAME TO {quoted(self._table.table)}")
        for name, child in zip(stage.children, mapping.children, strict=True):
            final = child.beside(self._table)
            if self._relation(final) is not None:
                self._run(f"DROP TABLE {final.sql}")
            self._add_key(name, [column.name for column in child.columns], final.table, later)
            self._run(f"ALTER TABLE {name.sql} RENAME TO {quoted(final.table)}")
        for statement in later:
            self._run(statement)

    def _add_key(self, name: TableName, key: list[str], final: str, later: list[str]) -> None:
        """A primary key that is named after the table, if the name is free."""
        self._run(f"ALTER TABLE {name.sql} ADD PRIMARY KEY ({', '.join(quoted(one) for one in key)})")
        wanted = name.beside(f"{final}_pkey")
        if len(final.encode()) <= MAX_NAME and self._one("SELECT to_regclass(%s)", [wanted.sql])[0] is None:
            later.append(f"ALTER INDEX {name.beside(f'{name.table}_pkey').sql} RENAME TO {quoted(wanted.table)}")

    def _merge(self, stage: Stage, work: Work, sent: Any) -> Loaded:
        mapping, mode = work.mapping, work.mode
        merge = Merge(self._run, self._table, mapping, stage, self._what)
        self._run(f"LOCK TABLE {self._table.sql} IN SHARE ROW EXCLUSIVE MODE")
        widened = {column.name for column in work.evolution.widened}
        for name, child in zip(stage.children, mapping.children, strict=True):
            if self._relation(child.beside(self._table)) is None:
                self._run(
                    create_table(
                        child.beside(self._table), child.columns, key=[column.name for column in child.columns]
                    )
                )
            reconcile(
                self._run,
                child.beside(self._table),
                name,
                child.columns,
                {child.member.name},
                empty=False,
                what=self._what,
            )
        if mode.name == "replace":
            merge.delete_all()
        reconcile(
            self._run, self._table, stage.main, mapping.columns, widened, empty=mode.name == "replace", what=self._what
        )
        changes = work.opened.manifest.window is not None
        if mode.name == "replace":
            merge.replace(unique=self._has_unique_key(mapping))
        elif mode.name == "append":
            merge.append()
        elif changes:
            merge.changes()
        else:
            merge.upsert(mode)
        moved = mode.name in ("replace", "append")
        missing = sent.rows - merge.counts.inserted if moved else merge.missing(changes=changes)
        rows = self.rows()
        exactly = not (mode.name == "append" or mode.keep_absent or changes)
        if missing or (exactly and rows != sent.rows):
            raise IntegrityError(
                self._what,
                f"the table has {rows:,} rows, and {missing:,} of {sent.rows:,} are not as they were sent",
                "look at its triggers and rules; it was left as it was",
            )
        stage.drop()
        return Loaded(sent, rows, merge.counts.inserted, merge.counts.updated, merge.counts.deleted)

    def _has_unique_key(self, mapping: Mapping) -> bool:
        """Whether the table itself lets no key be there twice."""
        keys = self._run(
            "SELECT (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM unnest(i.indkey) k JOIN pg_attribute a "
            "ON a.attrelid = i.indrelid AND a.attnum = k) FROM pg_index i "
            "WHERE i.indrelid = %s AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL", [self._oid]
        ).fetchall()  # fmt: skip
        return [sorted(mapping.key)] in [[key] for (key,) in keys]

    def _add_to_ledger(self, load: Load, mapping: Mapping, rows: int) -> None:
        # two sessions that make the same table at once break each other, IF NOT EXISTS or not
        self._run("SELECT pg_advisory_xact_lock(hashtext(%s))", [self._table.beside(LEDGER).sql])
        self._run(create_sql(self._table, "postgres"))
        names = [self._table.sql, *(child.beside(self._table).sql for child in mapping.children)]
        numbers = " ".join(self._one("SELECT %s::regclass::oid::text", [name])[0] for name in names)
        self._run(insert_sql(self._table, placeholders()), replace(load, rows=rows, table_id=numbers).values())

    def keep_rejects(self, backup_id: str, rejects: Sequence[Reject]) -> None:
        """Writes the reject table, in the session's transaction."""
        for statement in reject_statements(self._table, backup_id, rejects, self._clock.now(), quoted_text):
            self._run(statement)


def quoted_text(text: str) -> str:
    """A text as a literal of PostgreSQL (with standard_conforming_strings, which is its default since 9.1)."""
    return "'" + text.replace("'", "''") + "'"
