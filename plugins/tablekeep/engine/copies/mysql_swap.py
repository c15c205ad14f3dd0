"""How a staged table comes into its place in MySQL: by one RENAME TABLE, or row by row in one transaction.

A table of ours carries a mark in its comment, `tablekeep:` and 16 hexadecimal digits; what people write beside it stays. One that is
made anew under its name has no mark, or another one, and is theirs.
"""

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tablekeep.engine.copies.ddl import create_child
from tablekeep.engine.copies.mapping import ChildTable, SqlColumn
from tablekeep.engine.copies.names import TableName, quoted
from tablekeep.engine.copies.target import Standing, Work
from tablekeep.engine.errors import BadInputError, TransientError
from tablekeep.engine.progress import Progress

CHANGE = "tablekeep_change"
"""Of a staging table that holds changes: `put` or `delete`."""
STAGING = "tablekeep_staging_"
_MARK = re.compile(r"\s*tablekeep:([0-9a-f]{16})")


@dataclass(frozen=True, slots=True)
class Described:
    """A table as information_schema has it.

    :ivar replaceable: no view, no partitions, rows that transactions guard. :ivar mark: ours; empty when there is none.
    :ivar comment: without the mark.
    """

    replaceable: bool
    mark: str
    comment: str
    columns: tuple[str, ...]


def marked(mark: str, comment: str = "") -> str:
    """The end of a CREATE TABLE or ALTER TABLE that sets the mark."""
    text = f"{comment} tablekeep:{mark}".strip().replace("\\", "\\\\").replace("'", "''")
    return f" COMMENT = '{text}'"


