"""The statements that bring staged rows into a table of Redshift, for one transaction. Pure.

Rows are replaced by DELETE and INSERT, the way that Redshift's guide has for rows whose columns are all replaced ("Performing a merge
operation by replacing existing rows"); MERGE would name each column three times, in statements of at most 100 KB. TRUNCATE is never used,
for it commits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tablekeep.engine.copies.mapping import SqlColumn
from tablekeep.engine.copies.modes import Mode
from tablekeep.engine.copies.names import TableName, quoted
from tablekeep.engine.copies.redshift_raw import plain_decimal

MAX_ADDED = 10
"""Columns that are added to a table as it is, one statement each; with more it is made anew."""
Counted = Literal["", "inserted", "updated", "deleted"]
Way = Literal["new", "rows", "anew", "refill"]
"""How the staged rows come into place: the staging table becomes the table, which was not there (`new`) or goes (`anew`) · rows inside of
the table (`rows`) · a table with other columns takes the old rows and then its place (`refill`)."""


@dataclass(frozen=True, slots=True)
class Step:
    """One statement.

    :ivar counts: what its number of rows is.
    """

    sql: str
    counts: Counted = ""


@dataclass(frozen=True)
class Child:
    """The table of a set's members, and where its rows are staged.

    :ivar there: the table exists.
    """

    table: TableName
    staging: TableName
    there: bool


@dataclass(frozen=True)
class Staged:
    """What is staged for one load.

    :ivar rows: the staging table of rows. :ivar deletes: of keys that are deleted, of a set of changes.
    :ivar fresh: for `refill`, the table that takes the old one's place.
    """

    table: TableName
    rows: TableName
    key: tuple[str, ...]
    deletes: TableName | None = None
    children: tuple[Child, ...] = ()
    fresh: TableName | None = None


@dataclass(frozen=True)
class Difference:
    """How the columns that a load needs differ from those that the table has; names and types as the catalog has them.

    :ivar missing: that the table lacks. :ivar extra: that only it has. :ivar changed: of another type.
    """

    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    @staticmethod
    def of(have: Sequence[tuple[str, str]], need: Sequence[tuple[str, str]]) -> "Difference":
        had, needed = dict(have), dict(need)
        return Difference(
            tuple(name for name in needed if name not in had),
            tuple(name for name in had if name not in needed),
            tuple(name for name, kind in needed.items() if name in had and had[name] != kind),
        )

    @property
    def none(self) -> bool:
        return not (self.missing or self.extra or self.changed)


def choose_way(exists: bool, mode: Mode, difference: Difference) -> Way:
    """How a load goes.

    :raises ValueError: for columns of the table that the mapping does not know, where the old rows stay.
    """
    if not exists:
        return "new"
    added_only = not (difference.extra or difference.changed) and len(difference.missing) <= MAX_ADDED
    if mode.name == "replace":
        return "rows" if added_only and mode.swap == "rows" else "anew"
    if difference.extra:
        raise ValueError(f"the table has columns that the mapping does not know: {', '.join(difference.extra[:5])}")
    return "rows" if added_only else "refill"


def swap_steps(way: Way, mode: Mode, staged: Staged, added: Sequence[SqlColumn], *, changes: bool) -> list[Step]:
    """From the staging tables to the table; the staging tables are gone afterwards.

    :param added: columns that the table gets. :param changes: the set is one of changes.
    """
    table = staged.table
    if way in ("new", "anew"):
        steps = [Step(f"DROP TABLE {table.sql}")] if way == "anew" else []
        steps += [Step(f"ALTER TABLE {staged.rows.sql} RENAME TO {quoted(table.table)}")]
        children = _children_anew(staged)
        return [*steps, *children, *_dropped([staged.deletes])]
    into = staged.fresh if way == "refill" and staged.fresh is not None else table
    steps = (
        [Step(f"ALTER TABLE {table.sql} ADD COLUMN {_nullable(column)}") for column in added] if way == "rows" else []
    )
    steps += _rows_steps(mode, staged, into, changes=changes)
    if way == "refill":
        steps += [Step(f"DROP TABLE {table.sql}"), Step(f"ALTER TABLE {into.sql} RENAME TO {quoted(table.table)}")]
    return [*steps, *_dropped([staged.rows, staged.deletes, *(one.staging for one in staged.children if one.there)])]


def _nullable(column: SqlColumn) -> str:
    return f"{quoted(column.name)} {column.sql_type}"


def _dropped(tables: Sequence[TableName | None]) -> list[Step]:
    found = [table.sql for table in tables if table is not None]
    return [Step(f"DROP TABLE {', '.join(found)}")] if found else []


def _children_anew(staged: Staged) -> list[Step]:
    steps = [Step(f"DROP TABLE {one.table.sql}") for one in staged.children if one.there]
    return steps + [
        Step(f"ALTER TABLE {one.staging.sql} RENAME TO {quoted(one.table.table)}") for one in staged.children
    ]


def _rows_steps(mode: Mode, staged: Staged, into: TableName, *, changes: bool) -> list[Step]:
    """Inside of a table that exists. What the children need of the old rows comes before these change."""
    rows, key = staged.rows, staged.key
    if mode.name == "replace":
        return [*_children(staged, lambda one: [_all(one.table)]), Step(f"DELETE FROM {into.sql}"), _insert(into, rows)]  # noqa: S608
    if mode.name == "append":
        return [*_children(staged, lambda one: []), _insert(into, rows, "inserted")]
    if mode.keep_existing and not changes:
        return [*_new_members(staged, into), _insert_new(into, rows, key, "inserted")]
    absent = not (mode.keep_absent or changes)
    steps = list[Step]()
    if absent:  # what is left after the keys of the set are deleted is absent from it
        steps += _children(staged, lambda one: [_all(one.table)])
    else:
        gone = [rows, *([staged.deletes] if staged.deletes is not None else [])]
        steps += _children(staged, lambda one: [_matching(one.table, source, key) for source in gone])
    steps.append(_matching(into, rows, key, "updated"))
    if staged.deletes is not None:
        steps.append(_matching(into, staged.deletes, key, "deleted"))
    if absent:
        steps.append(Step(f"DELETE FROM {into.sql}", "deleted"))  # noqa: S608  names of ours and quoted
    return [*steps, _insert(into, rows)]


def _children(staged: Staged, before: Callable[[Child], list[Step]]) -> list[Step]:
    """Of each child what goes first, and then its staged members."""
    steps = list[Step]()
    for one in staged.children:
        if one.there:
            steps += [*before(one), _insert(one.table, one.staging)]
        else:
            steps.append(Step(f"ALTER TABLE {one.staging.sql} RENAME TO {quoted(one.table.table)}"))
    return steps


def _new_members(staged: Staged, into: TableName) -> list[Step]:
    """Members of keys that the table does not have yet."""
    steps = list[Step]()
    for one in staged.children:
        if one.there:
            steps.append(_insert_new(one.table, one.staging, staged.key, "", of=into))
        else:
            steps += [
                _matching(one.staging, into, staged.key),
                Step(f"ALTER TABLE {one.staging.sql} RENAME TO {quoted(one.table.table)}"),
            ]
    return steps


def _all(table: TableName) -> Step:
    return Step(f"DELETE FROM {table.sql}")  # noqa: S608  names of ours and quoted


def _insert(into: TableName, source: TableName, counts: Counted = "") -> Step:
    return Step(f"INSERT INTO {into.sql} SELECT * FROM {source.sql}", counts)  # noqa: S608


def _same_key(one: TableName, other: TableName, key: Sequence[str]) -> str:
    return " AND ".join(f"{quoted(one.table)}.{quoted(name)} = {quoted(other.table)}.{quoted(name)}" for name in key)


def _insert_new(
    into: TableName, source: TableName, key: Sequence[str], counts: Counted, of: TableName | None = None
) -> Step:
    """Rows of `source` whose key `of` (the table itself, when not given) does not have."""
    present = of or into
    return Step(
        f"INSERT INTO {into.sql} SELECT {quoted(source.table)}.* FROM {source.sql} WHERE NOT EXISTS "  # noqa: S608
        f"(SELECT 1 FROM {present.sql} WHERE {_same_key(present, source, key)})",
        counts,
    )


def _matching(table: TableName, source: TableName, key: Sequence[str], counts: Counted = "") -> Step:
    return Step(f"DELETE FROM {table.sql} USING {source.sql} WHERE {_same_key(table, source, key)}", counts)  # noqa: S608


def refill_sql(
    fresh: TableName,
    table: TableName,
    columns: Sequence[SqlColumn],
    have: Sequence[tuple[str, str]],
    need: Sequence[tuple[str, str]],
) -> str:
    """Takes the rows of a table into one with more or wider columns.

    :param columns: of `fresh`, in its order. :param have, need: names and types of both, from the catalog.
    """
    had, needed = dict(have), dict(need)
    values = []
    for column in columns:
        name = column.name.lower()
        if name not in had:
            values.append(f"NULL::{column.sql_type}")
        elif had[name] == needed[name]:
            values.append(quoted(column.name))
        elif column.form == "number" and had[name].startswith("numeric") and not had[name].endswith(",0)"):
            values.append(plain_decimal(quoted(column.name)))
        else:
            values.append(f"{quoted(column.name)}::{column.sql_type}")
    return f"INSERT INTO {fresh.sql} SELECT {', '.join(values)} FROM {table.sql}"  # noqa: S608
