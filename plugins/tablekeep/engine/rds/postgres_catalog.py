"""A table of PostgreSQL as its catalog tells it, and how each type becomes an attribute."""

from typing import Any

from tablekeep.engine.clock import utc_text
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.items.layout import NumberKind, decimal_of
from tablekeep.engine.items.rows import Kind
from tablekeep.engine.rds.schema import VERSION, SourceColumn, SqlTable

INTEGERS = ("int2", "int4", "int8")
_LOGICAL = {
    "date": "date", "time": "time", "timestamp": "timestamp", "timestamptz": "timestamptz", "float4": "float4", "float8": "float8",
    "uuid": "uuid", "json": "json", "jsonb": "json",
}  # fmt: skip

FIND = """
SELECT c.oid::bigint, c.relkind::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = %s"""

_TABLE = """
SELECT c.oid::bigint AS oid, (SELECT oid::bigint FROM pg_catalog.pg_database WHERE datname = current_database()) AS database_oid,
       c.relkind::text AS kind, c.relpersistence::text AS persistence, c.reltuples::bigint AS estimated_rows,
       CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_relation_size(c.oid) END AS bytes,
       pg_catalog.obj_description(c.oid, 'pg_class') AS comment, c.reloptions AS options,
       CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END AS partition_key,
       pg_catalog.pg_get_userbyid(c.relowner) AS owner
  FROM pg_catalog.pg_class c WHERE c.oid = %s"""

_COLUMNS = """
WITH RECURSIVE bare(column_number, oid, typmod) AS (
  SELECT attnum, atttypid, atttypmod FROM pg_catalog.pg_attribute WHERE attrelid = %(oid)s AND attnum > 0 AND NOT attisdropped
  UNION ALL
  SELECT column_number, t.typbasetype, CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE bare.typmod END
    FROM bare JOIN pg_catalog.pg_type t ON t.oid = bare.oid WHERE t.typtype = 'd')
SELECT a.attname AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, NOT a.attnotnull AS nullable,
       pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS "default", a.attidentity::text AS identity, a.attgenerated::text AS generated,
       CASE WHEN a.attcollation <> t.typcollation THEN c.collname END AS collation,
       pg_catalog.col_description(a.attrelid, a.attnum) AS comment,
       CASE WHEN b.typnamespace = 'pg_catalog'::regnamespace THEN b.typname::text ELSE '' END AS base, bare.typmod AS typmod,
       pg_catalog.format_type(a.atttypid, -1) AS cast_to
  FROM pg_catalog.pg_attribute a
  JOIN bare ON bare.column_number = a.attnum
  JOIN pg_catalog.pg_type b ON b.oid = bare.oid AND b.typtype <> 'd'
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation
 WHERE a.attrelid = %(oid)s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""

_INDEXES = """
SELECT i.indexrelid::regclass::text AS name, pg_catalog.pg_get_indexdef(i.indexrelid) AS definition, i.indisprimary AS "primary",
       i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AS "key",
       ARRAY(SELECT a.attname::text FROM unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY k(attnum, n)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY k.n) AS columns
  FROM pg_catalog.pg_index i WHERE i.indrelid = %s ORDER BY i.indisprimary DESC, 1"""

_CONSTRAINTS = """
SELECT conname AS name, contype::text AS kind, pg_catalog.pg_get_constraintdef(oid) AS definition
  FROM pg_catalog.pg_constraint WHERE conrelid = %s ORDER BY 1"""

_ENUMS = """
SELECT pg_catalog.format_type(e.enumtypid, -1) AS type, array_agg(e.enumlabel::text ORDER BY e.enumsortorder) AS labels
  FROM pg_catalog.pg_enum e WHERE e.enumtypid IN (SELECT atttypid FROM pg_catalog.pg_attribute WHERE attrelid = %s)
 GROUP BY 1, e.enumtypid"""

_SERVER = """
SELECT current_setting('server_version') AS version, current_setting('server_encoding') AS encoding, current_database()::text AS database,
       pg_is_in_recovery() AS standby, clock_timestamp() AS read_at"""


def describe(connection: Any, oid: int, name: str, address: str) -> SqlTable:
    """The table, in the connection's transaction.

    :param connection: whose rows are dicts.
    :raises BadInputError: for a table without columns.
    """
    table = connection.execute(_TABLE, [oid]).fetchone()
    found = connection.execute(_COLUMNS, {"oid": oid}).fetchall()
    if not found:
        raise BadInputError(f"reading {address}", "it has no columns", "there is nothing to back up")
    indexes = connection.execute(_INDEXES, [oid]).fetchall()
    columns = tuple(_column(one) for one in found)
    server = connection.execute(_SERVER).fetchone()
    document = {
        "version": VERSION,
        "service": "postgres",
        "address": address,
        "read_at": utc_text(server.pop("read_at")),
        "server": server,
        "table": table,
        "columns": [{name: one[name] for name in one if name not in ("base", "typmod", "cast_to")} for one in found],
        "indexes": indexes,
        "constraints": connection.execute(_CONSTRAINTS, [oid]).fetchall(),
        "enums": connection.execute(_ENUMS, [oid]).fetchall(),
    }
    never_null = {one.name for one in columns if not one.nullable}
    keys = tuple(tuple(one["columns"]) for one in indexes if one["key"] and set(one["columns"]) <= never_null)
    rows = max(0, table["estimated_rows"]) or (table["bytes"] or 0) // 100
    return SqlTable("postgres", name, address, f"{table['database_oid']}-{oid}", columns, keys, rows, document)


def _column(one: dict[str, Any]) -> SourceColumn:
    base, scale = str(one["base"]), 0
    kind: Kind = "S"
    number: NumberKind | None = None
    if base in INTEGERS or base == "oid":
        kind, number = "N", "int64"
    elif base == "numeric":
        kind = "N"
        number, scale = _numeric(int(one["typmod"]))
    elif base == "bool":
        kind = "BOOL"
    elif base == "bytea":
        kind = "B"
    return SourceColumn(
        one["name"], one["type"], base, kind, one["nullable"], _LOGICAL.get(base), number, scale, one["cast_to"]
    )


def _numeric(typmod: int) -> tuple[NumberKind | None, int]:
    """Kind of number and scale of `numeric(p, s)`: the modifier holds both (PostgreSQL, src/backend/utils/adt/numeric.c)."""
    if typmod < 0:
        return None, 0
    precision, scale = (typmod - 4) >> 16 & 0xFFFF, (typmod - 4) & 0x7FF
    return decimal_of(precision, scale - 2048 if scale >= 1024 else scale)
