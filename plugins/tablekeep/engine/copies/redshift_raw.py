"""Cells of a mapping → what Redshift's COPY takes from Parquet without doubt, and the SQL that makes the columns' types of it. Pure.

COPY loads a table of its own first, whose columns are `c0`, `c1` … in the files' order; from there one INSERT … SELECT fills the staging
table. So only types that the documentation names for Parquet are in the files, JSON can be parsed, and no statement grows with names.

| column | in the file | in the first table | how it becomes the column |
|---|---|---|---|
| super | binary: the document | varbyte(1024000) | JSON_PARSE |
| timestamptz | timestamp in microseconds, UTC | timestamp | AT TIME ZONE 'UTC' |
| time | string | varchar(16) | a cast |
| smallint | int32 | integer | a cast |
| decimal(p,s) | decimal128(p,s), in as many bytes as p digits need | the same | as it is |
| timestamp | in microseconds | the same | as it is |
| others | the column's own | the same | as it is |
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tablekeep.engine.copies.mapping import SqlColumn
from tablekeep.engine.copies.super_documents import DOCUMENT_BYTES, exact_numbers


@dataclass(frozen=True, slots=True)
class RawColumn:
    """One column of the first table.

    :ivar made: SQL of the column's value. :ivar stage: a batch's cells as the file's.
    """

    name: str
    sql_type: str
    arrow: Any
    made: str
    stage: Callable[[Any], Any]

    @property
    def definition(self) -> str:
        return f"{self.name} {self.sql_type}"


@dataclass
class Documents:
    """Stages JSON text; counts the numbers that are sent as text, by column.

    :ivar decimals: whether the warehouse keeps decimals in SUPER.
    """

    decimals: bool
    texts: dict[str, int] = field(default_factory=dict)

    def stage(self, column: SqlColumn) -> Callable[[Any], Any]:
        # typed JSON has no numbers: they are strings there
        return _utf8 if column.typed or column.form == "rest" else lambda array: self._exact(column.name, array)

    def _exact(self, name: str, array: Any) -> Any:
        digits = pc.match_substring_regex(array, "[0-9.]{16}|[0-9][eE][-+0-9]")
        rows = pc.indices_nonzero(pc.fill_null(digits, False)).to_pylist()
        if rows:
            cells = array.to_pylist()
            for row in rows:
                cells[row], count = exact_numbers(cells[row], decimals=self.decimals)
                if count:
                    self.texts[name] = self.texts.get(name, 0) + count
            array = pa.array(cells, pa.string())
        return _utf8(array)


def raw_columns(columns: Sequence[SqlColumn], documents: Documents) -> list[RawColumn]:
    """The first table's columns, in the order of the given ones."""
    return [_raw(f"c{number}", column, documents) for number, column in enumerate(columns)]


def _raw(name: str, column: SqlColumn, documents: Documents) -> RawColumn:
    match column.form:
        case "json" | "rest":
            return RawColumn(
                name, f"varbyte({DOCUMENT_BYTES})", pa.binary(), f"JSON_PARSE({name})", documents.stage(column)
            )
        case "timestamptz":
            plain = pa.timestamp("us")
            return RawColumn(name, "timestamp", plain, f"({name} AT TIME ZONE 'UTC')", lambda array: array.cast(plain))
        case "time":
            return RawColumn(name, "varchar(16)", pa.string(), f"{name}::time", lambda array: array.cast(pa.string()))
        case "int" if column.sql_type == "smallint":
            return RawColumn(name, "integer", pa.int32(), f"{name}::smallint", lambda array: array.cast(pa.int32()))
    return RawColumn(name, column.sql_type, column.arrow, name, lambda array: array)


def _utf8(array: Any) -> Any:
    return array.cast(pa.binary())


def key_text(column: SqlColumn, name: str) -> str:
    """SQL of a key's part as `keys.key_texts` writes it.

    :param name: of the column, quoted.
    """
    match column.form:
        case "bytes":
            return f"TO_HEX({name})"
        case "timestamp" | "timestamptz":
            moment = f"({name} AT TIME ZONE 'UTC')" if column.form == "timestamptz" else name
            return f"TO_CHAR({moment}, 'YYYY-MM-DD HH24:MI:SS.US')"
        case "decimal" if column.kind.scale > 0:
            return plain_decimal(name)
        case "text" | "number" | "uuid":
            return name
        case _:
            return f"{name}::varchar"


def plain_decimal(name: str) -> str:
    """SQL of a decimal's text without zeros at its end."""
    return f"RTRIM(RTRIM({name}::varchar, '0'), '.')"


def whole_key(columns: Sequence[SqlColumn], quoted: Callable[[str], str]) -> str:
    """SQL of a row's key as one text."""
    return " || CHR(31) || ".join(key_text(column, quoted(column.name)) for column in columns)


def key_sum(columns: Sequence[SqlColumn], quoted: Callable[[str], str]) -> str:
    """SQL of the sum of 60 bits of the SHA-256 of each key (`keys.KeySum`)."""
    text = whole_key(columns, quoted)
    return f"COALESCE(SUM(STRTOL(SUBSTRING(SHA2({text}, 256), 1, 15), 16)::decimal(38, 0)), 0)"
