"""The canonical form of an item: one text for one item, whatever order or notation it arrived in.

Specified in docs/backup-format.md: compact JSON in UTF-8, keys sorted by their UTF-8 bytes, the escapes of JSON's short
forms and `\\u00xx`, no Unicode normalisation; N in plain notation; B in padded standard base64; set members sorted.
Limits of numbers and nesting: Amazon DynamoDB Developer Guide, "Naming rules and data types" and "Service quotas".
"""

import base64
import binascii
import itertools
import re
from collections.abc import Callable, Iterable
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import msgspec

from tablekeep.engine.errors import IntegrityError

MAX_DEPTH = 32
"""Levels of M and L that the service allows. A few more are read, for a service may raise its limit, but not endless ones."""
_READ_DEPTH = 2 * MAX_DEPTH

_PLAIN = re.compile(r"(?:0|-?[1-9][0-9]*|-?(?:0|[1-9][0-9]*)\.[0-9]*[1-9])\Z")
_ANY_NUMBER = re.compile(r"\s*[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,6})?\s*\Z")
_EXACT = Context(prec=1000, Emax=999_999, Emin=-999_999, traps=[InvalidOperation])
_DIGITS, _LOWEST, _HIGHEST = 38, -130, 125

encode_canonical: Callable[[Any], bytes] = msgspec.json.Encoder(order="sorted").encode
"""The canonical text of a value that is canonical already. Tested against a writer of our own over arbitrary text."""
decode_json: Callable[[bytes], Any] = msgspec.json.Decoder().decode


class ItemError(IntegrityError):
    """An item that no DynamoDB table can hold, or that cannot be read. Never quotes the item."""

    def __init__(self, why: str) -> None:
        super().__init__(
            "reading an item",
            why,
            "compare it with the service's rules for data types; the export stops, nothing is dropped",
        )


def canonical_number(text: str) -> str:
    """A number in the plain notation in which the service returns it: `1E2` → `100`, `-0.50` → `-0.5`, `-0` → `0`.

    :raises ItemError: for what is no number, has more than 38 significant digits or lies outside ±1E-130 … ±9.99E+125.
    """
    if len(text) <= _DIGITS and _PLAIN.match(text):
        return text
    if not isinstance(text, str) or len(text) > 1000 or not _ANY_NUMBER.match(text):
        raise ItemError("a number is not in decimal notation")
    value = Decimal(text.strip(), _EXACT)
    if not value:
        return "0"
    value = value.normalize(_EXACT)
    if len(value.as_tuple().digits) > _DIGITS:
        raise ItemError("a number has more than 38 significant digits")
    if not _LOWEST <= value.adjusted() <= _HIGHEST:
        raise ItemError("a number lies outside 1E-130 to 9.99E+125")
    return format(value, "f")


def canonical_binary(text: str) -> str:
    """Padded standard base64 with zero spare bits.

    :raises ItemError: for text that is not base64.
    """
    if not isinstance(text, str):
        raise ItemError("a binary value is not base64 text")
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode()
    except (binascii.Error, ValueError):
        raise ItemError("a binary value is not base64 text") from None


def _string(value: Any, _depth: int) -> str:
    if type(value) is not str:
        raise ItemError("a string value is not text")
    return value


def _number(value: Any, _depth: int) -> str:
    return canonical_number(value) if type(value) is str else _refuse("a number is not text on the wire")


def _binary(value: Any, _depth: int) -> str:
    return canonical_binary(value)


def _bool(value: Any, _depth: int) -> bool:
    return value if type(value) is bool else bool(_refuse("a BOOL is neither true nor false"))


def _null(value: Any, _depth: int) -> bool:
    return True if value is True else bool(_refuse("a NULL is not true"))


def _refuse(why: str) -> str:
    raise ItemError(why)


def _members(member: Callable[[Any, int], str]) -> Callable[[Any, int], list[str]]:
    """A set: its members canonical, sorted by their UTF-8 bytes (which is the order of Python's str), none twice, not empty."""

    def canonical_set(value: Any, depth: int) -> list[str]:
        if type(value) is not list or not value:
            raise ItemError("a set is empty or no list of members")
        members = sorted(member(one, depth) for one in value)
        if len(members) > 1 and any(a == b for a, b in itertools.pairwise(members)):
            raise ItemError("a set holds a member twice")
        return members

    return canonical_set


def _map(value: Any, depth: int) -> dict[str, Any]:
    if type(value) is not dict:
        raise ItemError("a map is no object")
    if depth > _READ_DEPTH:
        raise ItemError("maps and lists are nested too deep")
    return {name: canonical_value(one, depth + 1) for name, one in value.items()}


def _list(value: Any, depth: int) -> list[Any]:
    if type(value) is not list:
        raise ItemError("a list is no array")
    if depth > _READ_DEPTH:
        raise ItemError("maps and lists are nested too deep")
    return [canonical_value(one, depth + 1) for one in value]


CANONICAL: dict[str, Callable[[Any, int], Any]] = {
    "S": _string,
    "N": _number,
    "B": _binary,
    "BOOL": _bool,
    "NULL": _null,
    "SS": _members(_string),
    "NS": _members(_number),
    "BS": _members(_binary),
    "M": _map,
    "L": _list,
}
"""For each of the ten DynamoDB types the function that makes a wire value canonical."""


def canonical_value(value: Any, depth: int = 1) -> dict[str, Any]:
    """One attribute value, `{"N": "1.50"}` → `{"N": "1.5"}`.

    :raises ItemError: for anything that is not exactly one of the ten types with a value of that type.
    """
    if type(value) is not dict or len(value) != 1:
        raise ItemError("an attribute value does not have exactly one type")
    ((kind, content),) = value.items()
    rule = CANONICAL.get(kind)
    if rule is None:
        raise ItemError(f"an attribute value has the unknown type {kind[:8]!r}")
    return {kind: rule(content, depth)}


def canonical_attributes(item: Any) -> dict[str, dict[str, Any]]:
    """A whole item, decoded from its wire JSON, with every value canonical. The order of names is not: encode sorts."""
    if type(item) is not dict:
        raise ItemError("an item is no object")
    return {name: canonical_value(value) for name, value in item.items()}


def canonical_item(item: Any) -> bytes:
    """The canonical text of an item given as decoded wire JSON (`{"id": {"S": "a"}, …}`, B as base64 text)."""
    return encode_canonical(canonical_attributes(item))


def canonical_key(attributes: dict[str, dict[str, Any]], key_names: Iterable[str]) -> bytes:
    """The canonical text of an item's key: that of an item with the key's attributes alone.

    :raises ItemError: when a key attribute is missing.
    """
    try:
        return encode_canonical({name: attributes[name] for name in key_names})
    except KeyError:
        raise ItemError("an item lacks an attribute of its key") from None


def parse_item(raw: bytes | msgspec.Raw) -> dict[str, Any]:
    """An item's wire JSON as Python objects, not yet canonical.

    :raises ItemError: for text that is no JSON or no UTF-8.
    """
    try:
        item = decode_json(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ItemError("an item is not valid JSON in UTF-8") from None
    if type(item) is not dict:
        raise ItemError("an item is no object")
    return item
