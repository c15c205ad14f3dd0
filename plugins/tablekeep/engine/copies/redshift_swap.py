"""The statements that bring staged rows into a table of Redshift, for one transaction. Pure.

Rows by key: what is gone is deleted, what differs is updated, what is new is inserted; what is the same is not touched, so that columns
that people have added keep their values. MERGE would write every row that matches, and tells no numbers apart. TRUNCATE is never used, for
it commits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tablekeep.engine.copies.mapping import SqlColumn
from tablekeep.engine.copies.modes import Mode
from tablekeep.engine.copies.names import TableName, quoted
from tablekeep.engine.copies.redshift_raw import plain_decimal

MAX_ADDED = 10
"""Columns that are added to a table as it is, one statement each; with more it is made anew."""
LONGEST = 70_000
"""Bytes of an UPDATE, below the 100 KB that all statements of a transaction may have (the service's limit is UNCONFIRMED)."""
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
    :ivar fresh: for `refill`, the table that takes the old one's place. :ivar columns: of the staging table, in its order.
    :ivar extra: columns of the table that people have added.
    """

    table: TableName
    rows: TableName
    key: tuple[str, ...]
    deletes: TableName | None = None
    children: tuple[Child, ...] = ()
    fresh: TableName | None = None
    columns: tuple[SqlColumn, ...] = ()
    extra: tuple[str, ...] = ()


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


def choose_way(exists: bool, ours: bool, mode: Mode, difference: Difference) -> Way:
    """How a load goes.

    :param ours: the table was made by us: columns that it has beside ours were added by people, and stay.
    """
    if not exists:
        return "new"
    added_only = not difference.changed and len(difference.missing) <= MAX_ADDED
    if mode.name == "replace":
        return "rows" if added_only and mode.swap == "rows" and (ours or not difference.extra) else "anew"
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
    rows, key, new = staged.rows, staged.key, _insert_rows(staged, into)
    if mode.name == "replace":
        return [*_children(staged, lambda one: [_all(one.table)]), _all(into), new]
    if mode.name == "append":
        return [*_children(staged, lambda one: []), replace(new, counts="inserted")]
    fresh = _insert_rows(staged, into, absent=True)
    if mode.keep_existing and not changes:
        return [*_new_members(staged, into), fresh]
    if staged.deletes is not None:
        gone = [_matching(into, staged.deletes, key, "deleted")]
        members = [rows, staged.deletes]
    else:
        gone = [] if mode.keep_absent or changes else [_absent(into, rows, key)]
        members = [rows]
    if gone and staged.deletes is None:
        steps = _children(staged, lambda one: [_all(one.table)])
    else:
        steps = _children(staged, lambda one: [_matching(one.table, source, key) for source in members])
    return [*steps, *gone, *_update(staged, into), fresh]


def _insert_rows(staged: Staged, into: TableName, *, absent: bool = False) -> Step:
    """Inserts the staged rows, or those whose key the table does not have."""
    rows = staged.rows
    if not staged.extra:
        return _insert_new(into, rows, staged.key, "inserted") if absent else _insert(into, rows)
    names = [quoted(column.name) for column in staged.columns]
    listed = ", ".join(f"{quoted(rows.table)}.{name}" for name in names)
    where = (
        f" WHERE NOT EXISTS (SELECT 1 FROM {into.sql} WHERE {_same_key(into, rows, staged.key)})"  # noqa: S608
        if absent
        else ""
    )
    sql = f"INSERT INTO {into.sql} ({', '.join(names)}) SELECT {listed} FROM {rows.sql}{where}"  # noqa: S608
    return Step(sql, "inserted" if absent else "")


def _update(staged: Staged, into: TableName) -> list[Step]:
    """Updates the rows that differ. Where that is too long for a statement, they are deleted, to be inserted again."""
    others = [column for column in staged.columns if column.name not in staged.key]
    if not others:
        return []
    old = quoted(into.table)
    sets = ", ".join(f"{quoted(one.name)} = s.{quoted(one.name)}" for one in others)
    same = " AND ".join(f"{old}.{quoted(name)} = s.{quoted(name)}" for name in staged.key)
    differs = " OR ".join(f"NOT {_equal(one, old)}" for one in others)
    sql = f"UPDATE {into.sql} SET {sets} FROM {staged.rows.sql} s WHERE {same} AND ({differs})"  # noqa: S608
    return (
        [Step(sql, "updated")]
        if len(sql.encode()) <= LONGEST
        else [_matching(into, staged.rows, staged.key, "updated")]
    )


def _equal(column: SqlColumn, old: str) -> str:
    """SQL of whether the two values are the same, NULL and NULL included. Documents are compared by their text."""
    name = quoted(column.name)
    one, other = f"{old}.{name}", f"s.{name}"
    pair = f"{one} = {other}"
    if column.form in ("json", "rest"):
        pair = f"JSON_SERIALIZE_TO_VARBYTE({one}) = JSON_SERIALIZE_TO_VARBYTE({other})"
    return f"NVL({pair}, {one} IS NULL AND {other} IS NULL)"


def _absent(table: TableName, source: TableName, key: Sequence[str]) -> Step:
    """Deletes the rows whose key the source does not have."""
    return Step(
        f"DELETE FROM {table.sql} WHERE NOT EXISTS (SELECT 1 FROM {source.sql} WHERE {_same_key(source, table, key)})",  # noqa: S608
        "deleted",
    )


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
    values = list[str]()
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
    values += [quoted(name) for name in had if name not in needed]  # people's own
    return f"INSERT INTO {fresh.sql} SELECT {', '.join(values)} FROM {table.sql}"  # noqa: S608
