"""How each database writes the kinds of column, and what its names and values may be. Pure: nothing here talks to a database.

| kind | PostgreSQL | Redshift | MySQL, MariaDB |
|---|---|---|---|
| text | text | varchar(65535) | longtext; a key: varchar(n), or varbinary(n) where an index takes no more |
| varchar(n) | varchar(n) | varchar(n) | varchar(n) |
| smallint, integer, bigint | the same | the same | the same |
| numeric(p,s) | numeric(p,s) | decimal(p,s) to 38 digits, else varchar(256) | decimal(p,s) to (65,30), else varchar(256) |
| numeric | numeric | varchar(256), the exact text | varchar(256), the exact text |
| real, double | real, double precision | the same | float, double |
| boolean | boolean | boolean | boolean |
| bytes | bytea | varbyte | longblob; a key: varbinary(n) |
| json | jsonb | super | longtext that is checked to be JSON: the type json makes floats of fractions |
| date, time | the same | the same | date, time(6) |
| timestamp, timestamptz | the same | the same | datetime(6), in UTC |
| uuid | uuid | varchar(36) | char(36) |
| arrays | arrays | – | – |
"""

from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from tablekeep.engine.copies.kinds import INTEGERS, Kind
from tablekeep.engine.copies.super_documents import DOCUMENT_BYTES

Dialect = Literal["postgres", "redshift", "mysql"]
Form = Literal[
    "text", "int", "decimal", "number", "float", "bytes", "bool", "json", "rest", "date", "time", "timestamp", "timestamptz", "uuid",
    "array",
]  # fmt: skip
"""What the cells of a SQL column are; `number` is a number that is sent as its text, `json` and `rest` are JSON text, `uuid` is text."""

POSTGRES_BYTES = 63
"""PostgreSQL, "Identifiers and Key Words": longer names are cut off silently (NAMEDATALEN - 1)."""
REDSHIFT_BYTES = 127
"""Redshift Database Developer Guide, "Names and identifiers"."""
MYSQL_CHARACTERS = 64
"""MySQL Reference Manual, "Identifier Length Limits"."""
VARCHAR_BYTES = 65535
"""Redshift Database Developer Guide, "Character types"; newer releases may take more: not relied upon."""
NUMBER_BYTES = 256
"""The longest number has 38 digits after 129 zeros, a point and a sign."""
VARBYTE_BYTES = 409_600
"""No DynamoDB item is larger than 400 KB."""
MYSQL_DIGITS, MYSQL_SCALE = 65, 30
"""MySQL Reference Manual, "DECIMAL Data Type Characteristics"."""
MYSQL_INDEX_BYTES = 3072
"""Of one column in an index of InnoDB, and of all; utf8mb4 counts four for a character (MySQL, "InnoDB Limits")."""
MYSQL_ROW_BYTES = 60_000
"""Of the 65,535 that a row may have, leaving room for what lies outside of it (MySQL, "Limits on Table Column Count and Row Size")."""
LOSSY = {"real", "double"}
"""Kinds that do not keep all digits: never a key's."""
_SYSTEM = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
"""Names that every table of PostgreSQL has already (PostgreSQL, "System Columns"); Redshift's tables have `oid` too."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a database's names are.

    :ivar limit: bytes of an identifier; `characters`: characters instead. :ivar folds: names that differ by case only are one.
    :ivar taken: names of columns that every table has. :ivar columns: the most a table has. :ivar arrays: it has array types.
    """

    limit: int
    columns: int
    folds: bool
    taken: frozenset[str] = frozenset()
    characters: bool = False
    arrays: bool = False

    def size(self, name: str) -> int:
        """Of a name, in what `limit` counts."""
        return len(name) if self.characters else len(name.encode())


