"""Texts that are dates, times, floating-point numbers, UUIDs or JSON, stored as what they are.

A column of type S may have a logical type (docs/backup-format.md, §5). It holds a text only if exactly this text comes back; any
other one (`infinity`, a year before Christ, 24:00:00, a date that MySQL let pass) is a misfit and goes to `_rest`.

| logical | Arrow | the texts that it holds |
|---|---|---|
| date | date32 | `2026-11-23`; years 0001 to 9999 |
| time | time64(us) | `02:00:00.5`: a fraction of up to six digits, without zeros at its end |
| timestamp | timestamp(us) | `2026-11-23 02:00:00.5`, likewise |
| timestamptz | timestamp(us, UTC) | `2026-11-23 02:00:00.5+00`, always in UTC |
| float4, float8 | float, double | the fewest digits that tell the number, as PostgreSQL writes them: `1e-05`, `1e+15`, `NaN`, `-Infinity` |
| uuid | uuid | lower-case, with hyphens |
| json | json | any: it is kept as text |
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc

Logical = Literal["date", "time", "timestamp", "timestamptz", "float4", "float8", "uuid", "json"]
LOGICAL: tuple[str, ...] = get_args(Logical)

_DATE = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"  # no year 0000
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{0,5}[1-9])?"
_NO_ZEROS = r"\.?0+$"


@dataclass(frozen=True, slots=True)
class _Rule:
    """How one logical type is stored.

    :ivar pattern: texts that may fit. :ivar parse: raises ArrowInvalid for one that does not. :ivar write: the one text of each value.
    """

    arrow: Any
    pattern: str
    parse: Callable[[Any], Any]
    write: Callable[[Any], Any]


def arrow_type(logical: str) -> Any:
    """The Arrow type of a column."""
    return pa.json_(pa.string()) if logical == "json" else _RULES[logical].arrow


def to_arrow(logical: str, texts: Any) -> Any:
    """The texts (an Arrow array of strings) as values; null where a text does not fit."""
    if logical == "json":
        return pa.ExtensionArray.from_storage(arrow_type(logical), texts)
    rule = _RULES[logical]
    plain = pc.if_else(pc.match_substring_regex(texts, f"^(?:{rule.pattern})$"), texts, None)
    try:
        values = rule.parse(plain)
    except pa.ArrowInvalid:
        # few texts have the form and are none all the same, as 2026-02-30
        values = rule.parse(pa.array([one if _parses(rule, one) else None for one in plain.to_pylist()], pa.string()))
    # not what was parsed decides but what will be read
    exact = pc.fill_null(pc.equal(rule.write(values), texts), False)
    if pc.sum(exact).as_py() != len(texts) - texts.null_count:
        values = pc.if_else(exact, values, None)
    if logical == "uuid":
        return pa.ExtensionArray.from_storage(rule.arrow, values)
    return values


def to_texts(logical: str, array: Any) -> Any:
    """The texts of a column that `to_arrow` made."""
    if logical == "json":
        return array.storage
    return _RULES[logical].write(array.storage if logical == "uuid" else array)


def _parses(rule: _Rule, text: str | None) -> bool:
    try:
        rule.parse(pa.array([text], pa.string()))
    except pa.ArrowInvalid:
        return False
    return True


def _parse_time(texts: Any) -> Any:
    return pc.binary_join_element_wise("1970-01-01 ", texts, "").cast(pa.timestamp("us")).cast(pa.time64("us"))


def _parse_utc(texts: Any) -> Any:
    # what stands before +00 is the time in UTC
    return pc.replace_substring(texts, "+00", "").cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))


def _write_time(array: Any) -> Any:
    """With six digits of a fraction Arrow writes; the zeros at its end go."""
    return pc.replace_substring_regex(array.cast(pa.string()), _NO_ZEROS, "")


def _write_utc(array: Any) -> Any:
    return pc.binary_join_element_wise(_write_time(array.cast(pa.timestamp("us"))), "+00", "")


def _parse_uuid(texts: Any) -> Any:
    digits = "".join(pc.fill_null(pc.replace_substring(texts, "-", ""), "0" * 32).to_pylist())
    values = pa.Array.from_buffers(pa.binary(16), len(texts), [None, pa.py_buffer(bytes.fromhex(digits))])
    return pc.if_else(texts.is_valid(), values, None)


def _write_uuid(array: Any) -> Any:
    def text(value: bytes) -> str:
        digits = value.hex()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    return pa.array([None if one is None else text(one) for one in array.to_pylist()], pa.string())


def _writer_of_floats(limit: int) -> Callable[[Any], Any]:
    """PostgreSQL's notation: with an exponent below 1e-04 and from 10^limit on (PostgreSQL, src/common/d2s.c and f2s.c)."""
    # what Arrow writes in the same way
    plain = rf"^-?(?:0|[1-9][0-9]{{0,{min(limit, 10) - 1}}}(?:\.[0-9]+)?|0\.0{{0,3}}[1-9][0-9]*)$"

    def write(array: Any) -> Any:
        texts = array.cast(pa.string())
        usual = pc.match_substring_regex(texts, plain)
        if pc.all(usual).as_py() is not False:
            return texts
        pairs = zip(texts.to_pylist(), usual.to_pylist(), strict=True)
        return pa.array([one if same or one is None else float_text(one, limit) for one, same in pairs], pa.string())

    return write


def float_text(text: str, limit: int) -> str:
    """A number in its fewest digits, however written, as PostgreSQL writes it.

    :param limit: the power of ten from which on it takes an exponent: 6 for float4, 15 for float8.
    """
    sign, number = ("-", text[1:]) if text.startswith("-") else ("", text)
    if number.lower() in ("nan", "inf"):
        return "NaN" if number.lower() == "nan" else f"{sign}Infinity"
    mantissa, _, exponent = number.lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    power = len(whole) - (len(whole + fraction) - len(digits)) - 1 + int(exponent or 0)
    digits = digits.rstrip("0")
    if not digits:
        return f"{sign}0"
    if not -4 <= power < limit:
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{rest}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    whole, fraction = digits[: power + 1].ljust(power + 1, "0"), digits[power + 1 :]
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


_FLOAT = r"-?(?:NaN|Infinity|[0-9]+(?:\.[0-9]+)?(?:e[-+][0-9]{2,3})?)"
_RULES: dict[str, _Rule] = {
    "date": _Rule(pa.date32(), _DATE, lambda texts: texts.cast(pa.date32()), lambda array: array.cast(pa.string())),
    "time": _Rule(pa.time64("us"), _TIME, _parse_time, _write_time),
    "timestamp": _Rule(
        pa.timestamp("us"), f"{_DATE} {_TIME}", lambda texts: texts.cast(pa.timestamp("us")), _write_time
    ),
    "timestamptz": _Rule(pa.timestamp("us", "UTC"), rf"{_DATE} {_TIME}\+00", _parse_utc, _write_utc),
    "float4": _Rule(pa.float32(), _FLOAT, lambda texts: texts.cast(pa.float32()), _writer_of_floats(6)),
    "float8": _Rule(pa.float64(), _FLOAT, lambda texts: texts.cast(pa.float64()), _writer_of_floats(15)),
    "uuid": _Rule(pa.uuid(), "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", _parse_uuid, _write_uuid),
}
