"""Whole columns of a set → whole columns of the target, where Arrow can do it exactly; None where only the general way can (cells.py)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tablekeep.engine.copies.cells import SUPER, UUID, has_nul, plain_json
from tablekeep.engine.copies.documents import plain_texts
from tablekeep.engine.copies.mapping import SqlColumn
from tablekeep.engine.copies.super_documents import STRING_BYTES
from tablekeep.engine.items.canonical import decode_json, encode_canonical
from tablekeep.engine.items.decode import column_contents, escaped, joined_sets, number_texts, strings, typed_texts
from tablekeep.engine.items.layout import Column

_UNITS = {"epoch": "s", "epoch_ms": "ms"}
_ISO = r"^\d{4}-\d{2}-\d{2}"
_TIME = r"[T ]\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?"
_FORMS = {
    "date": _ISO + "$",
    "time": r"^\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?$",
    "timestamp": _ISO + _TIME + "$",
    "timestamptz": _ISO + _TIME + r"(?:Z|[+-]\d{2}:\d{2})$",
}
"""What Arrow and Python read alike."""
_INTEGER = r"^(?:0|-?[1-9][0-9]{0,17})$"


_NATIVE = {
    "date": "date", "time": "time", "timestamp": "timestamp", "timestamptz": "timestamptz", "float4": "real", "float8": "double",
    "uuid": "uuid", "json": "json",
}  # fmt: skip
"""The kind of column in which a logical type's cells are what the set has."""


def take_column(column: SqlColumn, home: Column, array: Any) -> Any:
    """The cells of a set's column as the target has them; None where they have to be looked at one by one.

    :param home: the set's column, whose values `array` holds.
    """
    if home.logical is not None:
        if _NATIVE.get(home.logical) == column.kind.name:
            return (
                array.storage
                if home.logical == "json" and column.form == "json"
                else strings(home, array)
                if home.logical in ("json", "uuid")
                else array
            )
        if home.logical == "timestamptz" and column.form == "timestamp" and not column.format:
            return array.cast(pa.timestamp("us"))  # the time in UTC
        home, array = replace(home, logical=None), strings(home, array)
    make = _WAYS.get(column.form)
    if make is None or column.format == "json":
        return None
    try:
        return make(column, home, array)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None  # a value does not fit: the general way says which


def joined(texts: Any) -> memoryview:
    """The bytes of all texts, or binary values, of an array, one after the other; they are not copied."""
    _, offsets, data = texts.buffers()
    if data is None:
        return memoryview(b"")
    ends = memoryview(offsets).cast("i")
    return memoryview(data)[ends[texts.offset] : ends[texts.offset + len(texts)]]


def _text(column: SqlColumn, home: Column, array: Any) -> Any:
    if home.type == "S":
        return array
    return number_texts(home, array) if home.type == "N" else None


def _int(column: SqlColumn, home: Column, array: Any) -> Any:
    if home.type == "N":
        return None if home.number == "text" else array.cast(column.arrow)
    if home.type == "S" and _all_match(array, _INTEGER):
        return array.cast(column.arrow)
    return None


def _decimal(column: SqlColumn, home: Column, array: Any) -> Any:
    if home.type != "N":
        return None
    if home.number == "text":
        return None if pc.any(pc.match_substring(array, "E")).as_py() else array.cast(column.arrow)
    return array if array.type == column.arrow else array.cast(column.arrow)


def _number(column: SqlColumn, home: Column, array: Any) -> Any:
    return number_texts(home, array) if home.type == "N" and column.kind.precision is None else None


def _float(column: SqlColumn, home: Column, array: Any) -> Any:
    return number_texts(home, array).cast(column.arrow) if home.type == "N" else None


def _bytes(column: SqlColumn, home: Column, array: Any) -> Any:
    if home.type == "B":
        return array
    return array.cast(pa.binary()) if home.type == "S" and column.kind.name == "varchar" else None


