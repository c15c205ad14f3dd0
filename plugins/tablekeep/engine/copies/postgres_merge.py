"""Staged rows → the target's rows, in PostgreSQL: one function a mode. All of it is part of one transaction, which readers do not see.

Rows are moved inside of the table, so its number, grants, indexes, views and triggers stay. Writers wait; readers see the old rows until
the commit and the new ones after it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tablekeep.engine.copies.mapping import ChildTable, Mapping, SqlColumn
from tablekeep.engine.copies.modes import Mode
from tablekeep.engine.copies.names import TableName, quoted
from tablekeep.engine.copies.postgres_stage import CHANGE, Stage
from tablekeep.engine.errors import BadInputError

Run = Callable[..., Any]
"""Executes SQL and gives the cursor."""


@dataclass
class Counts:
    """Rows that were written and deleted."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0


class Merge:
    """Brings staged rows into an existing table, whose columns are those of the mapping already.

    :param what: the action, for errors.
    """

    def __init__(self, run: Run, table: TableName, mapping: Mapping, stage: Stage, what: str) -> None:
        self._run, self._table, self._mapping, self._stage, self._what = run, table, mapping, stage, what
        self._all = _list(mapping.columns)
        self._key = [column for column in mapping.columns if column.key]
        self.counts = Counts()

    def delete_all(self) -> None:
        """The table's rows go; readers see them until the commit."""
        self.counts.deleted = self._count(f"DELETE FROM {self._table.sql}")  # noqa: S608  quoted, as all below
        for child, _ in self._children():
            self._run(f"DELETE FROM {child.beside(self._table).sql}")  # noqa: S608

    def replace(self, *, unique: bool) -> None:
        """The emptied table gets the staged rows.

        :param unique: it lets no key be there twice itself.
        """
        if not unique:
            self._index_staged()
        self.append()

    def append(self) -> None:
        """The staged rows are added."""
        self.counts.inserted = self._count(
            f"INSERT INTO {self._table.sql} ({self._all}) SELECT {self._all} FROM {self._stage.main.sql}"  # noqa: S608
        )
        for child, staged in self._children():
            self._insert_children(child, staged, "")

    def upsert(self, mode: Mode) -> None:
        """Staged rows are written by key; keys that are not staged are deleted, unless the mode keeps them. Rows that are equal stay."""
        target, staged = self._table.sql, self._stage.main.sql
        self._index_staged()
        if mode.keep_existing:
            for child, of in self._children():
                self._insert_children(
                    child, of, f" WHERE NOT EXISTS (SELECT FROM {target} t WHERE {_same(self._key, 's', 't')})"
                )
        else:
            self._members(everything=not mode.keep_absent)
        if not mode.keep_absent:
            self.counts.deleted = self._count(
                f"DELETE FROM {target} t WHERE NOT EXISTS (SELECT FROM {staged} s WHERE {_same(self._key, 's', 't')})"  # noqa: S608
            )
        if not mode.keep_existing:
            self._update("")
        self._insert_new("")

    def changes(self) -> None:
        """Staged puts are written by key, and staged deletions deleted."""
        target, staged, put = self._table.sql, self._stage.main.sql, f"s.{quoted(CHANGE)} = 'put'"
        self._index_staged()
        self._members(everything=False)
        self.counts.deleted = self._count(
            f"DELETE FROM {target} t USING {staged} s WHERE {_same(self._key, 's', 't')} AND s.{quoted(CHANGE)} = 'delete'"  # noqa: S608
        )
        self._update(f" AND {put}")
        self._insert_new(f" AND {put}")

    def missing(self, *, changes: bool) -> int:
        """Staged keys that the table has not, and staged deletions that it has still: a trigger or a rule of it has kept them so."""
        target, staged = self._table.sql, self._stage.main.sql
        there = f"EXISTS (SELECT FROM {target} t WHERE {_same(self._key, 's', 't')})"
        wrong = f"{there} = (s.{quoted(CHANGE)} = 'delete')" if changes else f"NOT {there}"
        (found,) = self._run(f"SELECT count(*) FROM {staged} s WHERE {wrong}").fetchone()  # noqa: S608
        return int(found)

    def _index_staged(self) -> None:
        """The key of the staged rows, unique: of two rows of one key nobody could say which is written."""
        names = _list(self._key)
        self._run(f"ALTER TABLE {self._stage.main.sql} ADD PRIMARY KEY ({names})")
        self._run(f"ANALYZE {self._stage.main.sql}")

    def _update(self, condition: str) -> None:
        others = [column for column in self._mapping.columns if not column.key]
        if not others:
            return
        new, old = (", ".join(f"{alias}.{quoted(column.name)}" for column in others) for alias in ("s", "t"))
        self.counts.updated = self._count(
            f"UPDATE {self._table.sql} t SET ({_list(others)}) = ROW({new}) FROM {self._stage.main.sql} s "  # noqa: S608
            f"WHERE {_same(self._key, 's', 't')} AND ROW({old}) IS DISTINCT FROM ROW({new}){condition}"
        )

    def _insert_new(self, condition: str) -> None:
        names = ", ".join(f"s.{quoted(column.name)}" for column in self._mapping.columns)
        self.counts.inserted = self._count(
            f"INSERT INTO {self._table.sql} ({self._all}) SELECT {names} FROM {self._stage.main.sql} s "  # noqa: S608
            f"WHERE NOT EXISTS (SELECT FROM {self._table.sql} t WHERE {_same(self._key, 's', 't')}){condition}"
        )

    def _members(self, *, everything: bool) -> None:
        """The members of every staged key are those that are staged; with `everything` those of other keys go."""
        for child, staged in self._children():
            name, columns = child.beside(self._table).sql, child.columns
            whose = (
                ""
                if everything
                else f"EXISTS (SELECT FROM {self._stage.main.sql} k WHERE {_same(self._key, 'k', 't')}) AND "
            )
            self._run(f"ALTER TABLE {staged.sql} ADD PRIMARY KEY ({_list(columns)})")
            self._run(f"ANALYZE {staged.sql}")
            self._run(
                f"DELETE FROM {name} t WHERE {whose}NOT EXISTS (SELECT FROM {staged.sql} s WHERE {_same(columns, 's', 't')})"  # noqa: S608
            )
            self._insert_children(
                child, staged, f" WHERE NOT EXISTS (SELECT FROM {name} t WHERE {_same(columns, 's', 't')})"
            )

    def _insert_children(self, child: ChildTable, staged: TableName, condition: str) -> None:
        names = _list(child.columns)
        self._run(
            f"INSERT INTO {child.beside(self._table).sql} ({names}) SELECT {names} FROM {staged.sql} s{condition}"  # noqa: S608
        )

    def _children(self) -> list[tuple[ChildTable, TableName]]:
        return list(zip(self._mapping.children, self._stage.children, strict=True))

    def _count(self, sql: str) -> int:
        return int(self._run(sql).rowcount)


