"""Which column of a set becomes which column of a SQL table. Pure: nothing here talks to a database.

| column of the set | PostgreSQL | Redshift |
|---|---|---|
| S | text | varchar(65535) |
| N int64 | bigint | bigint |
| N decimal | numeric(38,s) | decimal(38,s); varchar for a scale above 37 |
| N text | numeric | varchar(256), the number's exact text |
| B | bytea | varbyte |
| BOOL | boolean | boolean |
| SS, NS, BS, M, L | jsonb, plain JSON | varchar(65535), the same JSON as text |
| `_rest` | jsonb, DynamoDB's typed JSON | varchar(65535), the same as text |

Plain JSON: numbers are JSON numbers with all their digits, sets are arrays, binary values base64 text.
"""

from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.copies.names import POSTGRES_BYTES, REDSHIFT_BYTES, check_identifier, quoted
from tablekeep.engine.items.layout import DECIMAL_DIGITS, REST, Column, fold

Dialect = Literal["postgres", "redshift"]
Form = Literal["text", "int", "decimal", "number", "bytes", "bool", "json", "rest"]
"""What the cells of a SQL column are; `number` is a number that is sent as its text."""

VARCHAR_BYTES = 65535
"""Redshift Database Developer Guide, "Character types"; newer releases may take more: not relied upon."""
NUMBER_BYTES = 256
"""The longest number has 38 digits after 129 zeros, a point and a sign."""
VARBYTE_BYTES = 409_600
"""No DynamoDB item is larger than 400 KB."""
REDSHIFT_SCALE = 37
_SYSTEM_COLUMNS = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}
"""Names that every table of PostgreSQL has already (PostgreSQL, "System Columns"); Redshift's tables have `oid` too."""


@dataclass(frozen=True, slots=True)
class SqlColumn:
    """One column of the target.

    :ivar name: unquoted. :ivar source: the set's column; None for `_rest`. :ivar arrow: the Arrow type of its cells.
    :ivar max_bytes: of one cell in UTF-8; None where the database sets no limit that an item could reach.
    """

    name: str
    sql_type: str
    form: Form
    arrow: Any
    source: Column | None = None
    key: bool = False
    max_bytes: int | None = None

    @property
    def definition(self) -> str:
        """As it stands in CREATE TABLE."""
        return f"{quoted(self.name)} {self.sql_type}"


@dataclass(frozen=True, slots=True)
class Mapping:
    """The target's columns in their order, `_rest` last."""

    dialect: Dialect
    columns: tuple[SqlColumn, ...]

    @property
    def definitions(self) -> str:
        """The inside of CREATE TABLE's parentheses."""
        return ", ".join(column.definition for column in self.columns)

    @property
    def key(self) -> list[str]:
        """Names of the key's columns, in the key's order."""
        return [column.name for column in self.columns if column.key]

    @property
    def schema(self) -> Any:
        """The Arrow schema of converted batches."""
        return pa.schema([pa.field(column.name, column.arrow) for column in self.columns])


def map_columns(manifest: Manifest, dialect: Dialect) -> Mapping:
    """The mapping of a whole set.

    :raises BadInputError: for an attribute whose name the database cannot take.
    """
    limit = POSTGRES_BYTES if dialect == "postgres" else REDSHIFT_BYTES
    chosen = _postgres if dialect == "postgres" else _redshift
    system = _SYSTEM_COLUMNS if dialect == "postgres" else _SYSTEM_COLUMNS | {"oid"}
    taken = {fold(column.column) for column in manifest.layout.columns} | {fold(REST)} | system
    # the key first and in its own order, which the layout does not promise after a table was read with pins
    keys = {name: number for number, name in enumerate(manifest.key_names)}
    ordered = sorted(manifest.layout.columns, key=lambda one: keys.get(one.attribute, len(keys)))
    columns = []
    for column in ordered:
        name = check_identifier(_free(column.column, system, taken), limit, "the column of the attribute")
        columns.append(chosen(column, name, column.attribute in keys))
    return Mapping(dialect, (*columns, _rest(dialect)))


def _free(name: str, system: set[str], taken: set[str]) -> str:
    """The name, or `name~2` for one that the database gives to a column of its own."""
    if fold(name) not in system:
        return name
    number = 2
    while fold(f"{name}~{number}") in taken:
        number += 1
    return f"{name}~{number}"


def _postgres(column: Column, name: str, key: bool) -> SqlColumn:
    match column.type, column.number:
        case "S", _:
            return SqlColumn(name, "text", "text", pa.string(), column, key)
        case "N", "int64":
            return SqlColumn(name, "bigint", "int", pa.int64(), column, key)
        case "N", "decimal":
            arrow = pa.decimal128(DECIMAL_DIGITS, column.scale)
            return SqlColumn(name, f"numeric({DECIMAL_DIGITS},{column.scale})", "decimal", arrow, column, key)
        case "N", _:
            return SqlColumn(name, "numeric", "number", pa.string(), column, key)
        case "B", _:
            return SqlColumn(name, "bytea", "bytes", pa.binary(), column, key)
        case "BOOL", _:
            return SqlColumn(name, "boolean", "bool", pa.bool_(), column, key)
        case _:
            return SqlColumn(name, "jsonb", "json", pa.string(), column, key)


def _redshift(column: Column, name: str, key: bool) -> SqlColumn:
    match column.type, column.number:
        case "N", "int64":
            return SqlColumn(name, "bigint", "int", pa.int64(), column, key)
        case "N", "decimal" if column.scale <= REDSHIFT_SCALE:
            arrow = pa.decimal128(DECIMAL_DIGITS, column.scale)
            return SqlColumn(name, f"decimal({DECIMAL_DIGITS},{column.scale})", "decimal", arrow, column, key)
        case "N", _:
            return SqlColumn(name, f"varchar({NUMBER_BYTES})", "number", pa.string(), column, key, NUMBER_BYTES)
        case "B", _:
            return SqlColumn(name, f"varbyte({VARBYTE_BYTES})", "bytes", pa.binary(), column, key, VARBYTE_BYTES)
        case "BOOL", _:
            return SqlColumn(name, "boolean", "bool", pa.bool_(), column, key)
        case kind, _:
            form: Form = "text" if kind == "S" else "json"
            return SqlColumn(name, f"varchar({VARCHAR_BYTES})", form, pa.string(), column, key, VARCHAR_BYTES)


def _rest(dialect: Dialect) -> SqlColumn:
    if dialect == "postgres":
        return SqlColumn(REST, "jsonb", "rest", pa.string())
    return SqlColumn(REST, f"varchar({VARCHAR_BYTES})", "rest", pa.string(), max_bytes=VARCHAR_BYTES)