def _bool(column: SqlColumn, home: Column, array: Any) -> Any:
    if home.type == "N" and home.number == "int64" and pc.all(pc.is_in(array, pa.array([0, 1, None]))).as_py():
        return pc.equal(array, 1)
    return array if home.type == "BOOL" else None


def _moment(column: SqlColumn, home: Column, array: Any) -> Any:
    if column.format and home.type == "N" and home.number == "int64":
        moments = array.cast(pa.timestamp(_UNITS[column.format], "UTC")).cast(pa.timestamp("us", "UTC"))
        if column.form == "date":
            return moments.cast(pa.timestamp("us")).cast(pa.date32(), safe=False)
        return moments if column.form == "timestamptz" else moments.cast(pa.timestamp("us"))
    if column.format or home.type != "S" or not _all_match(array, _FORMS[column.form]):
        return None
    return array.cast(column.arrow)


def _uuid(column: SqlColumn, home: Column, array: Any) -> Any:
    return array if home.type == "S" and _all_match(array, UUID) else None


def _all_match(array: Any, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(array, pattern)).as_py() in (True, None))


def _json(column: SqlColumn, home: Column, array: Any) -> Any:
    if column.typed:
        return typed_texts(home, array)
    texts = _plain_texts(home, array)
    if texts is not None:
        return texts
    kind = home.type
    if kind in ("M", "L"):
        contents = [None if text is None else decode_json(text.encode()) for text in array.storage.to_pylist()]
    else:
        contents = column_contents(home, array)
    documents = [None if one is None else encode_canonical(plain_json({kind: one})).decode() for one in contents]
    return pa.array(documents, pa.string())


def _plain_texts(home: Column, array: Any) -> Any:
    """A column as the text of plain JSON; None where that takes a look at each value."""
    match home.type:
        case "M" | "L":
            return plain_texts(array.storage)
        case "S":
            return pc.binary_join_element_wise('"', escaped(strings(home, array)), '"', "")
        case "N":
            return number_texts(home, array)
        case "BOOL":
            return pc.if_else(array, "true", "false")
        case "SS" | "NS":
            mark = '"' if home.type == "SS" else ""
            sets = joined_sets(home, array, f"{mark},{mark}")
            return None if sets is None else pc.binary_join_element_wise(f"[{mark}", sets, f"{mark}]", "")
        case _:
            return None


def _array(column: SqlColumn, home: Column, array: Any) -> Any:
    if home.type == "SS" and column.kind.name == "text":
        return array
    if home.type == "BS" and column.kind.name == "bytes":
        return array
    if home.type == "NS" and array.type == column.arrow:
        return array
    return None


_WAYS: dict[str, Callable[[SqlColumn, Column, Any], Any]] = {
    "text": _text, "int": _int, "decimal": _decimal, "number": _number, "float": _float, "bytes": _bytes, "bool": _bool, "json": _json,
    "date": _moment, "time": _moment, "timestamp": _moment, "timestamptz": _moment, "uuid": _uuid, "array": _array,
}  # fmt: skip


def long_rows(column: SqlColumn, array: Any) -> list[int]:
    """Rows of texts, documents and bytes that may be longer than the column takes: in SUPER a string inside of them, too."""
    if column.max_bytes is None or column.form not in ("text", "json", "bytes", "number"):
        return []
    limit = STRING_BYTES if column.sql_type == SUPER else column.max_bytes
    rows: list[int] = pc.indices_nonzero(pc.fill_null(pc.greater(pc.binary_length(array), limit), False)).to_pylist()
    return rows


def nul_rows(array: Any, *, json: bool) -> list[int]:
    """Rows of texts that hold U+0000, which in JSON text stands as an escape."""
    sought = "\\u0000" if json else "\0"
    # a search over all texts at once is several times as fast as Arrow's by row
    if sought.encode() not in bytes(joined(array)):
        return []
    mask = pc.fill_null(pc.match_substring(array, sought), False)
    rows: list[int] = pc.indices_nonzero(mask).to_pylist()
    return [row for row in rows if has_nul(array[row].as_py(), json=True)] if json and rows else rows