def reconcile(
    run: Run,
    table: TableName,
    staged: TableName,
    columns: Sequence[SqlColumn],
    widened: set[str],
    *,
    empty: bool,
    what: str,
) -> None:
    """Gives the table the columns that the mapping wants. Those that it has beyond them stay, and are NULL in new rows.

    :param widened: names of columns whose type may change. :param empty: its rows were deleted, so any type may.
    :raises BadInputError: for a column of the same name and another type.
    """
    have, want = column_types(run, table), column_types(run, staged)
    changes = list[str]()
    for column in columns:
        name, kind = quoted(column.name), want[column.name]
        if column.name not in have:
            changes.append(f"ADD COLUMN {name} {kind}")
        elif have[column.name] != kind:
            if not empty and column.name not in widened:
                raise BadInputError(
                    what,
                    f"the table's column {column.name!r} is {have[column.name]}, and the mapping's is {kind}",
                    "give the column that type in the mapping, or alter the table",
                )
            changes.append(f"ALTER COLUMN {name} TYPE {kind} USING {'NULL' if empty else f'{name}::{kind}'}")
    if changes:
        run(f"ALTER TABLE {table.sql} {', '.join(changes)}")


def column_types(run: Run, table: TableName) -> dict[str, str]:
    """A table's columns with their types, as PostgreSQL writes them."""
    rows = run(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [table.sql],
    )
    return dict(rows.fetchall())


def _list(columns: Sequence[SqlColumn]) -> str:
    return ", ".join(quoted(column.name) for column in columns)


def _same(columns: Sequence[SqlColumn], one: str, other: str) -> str:
    """That two rows have the same key."""
    return " AND ".join(f"{one}.{quoted(column.name)} = {other}.{quoted(column.name)}" for column in columns)