RULES: dict[Dialect, Rules] = {
    "postgres": Rules(POSTGRES_BYTES, 1600, folds=False, taken=_SYSTEM, arrays=True),
    "redshift": Rules(REDSHIFT_BYTES, 1600, folds=True, taken=_SYSTEM | {"oid"}),
    "mysql": Rules(MYSQL_CHARACTERS, 1017, folds=True, characters=True),
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """A kind as a database has it.

    :ivar sql: as in CREATE TABLE. :ivar arrow: the Arrow type of its cells. :ivar max_bytes: of one cell in UTF-8; None: no limit that
        an item could reach.
    """

    sql: str
    form: Form
    arrow: Any
    max_bytes: int | None = None


def render(kind: Kind, dialect: Dialect, *, key: bool = False) -> Rendered:
    """The kind in the dialect.

    :raises ValueError: for one that the database does not have.
    """
    if kind.array:
        if not RULES[dialect].arrays:
            raise ValueError(f"{dialect} has no arrays; use json")
        inner = render(kind.element, dialect)
        if inner.form not in ("text", "int", "decimal", "bytes", "number"):
            raise ValueError(f"an array of {kind.element} is not built; use json")
        return Rendered(f"{inner.sql}[]", "array", pa.list_(inner.arrow))
    return {"postgres": _postgres, "redshift": _redshift, "mysql": _mysql}[dialect](kind, key)


_PLAIN: dict[str, tuple[str, Form, Any]] = {
    "smallint": ("smallint", "int", pa.int16()),
    "integer": ("integer", "int", pa.int32()),
    "bigint": ("bigint", "int", pa.int64()),
    "real": ("real", "float", pa.float32()),
    "double": ("double precision", "float", pa.float64()),
    "boolean": ("boolean", "bool", pa.bool_()),
    "date": ("date", "date", pa.date32()),
    "time": ("time", "time", pa.time64("us")),
    "timestamp": ("timestamp", "timestamp", pa.timestamp("us")),
    "timestamptz": ("timestamptz", "timestamptz", pa.timestamp("us", "UTC")),
}
"""What PostgreSQL and Redshift write alike."""


def _postgres(kind: Kind, key: bool) -> Rendered:
    match kind.name:
        case "text":
            return Rendered("text", "text", pa.string())
        case "varchar":
            return Rendered(f"varchar({kind.size})", "text", pa.string(), kind.size)
        case "numeric" if kind.precision is not None and kind.precision <= 38:
            return Rendered(
                f"numeric({kind.precision},{kind.scale})", "decimal", pa.decimal128(kind.precision, kind.scale)
            )
        case "numeric":
            inside = "" if kind.precision is None else f"({kind.precision},{kind.scale})"
            return Rendered(f"numeric{inside}", "number", pa.string())
        case "bytes":
            return Rendered("bytea", "bytes", pa.binary(), kind.size)
        case "json":
            return Rendered("jsonb", "json", pa.string())
        case "uuid":
            return Rendered("uuid", "uuid", pa.string())
    return Rendered(*_PLAIN[kind.name])


def _redshift(kind: Kind, key: bool) -> Rendered:
    match kind.name:
        case "text":
            return Rendered(f"varchar({VARCHAR_BYTES})", "text", pa.string(), VARCHAR_BYTES)
        case "json":
            return Rendered("super", "json", pa.string(), DOCUMENT_BYTES)
        case "varchar":
            if kind.size is not None and kind.size > VARCHAR_BYTES:
                raise ValueError(f"a varchar of Redshift has at most {VARCHAR_BYTES:,} bytes")
            return Rendered(f"varchar({kind.size})", "text", pa.string(), kind.size)
        case "numeric" if kind.precision is not None and kind.precision <= 38 and kind.scale <= 37:
            arrow = pa.decimal128(kind.precision, kind.scale)
            return Rendered(f"decimal({kind.precision},{kind.scale})", "decimal", arrow)
        case "numeric":
            return Rendered(f"varchar({NUMBER_BYTES})", "number", pa.string(), NUMBER_BYTES)
        case "bytes":
            return Rendered(f"varbyte({kind.size or VARBYTE_BYTES})", "bytes", pa.binary(), kind.size or VARBYTE_BYTES)
        case "uuid":
            return Rendered("varchar(36)", "text", pa.string(), 36)
    return Rendered(*_PLAIN[kind.name])


def _mysql(kind: Kind, key: bool) -> Rendered:
    match kind.name:
        case "text":
            return Rendered("longtext", "text", pa.string())
        case "varchar":
            size = kind.size or 0
            if key and size * 4 > MYSQL_INDEX_BYTES:
                return Rendered(f"varbinary({size})", "bytes", pa.binary(), size)
            return Rendered(f"varchar({size})", "text", pa.string(), size)
        case "numeric" if kind.precision is not None and kind.precision <= MYSQL_DIGITS and kind.scale <= MYSQL_SCALE:
            sql = f"decimal({kind.precision},{kind.scale})"
            if kind.precision <= 38:
                return Rendered(sql, "decimal", pa.decimal128(kind.precision, kind.scale))
            return Rendered(sql, "number", pa.string())
        case "numeric":
            return Rendered(f"varchar({NUMBER_BYTES})", "number", pa.string(), NUMBER_BYTES)
        case "bytes":
            return Rendered(f"varbinary({kind.size})" if kind.size else "longblob", "bytes", pa.binary(), kind.size)
        case "json":
            return Rendered("longtext", "json", pa.string())
        case "uuid":
            return Rendered("char(36)", "text", pa.string(), 36)
    sql, form, arrow = _PLAIN[kind.name]
    return Rendered(_MYSQL.get(kind.name, sql), form, arrow)


_MYSQL = {
    "real": "float",
    "double": "double",
    "time": "time(6)",
    "timestamp": "datetime(6)",
    "timestamptz": "datetime(6)",
}
"""What MySQL writes in another way than PostgreSQL."""


def int_range(kind: Kind) -> tuple[int, int]:
    """The least and the greatest number of an integer kind."""
    half = 1 << (INTEGERS[kind.name] - 1)
    return -half, half - 1
