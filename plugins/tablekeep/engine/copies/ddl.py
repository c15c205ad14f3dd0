"""The DDL of a mapping. The targets make their tables with it, and `tablekeep plan copy` prints it."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from tablekeep.engine.clock import utc_text
from tablekeep.engine.copies.dialects import Dialect
from tablekeep.engine.copies.mapping import ChildTable, Mapping, SqlColumn
from tablekeep.engine.copies.names import TableName, quoted
from tablekeep.engine.copies.sent import Reject

REJECTS = "rejects"
"""The reject table is `<table>__rejects`."""
_REJECT_COLUMNS = (
    ("backup_id", "varchar(64)"), ("key_hash", "char(64)"), ("column_name", "varchar(255)"), ("reason", "varchar(255)"),
    ("rejected_at", "timestamptz"),
)  # fmt: skip
_TAIL: dict[Dialect, str] = {
    "postgres": "",
    "redshift": "",
    "mysql": " CHARACTER SET utf8mb4 COLLATE {collation}",
}
"""MySQL compares text without regard to case by default, and then `a` and `A` were one key."""
COLLATION = "utf8mb4_0900_bin"
"""MySQL's that regards case and spaces at the end; MariaDB calls its own `utf8mb4_nopad_bin`."""


def create_table(
    name: TableName,
    columns: Iterable[SqlColumn],
    *,
    words: str = "TABLE",
    key: Iterable[str] = (),
    more: Iterable[str] = (),
    collation: str = COLLATION,
) -> str:
    """CREATE TABLE.

    :param words: `UNLOGGED TABLE` and the like. :param key: names of the primary key's columns; none when empty.
    :param more: further columns, as in SQL. :param collation: of MySQL's text.
    """
    dialect = name.dialect
    columns = tuple(columns)
    lines = [*(one.definition(dialect) for one in columns), *more]
    if dialect == "mysql":
        lines += [f"CHECK (json_valid({quoted(one.name, dialect)}))" for one in columns if one.form in ("json", "rest")]
    names = ", ".join(quoted(one, dialect) for one in key)
    if names:
        lines.append(f"PRIMARY KEY ({names})")
    inside = ",\n  ".join(lines)
    return f"CREATE {words} {name.sql} (\n  {inside}\n){_TAIL[dialect].format(collation=collation)}"


def table_key(mapping: Mapping) -> list[str]:
    """The primary key of the target: the mapping's, with the set's id where sets are appended. Redshift's binds nobody, so it has none."""
    if mapping.dialect == "redshift":
        return []
    return [*mapping.key, *([mapping.stamp.name] if mapping.stamp is not None else [])]


def create_statements(mapping: Mapping, table: TableName) -> list[str]:
    """All tables of a mapping: the target, and those of sets."""
    statements = [create_table(table, mapping.columns, key=table_key(mapping))]
    return [*statements, *(create_child(child, table) for child in mapping.children)]


def create_child(child: ChildTable, table: TableName, collation: str = COLLATION) -> str:
    """The table of a set's members beside `table`."""
    names, more = [one.name for one in child.columns], list[str]()
    if table.dialect == "redshift":
        names = []
    elif child.member.sql_type in ("longtext", "longblob"):  # which no index of MySQL takes whole
        more = [f"KEY ({', '.join(quoted(one, table.dialect) for one in names[:-1])})"]
        names = []
    return create_table(child.beside(table), child.columns, key=names, more=more, collation=collation)


def rejects_of(table: TableName) -> TableName:
    """The table of misfits beside a target."""
    return table.beside(f"{table.table}__{REJECTS}")


def create_rejects(table: TableName) -> str:
    """Makes the reject table, if it is missing."""
    kinds = {"timestamptz": "datetime(6)"} if table.dialect == "mysql" else {}
    columns = ", ".join(f"{quoted(name, table.dialect)} {kinds.get(kind, kind)}" for name, kind in _REJECT_COLUMNS)
    return f"CREATE TABLE IF NOT EXISTS {rejects_of(table).sql} ({columns}){_TAIL[table.dialect].format(collation='utf8mb4_bin')}"


REJECTS_AT_ONCE = 300
"""Lines of one INSERT, which keeps it below the 100 KB of a statement of Redshift's Data API."""


def reject_statements(
    table: TableName, backup_id: str, rejects: Sequence[Reject], now: datetime, literal: Callable[[str], str]
) -> list[str]:
    """Puts misfits into the reject table, which is made where it is missing; earlier lines of the same set go.

    :param literal: writes a text as SQL.
    """
    name, names = rejects_of(table).sql, ", ".join(quoted(one, table.dialect) for one, _ in _REJECT_COLUMNS)
    moment = utc_text(now).removesuffix("Z").replace("T", " ") + ("" if table.dialect == "mysql" else "+00")
    statements = [
        create_rejects(table),
        f"DELETE FROM {name} WHERE {quoted('backup_id', table.dialect)} = {literal(backup_id)}",  # noqa: S608  quoted
    ]
    for start in range(0, len(rejects), REJECTS_AT_ONCE):
        rows = ", ".join(
            f"({', '.join(literal(text) for text in (backup_id, one.key, one.column[:255], one.reason[:255], moment))})"
            for one in rejects[start : start + REJECTS_AT_ONCE]
        )
        statements.append(f"INSERT INTO {name} ({names}) VALUES {rows}")  # noqa: S608
    return statements
