"""One typed value → one cell of a column, or the reason why not. The general way; `convert.py` takes whole columns where it can.

A cell is what the column's Arrow type takes: text, a whole number, a Decimal, bytes, a date, a list.
"""

import base64
import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from tablekeep.engine.copies.dialects import int_range
from tablekeep.engine.copies.kinds import Kind
from tablekeep.engine.copies.mapping import SqlColumn
from tablekeep.engine.copies.super_documents import cut, cut_strings, has_twins, unfit
from tablekeep.engine.items.canonical import ItemError, canonical_number, decode_json, encode_canonical

UUID = r"^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"
_UUID = re.compile(UUID.rstrip("$") + r"\Z")
_TOLD = {"S", "N", "BOOL", "M"}
"""Types that a JSON value tells by itself."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SET_MEMBERS = {"SS": "S", "NS": "N", "BS": "B"}


class Misfit(Exception):
    """A column cannot hold a value.

    :ivar reason: without the value. :ivar short: a cell that it can hold, with the value's beginning; None where there is none.
    """

    def __init__(self, reason: str, short: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.short = reason, short


def plain_json(value: dict[str, Any]) -> Any:
    """A typed value as plain JSON; numbers as raw text, so that no digit is lost."""
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return msgspec.Raw(content.encode())
        case "NULL":
            return None
        case "NS":
            return [msgspec.Raw(one.encode()) for one in content]
        case "M":
            return {name: plain_json(one) for name, one in content.items()}
        case "L":
            return [plain_json(one) for one in content]
        case _:
            return content  # S and BOOL as they are; B is base64 text already; SS and BS are arrays of text


def tells_type(column: SqlColumn, kind: str, home: str | None) -> bool:
    """Whether a value's cell tells its DynamoDB type, so that `_rest` need not.

    :param home: the type of the values that the column is made for; None when it is made for what its form says.
    """
    if column.form == "json":
        # an array in a column of sets reads as a set, so a list there keeps its type in _rest
        return column.typed or kind in _TOLD or kind == home or (kind == "L" and home in ("M", "L", None))
    return kind == (home or _HOME.get(column.form, "S"))


_HOME = {"int": "N", "decimal": "N", "number": "N", "float": "N", "bytes": "B", "bool": "BOOL"}


def cell_of(column: SqlColumn, value: dict[str, Any], home: str | None = None) -> Any:
    """The cell for a canonical value; None for NULL.

    :param home: see `tells_type`: a column that is made for documents shows them in text, too.
    :raises Misfit: when the column cannot hold it exactly (floats: within their range).
    """
    ((kind, content),) = value.items()
    if kind == "NULL":
        return None
    cell = _checked(column, _cell(column, column.kind, column.form, kind, content, home))
    if isinstance(cell, str) and (why := unfit_text(column, cell)):
        raise Misfit(why, shortened(column, cell))
    if isinstance(cell, bytes) and column.max_bytes is not None and len(cell) > column.max_bytes:
        raise Misfit(too_long(column))
    return cell


def too_long(column: SqlColumn) -> str:
    return f"longer than {column.max_bytes:,} bytes"


def unfit_text(column: SqlColumn, text: str) -> str | None:
    """Why a column cannot hold a text, or JSON text, that is of its type; None when it can."""
    if column.sql_type == SUPER:
        twice = column.format == "json" and has_twins(text)
        return unfit(text) or ("with an attribute twice in an object" if twice else None)
    long = column.max_bytes is not None and len(text) * 4 > column.max_bytes and len(text.encode()) > column.max_bytes
    return too_long(column) if long else None


def shortened(column: SqlColumn, text: str) -> str | None:
    """The beginning of a text that its column can hold; of a document, the document with its strings cut. None where that does not help."""
    if column.sql_type == SUPER:
        text, _ = cut_strings(text)
        return None if unfit_text(column, text) else text
    if column.form != "text" or column.key or column.max_bytes is None:
        return None
    return cut(text, column.max_bytes)


SUPER = "super"
NUL = "with the character U+0000"
NOT_FINITE = "no finite number"
_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def has_nul(text: str, *, json: bool) -> bool:
    """Whether a text, or the strings of a JSON text, hold U+0000."""
    return bool(_ESCAPED_NUL.search(text)) if json else "\0" in text


def _checked(column: SqlColumn, cell: Any) -> Any:
    if isinstance(cell, str) and has_nul(cell, json=column.form in ("json", "rest")):
        raise Misfit(NUL)
    if isinstance(cell, list) and any(isinstance(one, str) and "\0" in one for one in cell):
        raise Misfit(NUL)
    if column.finite and not math.isfinite(cell):
        raise Misfit(NOT_FINITE)
    return cell


def _cell(column: SqlColumn, kind: Kind, form: str, type: str, content: Any, home: str | None) -> Any:
    match form:
        case "json":
            return _document(column, type, content)
        case "text":
            return _text(type, content, home)
        case "int" | "decimal" | "number" | "float":
            return _NUMBERS[form](kind, type, content)
        case "bool":
            return _bool(type, content)
        case "bytes":
            return _bytes(kind, type, content)
        case "uuid":
            return _uuid(type, content)
        case "array":
            return _array(column, kind, type, content)
        case _:
            return _moment(column, form, type, content)


def _another(type: str) -> Misfit:
    return Misfit(f"of type {type}")


def _document(column: SqlColumn, type: str, content: Any) -> str:
    if column.format == "json" and type == "S":
        try:
            decode_json(content.encode())
        except (msgspec.DecodeError, RecursionError):
            raise Misfit("no JSON document") from None
        return str(content)
    if column.typed:
        return encode_canonical({type: content}).decode()
    return encode_canonical(plain_json({type: content})).decode()


def _text(type: str, content: Any, home: str | None) -> str:
    if type in ("S", "N", "B"):
        return str(content)
    if type == "BOOL":
        return "true" if content else "false"
    if home not in (None, "S"):
        return encode_canonical(plain_json({type: content})).decode()
    raise _another(type)


def _number(type: str, content: Any, of: Any = Decimal) -> Any:
    if type not in ("N", "S"):
        raise _another(type)
    try:
        return of(content if type == "N" or of is float else canonical_number(content))
    except (ItemError, InvalidOperation, ValueError, TypeError, OverflowError):
        raise Misfit("no number") from None


def _bytes(kind: Kind, type: str, content: Any) -> bytes:
    if type == "B":
        return base64.b64decode(content)
    if type == "S" and kind.name == "varchar":  # a key that the database compares byte by byte
        return bytes(content.encode())
    raise _another(type)


def _uuid(type: str, content: Any) -> str:
    if type != "S":
        raise _another(type)
    if not _UUID.match(content):
        raise Misfit("no UUID")
    return str(content)


def _whole(kind: Kind, type: str, content: Any) -> int:
    number = _number(type, content)
    if number != number.to_integral_value():
        raise Misfit("no whole number")
    least, greatest = int_range(kind)
    if not least <= number <= greatest:
        raise Misfit(f"outside of {kind}")
    return int(number)


def _decimal(kind: Kind, type: str, content: Any) -> Decimal:
    assert kind.precision is not None
    number: Decimal = _number(type, content)
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    if number and (-exponent > kind.scale or len(digits) + exponent > kind.precision - kind.scale):
        raise Misfit(f"outside of {kind}")
    return number


def _any_number(kind: Kind, type: str, content: Any) -> str:
    number = _number(type, content) if kind.precision is None else _decimal(kind, type, content)
    return canonical_number(format(number, "f"))


def _float(kind: Kind, type: str, content: Any) -> float:
    return float(_number(type, content, float))


_NUMBERS: dict[str, Callable[[Kind, str, Any], Any]] = {
    "int": _whole, "decimal": _decimal, "number": _any_number, "float": _float
}  # fmt: skip


def _bool(type: str, content: Any) -> bool:
    if type == "BOOL":
        return bool(content)
    if type == "S" and content in ("true", "false"):
        return bool(content == "true")
    if type == "N" and content in ("0", "1"):
        return bool(content == "1")
    raise _another(type) if type not in ("S", "N") else Misfit("neither true nor false")


def _moment(column: SqlColumn, form: str, type: str, content: Any) -> date | time | datetime:
    if column.format in ("epoch", "epoch_ms"):
        if type not in ("N", "S"):
            raise _another(type)
        unit = timedelta(seconds=1) if column.format == "epoch" else timedelta(milliseconds=1)
        micros = _number(type, content) * (unit // timedelta(microseconds=1))
        try:
            found = _EPOCH + timedelta(microseconds=int(micros))
        except OverflowError:
            raise Misfit("no time between the years 1 and 9999") from None
        return found.date() if form == "date" else found.replace(tzinfo=None) if form == "timestamp" else found
    if type != "S":
        raise _another(type)
    try:
        if form == "date":
            return date.fromisoformat(content)
        if form == "time":
            at = time.fromisoformat(content)
            if at.tzinfo is not None:
                raise ValueError
            return at
        found = datetime.fromisoformat(content)
    except ValueError:
        raise Misfit("no ISO 8601 time" if form != "date" else "no ISO 8601 date") from None
    if (found.tzinfo is None) != (form == "timestamp"):
        raise Misfit("a time without zone" if form == "timestamptz" else "a time with a zone")
    return found if form == "timestamp" else found.astimezone(UTC)


def _array(column: SqlColumn, kind: Kind, type: str, content: Any) -> list[Any]:
    if type in _SET_MEMBERS:
        values = [{_SET_MEMBERS[type]: one} for one in content]
    elif type == "L":
        values = content
    else:
        raise _another(type)
    element = kind.element
    form = {"integer": "int", "smallint": "int", "bigint": "int", "bytes": "bytes"}.get(element.name, "text")
    if element.name == "numeric":
        form = "decimal" if element.precision is not None and element.precision <= 38 else "number"
    cells = []
    for one in values:
        ((inner, inside),) = one.items()
        cell = None if inner == "NULL" else _cell(column, element, form, inner, inside, None)
        if element.size is not None and isinstance(cell, str) and len(cell.encode()) > element.size:
            raise Misfit(f"with a member longer than {element.size:,} bytes")
        cells.append(cell)
    return cells
