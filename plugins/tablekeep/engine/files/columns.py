"""Texts of a file's column → the texts, numbers, bytes of an attribute: what a declared type wants, and which texts are none of it."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from tablekeep.engine.copies.kinds import INTEGERS, Kind, parse_kind
from tablekeep.engine.files.description import FileColumn
from tablekeep.engine.items.canonical import decode_json
from tablekeep.engine.items.layout import INT64_DIGITS, Column, decimal_of
from tablekeep.engine.items.logical import to_arrow, to_texts
from tablekeep.engine.items.rows import Cells, plain_numbers

LOGICAL = {
    "real": "float4", "double": "float8", "date": "date", "time": "time", "timestamp": "timestamp", "timestamptz": "timestamptz",
    "uuid": "uuid", "json": "json",
}  # fmt: skip
_BOOLEANS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
_NUMBER = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?$"
"""What is taken for a number when nobody says so: `007` is a text."""


@dataclass(frozen=True)
class Typed:
    """A column with its type.

    :ivar derived: nobody has declared it.
    """

    name: str
    kind: Kind
    derived: bool = False

    @staticmethod
    def of(column: FileColumn) -> "Typed":
        return Typed(column.name, parse_kind(column.type))

    @property
    def cells(self) -> Cells:
        match self.kind.name:
            case "smallint" | "integer" | "bigint" | "numeric":
                return Cells(self.name, "N")
            case "boolean":
                return Cells(self.name, "BOOL")
            case "bytes":
                return Cells(self.name, "B")
        return Cells(self.name, "S")

    @property
    def pin(self) -> Column | None:
        """The set's column; None where only the values tell it."""
        kind = self.cells.kind
        if kind != "N":
            return Column(self.name, self.name, kind, logical=LOGICAL.get(self.kind.name))
        if self.kind.name in INTEGERS:
            return Column(self.name, self.name, "N", "int64")
        if self.kind.precision is None:
            return None
        number, scale = decimal_of(self.kind.precision, self.kind.scale)
        return None if number is None else Column(self.name, self.name, "N", number, scale)

    def read(self, texts: Any) -> Any:
        """The cells of texts (an Arrow array of strings), as `wire_items` takes them; null where a text is null, or is none of the type."""
        return texts if self.derived else _READERS.get(self.kind.name, _text)(self, texts)


def _text(_: Typed, texts: Any) -> Any:
    return texts


def _integer(column: Typed, texts: Any) -> Any:
    numbers = plain_numbers(texts)
    greatest = (1 << (INTEGERS[column.kind.name] - 1)) - 1
    short = pc.if_else(pc.match_substring_regex(numbers, rf"^-?[0-9]{{1,{INT64_DIGITS}}}$"), numbers, None)
    ints = short.cast(pa.int64())
    inside = pc.and_(pc.greater_equal(ints, -greatest - 1), pc.less_equal(ints, greatest))
    found = pc.if_else(inside, numbers, None)
    if short.null_count == numbers.null_count:
        return found
    # of 19 digits and more, or with a fraction
    others = pc.if_else(short.is_null(), numbers, None).to_pylist()
    fit = [one if one and "." not in one and -greatest - 1 <= int(one) <= greatest else None for one in others]
    return pc.coalesce(found, pa.array(fit, pa.string()))


def _numeric(column: Typed, texts: Any) -> Any:
    numbers = plain_numbers(texts)
    if column.kind.precision is None:
        return numbers
    whole = column.kind.precision - column.kind.scale
    pattern = rf"^-?[0-9]{{1,{max(1, whole)}}}" + (
        rf"(?:\.[0-9]{{1,{column.kind.scale}}})?$" if column.kind.scale else "$"
    )
    return pc.if_else(pc.match_substring_regex(numbers, pattern), numbers, None)


def _boolean(_: Typed, texts: Any) -> Any:
    return pa.array(
        [None if one is None else _BOOLEANS.get(one.strip().lower()) for one in texts.to_pylist()], pa.bool_()
    )


def _bytes(_: Typed, texts: Any) -> Any:
    def decoded(text: str) -> bytes | None:
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return None

    return pa.array([None if one is None else decoded(one) for one in texts.to_pylist()], pa.binary())


def _float(column: Typed, texts: Any) -> Any:
    def number(text: str) -> float | None:
        try:
            return float(text) if "_" not in text else None
        except ValueError:
            return None

    values = pa.array([None if one is None else number(one) for one in texts.to_pylist()], pa.float64())
    logical = LOGICAL[column.kind.name]
    return to_texts(logical, values.cast(pa.float32()) if logical == "float4" else values)


def _json(_: Typed, texts: Any) -> Any:
    def checked(text: str) -> str | None:
        try:
            decode_json(text.encode())
        except (msgspec.DecodeError, RecursionError):
            return None
        return text

    return pa.array([None if one is None else checked(one) for one in texts.to_pylist()], pa.string())


def _moment(column: Typed, texts: Any) -> Any:
    """In the one form of the logical type; what ISO 8601 writes otherwise is read, too."""
    logical = LOGICAL[column.kind.name]
    exact = to_arrow(logical, texts)
    if exact.null_count == texts.null_count:
        return texts
    held = exact.is_valid().to_pylist()
    cells = [one if ok or one is None else _iso(logical, one) for one, ok in zip(texts.to_pylist(), held, strict=True)]
    return pa.array(cells, pa.string())


def _iso(logical: str, text: str) -> str | None:
    try:
        if logical == "date":
            return date.fromisoformat(text).isoformat()
        if logical == "time":
            clock = time.fromisoformat(text)
            return None if clock.tzinfo else _short(clock.isoformat())
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if logical == "timestamp":
        return None if moment.tzinfo else _short(moment.isoformat(" "))
    return None if moment.tzinfo is None else _short(moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ")) + "+00"


def _short(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _uuid(_: Typed, texts: Any) -> Any:
    lower = pc.utf8_lower(texts)
    return pc.if_else(to_arrow("uuid", lower).storage.is_valid(), lower, None)


_READERS: dict[str, Callable[[Typed, Any], Any]] = {
    **dict.fromkeys(INTEGERS, _integer),
    **dict.fromkeys(("date", "time", "timestamp", "timestamptz"), _moment),
    "numeric": _numeric, "boolean": _boolean, "bytes": _bytes, "real": _float, "double": _float, "json": _json, "uuid": _uuid,
}  # fmt: skip


def derive(names: Sequence[str], samples: Sequence[Any]) -> list[Typed]:
    """Types of columns by samples of their texts: a number, a date, a time or a UUID where all are, else text. A later value that is
    none is no bad row: it stays the text that it is.

    :param samples: for each column an Arrow array of strings.
    """
    return [Typed(name, _derived(texts), derived=True) for name, texts in zip(names, samples, strict=True)]


def _derived(texts: Any) -> Kind:
    some = texts.drop_null()
    if not len(some):
        return Kind("text")
    if pc.all(pc.match_substring_regex(some, _NUMBER)).as_py():
        return Kind("numeric")
    for name in ("date", "timestamp", "timestamptz", "uuid"):
        found = to_arrow(LOGICAL[name], some)
        if not found.null_count:
            return Kind(name)
    return Kind("text")
