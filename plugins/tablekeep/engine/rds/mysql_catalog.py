"""A table of MySQL or MariaDB as information_schema tells it, and how each type becomes an attribute."""

import re
from typing import Any

from tablekeep.engine.errors import BadInputError
from tablekeep.engine.items.layout import NumberKind, decimal_of
from tablekeep.engine.items.rows import Kind
from tablekeep.engine.rds.schema import VERSION, SourceColumn, SqlTable

BINARY = (
    "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "geometry", "point", "linestring", "polygon", "multipoint",
    "multilinestring", "multipolygon", "geometrycollection", "geomcollection", "vector",
)  # fmt: skip
"""Types that come as bytes; those of geometry with their reference system before the well-known binary form."""
SNAPSHOTS = ("innodb", "rocksdb", "tokudb")
"""Storage engines with consistent reads."""
_INTEGERS = ("tinyint", "smallint", "mediumint", "int", "bigint")
_LOGICAL = {
    "date": "date", "datetime": "timestamp", "timestamp": "timestamptz", "time": "time", "float": "float4", "double": "float8",
    "uuid": "uuid", "json": "json",
}  # fmt: skip
BASES = {"timestamp": "utc"}
"""`timestamp` is a moment here, and local time in PostgreSQL."""

_TABLE = """
SELECT TABLE_TYPE AS kind, ENGINE AS engine, TABLE_ROWS AS estimated_rows, AVG_ROW_LENGTH AS bytes_a_row, CREATE_TIME AS created,
       TABLE_COLLATION AS collation, TABLE_COMMENT AS comment, CREATE_OPTIONS AS options
  FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"""
_COLUMNS = """
SELECT COLUMN_NAME AS name, COLUMN_TYPE AS type, DATA_TYPE AS base, IS_NULLABLE AS nullable, COLUMN_DEFAULT AS `default`, EXTRA AS extra,
       CHARACTER_SET_NAME AS charset, COLLATION_NAME AS collation, COLUMN_COMMENT AS comment, NUMERIC_PRECISION AS digits,
       NUMERIC_SCALE AS scale, DATETIME_PRECISION AS fraction, GENERATION_EXPRESSION AS expression
  FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION"""
_INDEXES = """
SELECT INDEX_NAME AS name, NON_UNIQUE AS not_unique, COLUMN_NAME AS `column`, SUB_PART AS bytes, INDEX_TYPE AS type
  FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s
 ORDER BY INDEX_NAME = 'PRIMARY' DESC, INDEX_NAME, SEQ_IN_INDEX"""
_SERVER = """
SELECT VERSION() AS version, @@version_comment AS distribution, @@lower_case_table_names AS lower_case_names,
       CAST(UTC_TIMESTAMP(3) AS CHAR) AS read_at"""


def describe(cursor: Any, database: str, table: str, quoted: str, name: str, address: str) -> SqlTable:
    """The table, in the cursor's transaction.

    :param cursor: whose rows are dicts. :param quoted: database and table in SQL.
    :raises BadInputError: there is no such table, it is a view, or its storage engine has no consistent reads.
    """
    found = _ask(cursor, _TABLE, database, table)
    what = f"reading {address}"
    if not found:
        raise BadInputError(what, "there is no such table", "write it as database.table")
    told = found[0]
    if told["kind"] not in ("BASE TABLE", "SYSTEM VERSIONED"):
        raise BadInputError(what, f"it is a {str(told['kind']).lower()}", "name a table")
    if str(told["engine"]).lower() not in SNAPSHOTS:
        raise BadInputError(
            what,
            f"its storage engine {told['engine']} has no consistent reads, so rows of different times would stand side by side",
            "ALTER TABLE … ENGINE=InnoDB",
        )
    columns = _ask(cursor, _COLUMNS, database, table)
    indexes = _ask(cursor, _INDEXES, database, table)
    cursor.execute(f"SHOW CREATE TABLE {quoted}")
    definition = next(value for key, value in cursor.fetchone().items() if key.lower() == "create table")
    cursor.execute(_SERVER)
    server = cursor.fetchone()
    read_at = server.pop("read_at")
    document = {
        "version": VERSION,
        "service": "mysql",
        "address": address,
        "read_at": f"{read_at.replace(' ', 'T')}Z",
        "server": server,
        "table": told,
        "columns": [one | {"nullable": one["nullable"] == "YES"} for one in columns],
        "indexes": indexes,
        "definition": definition,
    }
    return SqlTable(
        "mysql", name, address, f"created-{str(told['created']).replace(' ', 'T')}", tuple(_column(one) for one in columns),
        _keys(columns, indexes), int(told["estimated_rows"] or 0), document,
    )  # fmt: skip


def _ask(cursor: Any, query: str, *values: str) -> list[dict[str, Any]]:
    cursor.execute(query, values)
    return list(cursor.fetchall())


def _keys(columns: list[dict[str, Any]], indexes: list[dict[str, Any]]) -> tuple[tuple[str, ...], ...]:
    """The unique keys of columns that are never NULL; the primary one comes first. A column of None is an expression."""
    never_null = {one["name"] for one in columns if one["nullable"] != "YES"}
    found: dict[str, list[str | None]] = {}
    for one in indexes:
        if str(one["not_unique"]) == "0":
            found.setdefault(one["name"], []).append(one["column"])
    return tuple(tuple(str(name) for name in key) for key in found.values() if set(key) <= never_null)


def _column(one: dict[str, Any]) -> SourceColumn:
    name, sql_type, base = one["name"], one["type"], str(one["base"]).lower()
    kind: Kind = "S"
    number: NumberKind | None = None
    scale, read = 0, None
    if base in _INTEGERS:
        # what PostgreSQL's boolean is to others, tinyint(1) is by habit alone: it holds 2 as well
        kind, number = "N", "decimal" if base == "bigint" and "unsigned" in sql_type else "int64"
    elif base == "decimal":
        kind = "N"
        number, scale = decimal_of(int(one["digits"]), int(one["scale"]))
    elif base in BINARY:
        kind = "B"
    if base == "float":
        read = "{} + 0e0"  # by itself it is shown with six digits
    return SourceColumn(
        name,
        sql_type,
        BASES.get(base, base),
        kind,
        one["nullable"] == "YES",
        _LOGICAL.get(base),
        number,
        scale,
        read=read,
    )


def bits(sql_type: str) -> int:
    """How many bits `bit(5)` has."""
    found = re.search(r"\((\d+)\)", sql_type)
    return int(found[1]) if found else 1
