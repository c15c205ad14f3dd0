"""Batches of cells → the text that LOAD DATA reads, and the statement that reads it; and what a staging table must hold.

Fields end with a tab, lines with a line feed, a backslash escapes (MySQL, "LOAD DATA Statement"); NULL is `\\N`; bytes are hexadecimal
digits that the statement turns back. Arrow puts the lines together, column by column.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tablekeep.engine.copies.columns import joined
from tablekeep.engine.copies.keys import SEPARATOR
from tablekeep.engine.copies.mapping import SqlColumn
from tablekeep.engine.copies.mysql_connection import NAME
from tablekeep.engine.copies.names import TableName, quoted

_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\0", "\\0"))
_ODD = r"[\\\t\n\x00]"


def lines(columns: Sequence[SqlColumn], arrays: Sequence[Any], change: Any = None) -> bytes:
    """The rows as bytes.

    :param change: a further field, of a set of changes.
    """
    texts = [_texts(column, array) for column, array in zip(columns, arrays, strict=True)]
    if change is not None:
        texts.append(change)
    rows = pc.binary_join_element_wise(*texts, "\t", null_handling="replace", null_replacement="\\N")
    return bytes(joined(pc.binary_join_element_wise(rows, "", "\n")))


def _texts(column: SqlColumn, array: Any) -> Any:
    match column.form:
        case "text" | "json" | "rest" | "number":
            return _escaped(array)
        case "bool":
            return pc.if_else(array, "1", "0")
        case "bytes":
            return pa.array([None if one is None else one.hex() for one in array.to_pylist()], pa.string())
        case "timestamptz":
            return array.cast(pa.timestamp("us")).cast(pa.string())
        case _:
            return array.cast(pa.string())


def _escaped(array: Any) -> Any:
    if not pc.any(pc.match_substring_regex(array, _ODD)).as_py():
        return array
    for plain, escaped in _ESCAPES:
        array = pc.replace_substring(array, plain, escaped)
    return array


def load_sql(table: TableName, columns: Sequence[SqlColumn], change: str | None = None) -> str:
    """The statement that reads `lines`. :param change: the name of the further field's column."""
    fields, sets = list[str](), list[str]()
    for number, column in enumerate(columns):
        name = quoted(column.name, "mysql")
        if column.form == "bytes":
            fields.append(f"@b{number}")
            sets.append(f"{name} = UNHEX(@b{number})")
        else:
            fields.append(name)
    if change is not None:
        fields.append(quoted(change, "mysql"))
    after = f" SET {', '.join(sets)}" if sets else ""
    return (
        f"LOAD DATA LOCAL INFILE '{NAME}' INTO TABLE {table.sql} CHARACTER SET utf8mb4 FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' "
        f"LINES TERMINATED BY '\\n' ({', '.join(fields)}){after}"
    )


def key_sum_sql(columns: Sequence[SqlColumn]) -> str:
    """The key set's sum (`keys.py`) as an expression over a table's rows: fifteen hexadecimal digits of SHA-256 are 60 bits."""
    texts = [_key_text(column) for column in columns]
    text = texts[0] if len(texts) == 1 else f"CONCAT_WS(CHAR({ord(SEPARATOR)}), {', '.join(texts)})"
    return f"COALESCE(SUM(CAST(CONV(LEFT(SHA2({text}, 256), 15), 16, 10) AS UNSIGNED)), 0)"


def _key_text(column: SqlColumn) -> str:
    name = quoted(column.name, "mysql")
    match column.form:
        case "text" | "number" | "uuid":
            return name
        case "bytes":
            return f"LOWER(HEX({name}))"
        case "bool":
            return f"IF({name}, 'true', 'false')"
        case "decimal" if column.kind.scale > 0:
            return f"TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM CAST({name} AS CHAR)))"
        case _:
            return f"CAST({name} AS CHAR)"
