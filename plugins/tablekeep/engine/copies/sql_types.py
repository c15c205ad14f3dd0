"""What the columns of a SQL table were in their own database, as `table.json` of its backup tells, and what they become in another.

A backup of files tells the types that were declared for them, in words of no database.
From MySQL to Redshift the table is AWS Data Pipeline's (Developer Guide, "Full copy of RDS MySQL table to Amazon Redshift"), but for
binary columns: its VARCHAR cannot hold bytes that are no text, so they are VARBYTE.
"""

import re
from typing import Any

from tablekeep.engine.copies.dialects import VARCHAR_BYTES, Dialect
from tablekeep.engine.copies.kinds import Kind, parse_kind

BYTES_A_CHARACTER = 4
"""A length in characters becomes one in bytes: UTF-8 has four at most."""
_TYPE = re.compile(r"([a-z ]+?)\s*(?:\((\d+)(?:,(-?\d+))?\))?((?: [a-z ]+)?)\Z")
_INTEGERS = {
    "tinyint": "smallint", "smallint": "smallint", "mediumint": "integer", "int": "integer", "integer": "integer", "bigint": "bigint",
}  # fmt: skip
_UNSIGNED = {"smallint": "integer", "int": "bigint", "integer": "bigint"}
"""Where one bit more does not fit; `bigint unsigned` fits no integer."""
_FLOATS = {"float": "real", "real": "real", "double": "double", "double precision": "double"}
_CHARACTERS = ("char", "varchar", "character", "character varying")
_REDSHIFT = {
    "boolean": "boolean", "tinytext": "varchar(1020)", "enum": "varchar(510)", "set": "varchar(510)", "date": "date",
    "datetime": "timestamp", "timestamp": "timestamp", "time": "varchar(40)", "year": "varchar(16)", "bit": "varchar(64)",
}  # fmt: skip
_MYSQL_BOOLEAN = "tinyint(1)"
"""MySQL's BOOL and BOOLEAN are names for it."""


def told_kinds(document: dict[str, Any], dialect: Dialect, overrides: dict[str, str]) -> dict[str, Kind]:
    """By attribute what its column becomes, for those of which the SQL type tells it; the others are derived from their values.

    :param document: a set's `table.json`. :param overrides: by source type, `tinyint(1)` or `enum`, the kind instead.
    """
    service = str(document.get("service"))
    found: dict[str, Kind] = {}
    for column in document.get("columns", ()) if service in ("postgres", "mysql", "s3") else ():
        sql_type = str(column["type"]).lower()
        written = overrides.get(sql_type) or overrides.get(sql_type.partition("(")[0].strip())
        kind = parse_kind(written or sql_type) if written or service == "s3" else _kind(service, sql_type, dialect)
        if kind is not None:
            found[str(column["name"])] = kind
    return found


def _kind(service: str, sql_type: str, dialect: Dialect) -> Kind | None:
    shape = sql_type if "'" not in sql_type else sql_type.partition("(")[0]  # enum('a','b')
    match = _TYPE.match(shape)
    if match is None:
        return None
    base, first, second, more = match[1], match[2], match[3], match[4]
    if service == "mysql" and dialect == "redshift" and sql_type == _MYSQL_BOOLEAN:
        return Kind("boolean")
    if base in _INTEGERS:
        return _integer(base, "unsigned" in more, dialect)
    if base in _FLOATS:
        return Kind(_FLOATS[base])
    if base in ("decimal", "numeric"):
        if first is None:
            return None
        scale = int(second or 0)
        return Kind("numeric", precision=int(first), scale=scale) if 0 <= scale <= int(first) else None
    if dialect == "redshift" and base in _CHARACTERS and first is not None:
        return Kind("varchar", size=min(BYTES_A_CHARACTER * int(first), VARCHAR_BYTES))
    if service == "mysql" and dialect == "redshift" and base in _REDSHIFT:
        return parse_kind(_REDSHIFT[base])
    return None


def _integer(base: str, unsigned: bool, dialect: Dialect) -> Kind:
    if unsigned and base == "bigint":
        return Kind("varchar", size=80) if dialect == "redshift" else Kind("numeric", precision=20)
    return Kind(_UNSIGNED.get(base, _INTEGERS[base]) if unsigned else _INTEGERS[base])