class MysqlSwap:
    """:param run: runs a statement and gives its cursor. :param table: the target."""

    def __init__(self, run: Callable[..., Any], table: TableName, what: str) -> None:
        self._run, self._table, self._what = run, table, what
        self._prefix = f"{STAGING}{hashlib.sha256(str(table).encode()).hexdigest()[:8]}_"

    def described(self, table: TableName) -> Described | None:
        """What lies under a name; None: nothing."""
        row = self._run(
            "SELECT table_type, engine, table_comment, create_options FROM information_schema.tables "
            "WHERE BINARY table_schema = %s AND BINARY table_name = %s",
            [table.schema, table.table],
        ).fetchone()
        if row is None:
            return None
        kind, engine, comment, options = (str(one or "") for one in row)
        found = _MARK.search(comment)
        columns = self._run(
            "SELECT column_name FROM information_schema.columns WHERE BINARY table_schema = %s AND BINARY table_name = %s "
            "ORDER BY ordinal_position",
            [table.schema, table.table],
        ).fetchall()
        plain = kind == "BASE TABLE" and engine.lower() == "innodb" and "partitioned" not in options
        return Described(
            plain, found[1] if found else "", _MARK.sub("", comment).strip(), tuple(str(one[0]) for one in columns)
        )

    def staging(self, token: str) -> TableName:
        """A name for a staging table of this target."""
        return self._table.beside(f"{self._prefix}{token[:6]}")

    def mark_of(self, table: TableName) -> str:
        found = self.described(table)
        return found.mark if found else ""

    def give_mark(self, mark: str) -> str:
        """Marks a table that is taken over."""
        found = self.described(self._table)
        self._run(f"ALTER TABLE {self._table.sql}{marked(mark, found.comment if found else '')}")
        return mark

    def drop(self, tables: Iterable[TableName]) -> None:
        for table in tables:
            self._run(f"DROP TABLE IF EXISTS {table.sql}")

    def drop_forgotten(self, progress: Progress) -> None:
        """Drops what copies of this target that did not end have left: whoever comes here holds its lock."""
        rows = self._run(
            "SELECT table_name FROM information_schema.tables WHERE BINARY table_schema = %s AND BINARY LEFT(table_name, %s) = %s",
            [self._table.schema, len(self._prefix), self._prefix],
        ).fetchall()
        for (name,) in rows:
            progress.note(f"dropping the table {name}, which a copy left that did not end")
            self.drop([self._table.beside(str(name))])

    def may_rename(self, work: Work, standing: Standing, progress: Progress) -> bool:
        """Whether a new table may take the old one's place, or something of its owner's would be lost or follow the old one.

        :raises BadInputError: with `swap: rename` when it may not.
        """
        extras = self._extras(standing)
        if not extras:
            return True
        told = ", ".join(extras[:5]) + (f" and {len(extras) - 5} more" if len(extras) > 5 else "")
        if work.mode.swap == "rename":
            raise BadInputError(
                self._what, f"these belong to the old table, and a new one would not have them: {told}",
                "leave swap: rename out: then the rows are replaced inside of the table",
            )  # fmt: skip
        if standing.last is None:
            raise BadInputError(
                self._what, f"the table that is to be taken over has {told}", "drop them first, or name another table"
            )
        progress.note(f"{self._table} has {told}: its rows are replaced inside of it")
        return False

    def _extras(self, standing: Standing) -> list[str]:
        name = [self._table.schema, self._table.table]
        found = [
            f"the trigger {one[0]}" for one in self._run(
                "SELECT trigger_name FROM information_schema.triggers WHERE BINARY event_object_schema = %s "
                "AND BINARY event_object_table = %s", name,
            ).fetchall()
        ]  # fmt: skip
        found += [
            f"the foreign key {one[0]}" for one in self._run(
                "SELECT DISTINCT constraint_name FROM information_schema.key_column_usage WHERE referenced_table_name IS NOT NULL AND "
                "((BINARY table_schema = %s AND BINARY table_name = %s) OR "
                "(BINARY referenced_table_schema = %s AND BINARY referenced_table_name = %s))", name * 2,
            ).fetchall()
        ]  # fmt: skip
        found += [
            f"the index {one[0]}" for one in self._run(
                "SELECT DISTINCT index_name FROM information_schema.statistics WHERE BINARY table_schema = %s "
                "AND BINARY table_name = %s AND index_name <> 'PRIMARY'", name,
            ).fetchall()
        ]  # fmt: skip
        mapping = standing.last.last_mapping if standing.last else None
        if mapping is not None:
            ours = {column.name for column in mapping.columns}
            found += [f"the column {one}" for one in standing.columns if one not in ours]
        return found

    def rename(self, staging: TableName, work: Work, found: Described | None) -> None:
        """One statement puts the staged tables in their places; what was there is dropped afterwards.

        :raises TransientError: when somebody was faster; then all is as it was.
        """
        old = staging.beside(f"{staging.table}_old")
        pairs = [(self._table, old)] if found is not None else []
        pairs.append((staging, self._table))
        for child in work.mapping.children:
            there = self._child(child)
            pairs += [(child.beside(self._table), child.beside(old))] if there is not None else []
            pairs.append((child.beside(staging), child.beside(self._table)))
        if found is not None and found.comment:
            self._run(f"ALTER TABLE {staging.sql}{marked(self.mark_of(staging), found.comment)}")
        self._run(_rename(pairs))
        if found is not None and self.mark_of(old) != found.mark:
            self._run(_rename([(after, before) for before, after in reversed(pairs)]))
            raise TransientError(self._what, "another table came into its place meanwhile", "look at it, and try again")
        self.drop([after for _, after in pairs if after.table.startswith(old.table)])

    def _child(self, child: ChildTable) -> Described | None:
        """:raises BadInputError: when what has the child table's name is not ours."""
        name = child.beside(self._table)
        there = self.described(name)
        if there is not None and not there.mark:
            raise BadInputError(
                self._what, f"there is a table {name.table!r} that others made", "name the column of the set otherwise in the mapping"
            )  # fmt: skip
        return there

    def prepare(self, work: Work, found: Described, collation: str, mark: str) -> None:
        """Gives the existing table what the mapping asks for: columns, wider types, child tables.

        These commit by themselves: a copy that fails afterwards leaves a table that holds the same rows in wider columns.
        """
        there = set(found.columns)
        changes = [f"ADD COLUMN {_added(one)}" for one in work.evolution.added if one.name not in there]
        changes += [f"MODIFY COLUMN {one.definition('mysql')}" for one in work.evolution.widened if one.name in there]
        if changes:
            self._run(
                f"ALTER TABLE {self._table.sql} CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}, {', '.join(changes)}"
            )
        for child in work.mapping.children:
            if self._child(child) is None:
                self._run(create_child(child, self._table, collation) + marked(mark))

    def apply(self, staging: TableName, work: Work) -> tuple[int, int, int]:
        """Brings the staged rows into the table by the mode, in the transaction that was begun.

        :returns: rows that were inserted, updated, deleted.
        """
        mapping, mode, table = work.mapping, work.mode, self._table
        names = _names(mapping.columns)
        children = [(child, child.beside(table), child.beside(staging)) for child in mapping.children]
        changes = work.opened.manifest.window is not None
        puts = f" WHERE {quoted(CHANGE, 'mysql')} = 'put'" if changes else ""
        inserted = updated = deleted = 0
        if mode.name == "replace":
            deleted = self._do(f"DELETE FROM {table.sql}")  # noqa: S608  quoted
            for _, mine, _ in children:
                self._do(f"DELETE FROM {mine.sql}")  # noqa: S608  quoted
        elif mode.name != "append":
            on = _equal(mapping.columns, "t", "s")
            if mode.keep_existing:
                self._do(f"DELETE s FROM {staging.sql} s JOIN {table.sql} t ON {on}")
                for child, _, staged in children:
                    # its item is there already, so its members stay as they are
                    same = _equal(child.columns[:-1], "c", "s")
                    self._do(
                        f"DELETE c FROM {staged.sql} c LEFT JOIN {staging.sql} s ON {same} WHERE s.{_first(mapping.columns)} IS NULL"
                    )
            elif not mode.keep_absent and not changes:
                gone = f"LEFT JOIN {staging.sql} s ON {on} WHERE s.{_first(mapping.columns)} IS NULL"
                deleted = self._do(f"DELETE t FROM {table.sql} t {gone}")
            updated = self._do(
                f"DELETE t FROM {table.sql} t JOIN {staging.sql} s ON {on}{puts.replace('WHERE ', 'WHERE s.')}"
            )
            if changes:
                deleted = self._do(f"DELETE t FROM {table.sql} t JOIN {staging.sql} s ON {on}")
        inserted = self._do(f"INSERT INTO {table.sql} ({names}) SELECT {names} FROM {staging.sql}{puts}")  # noqa: S608  quoted
        for child, mine, staged in children:
            if mode.name not in ("replace", "append"):
                self._replace_members(child, mine, staging, mapping.columns)
            listed = _names(child.columns)
            self._do(f"INSERT INTO {mine.sql} ({listed}) SELECT {listed} FROM {staged.sql}")  # noqa: S608  quoted
        return (inserted, 0, 0) if mode.name == "replace" else (inserted - updated, updated, deleted)

    def _replace_members(
        self, child: ChildTable, mine: TableName, staging: TableName, columns: tuple[SqlColumn, ...]
    ) -> None:
        """Takes out the members of keys that were written, and of those that are no more."""
        same = _equal(child.columns[:-1], "c", "s")
        self._do(f"DELETE c FROM {mine.sql} c JOIN {staging.sql} s ON {same}")
        gone = f"LEFT JOIN {self._table.sql} s ON {same} WHERE s.{_first(columns)} IS NULL"
        self._do(f"DELETE c FROM {mine.sql} c {gone}")

    def _do(self, sql: str) -> int:
        return int(self._run(sql).rowcount)


def _rename(pairs: list[tuple[TableName, TableName]]) -> str:
    return "RENAME TABLE " + ", ".join(f"{before.sql} TO {after.sql}" for before, after in pairs)


def _added(column: SqlColumn) -> str:
    check = f" CHECK (json_valid({quoted(column.name, 'mysql')}))" if column.form in ("json", "rest") else ""
    return column.definition("mysql") + check


def _names(columns: Iterable[SqlColumn]) -> str:
    return ", ".join(quoted(column.name, "mysql") for column in columns)


def _first(columns: Iterable[SqlColumn]) -> str:
    return quoted(next(column.name for column in columns if column.key), "mysql")


def _equal(columns: Iterable[SqlColumn], left: str, right: str) -> str:
    names = [quoted(column.name, "mysql") for column in columns if column.key]
    return " AND ".join(f"{left}.{name} = {right}.{name}" for name in names)
