"""Attribute values: the service's rules, its normal form, and its accounting of sizes.

Wire form: `{"S": "text"}`, `{"B": "<base64>"}` and so on, as in the service's JSON. Sources: the developer guide's pages
"Supported data types and naming rules" and "Item sizes and formats". What is accepted, refused and returned was compared
with DynamoDB Local; the texts of errors are the service's where they are known, else DynamoDB Local's.
"""

import base64
import binascii
import re
from decimal import Decimal, InvalidOperation
from typing import Any

from local_aws.responses import ServiceError

Wire = dict[str, Any]

MAX_ITEM_BYTES = 400 * 1024
MAX_DEPTH = 31  # lists and maps around a value: with the value itself 32 levels, as DynamoDB Local counts
MAX_DIGITS = 38
MAX_KEY_BYTES = {"HASH": 2048, "RANGE": 1024}

PLAIN_INTEGER = re.compile(r"-?[1-9][0-9]{0,37}|0")
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
PARAMETERS = "One or more parameter values were invalid: "


def invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)


def normal_number(text: Any) -> str:
    """A number as the service returns it: no exponent, plus sign, leading zeros or trailing fraction zeros.

    :raises ServiceError: for what is no number, has more than 38 significant digits, or lies outside
        ±1E-130 … ±9.99…E+125.
    """
    if not isinstance(text, str):
        raise ServiceError("SerializationException", "NUMBER_VALUE cannot be converted to String")
    if PLAIN_INTEGER.fullmatch(text):
        significant = len(text.lstrip("-"))
        if significant <= MAX_DIGITS:
            return text
    if not NUMBER.fullmatch(text):
        suffix = f": {text}" if text else ""
        raise invalid(f"The parameter cannot be converted to a numeric value{suffix}")
    try:
        sign, digits, exponent = Decimal(text).as_tuple()
    except InvalidOperation:
        raise invalid(
            "Number overflow. Attempting to store a number with magnitude larger than supported range"
        ) from None
    if not isinstance(exponent, int):
        raise invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
    shown = "".join(map(str, digits)).lstrip("0")
    if not shown:
        return "0"
    trimmed = shown.rstrip("0")
    exponent += len(shown) - len(trimmed)
    magnitude = len(trimmed) + exponent - 1
    if magnitude > 125:
        raise invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
    if magnitude < -130:
        raise invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range")
    if len(trimmed) > MAX_DIGITS:
        raise invalid("Attempting to store more than 38 significant digits in a Number")
    return ("-" if sign else "") + plain(trimmed, exponent)


def plain(digits: str, exponent: int) -> str:
    """`digits` × 10^`exponent` without an exponent; `digits` has no zeros at its ends."""
    if exponent >= 0:
        return digits + "0" * exponent
    point = len(digits) + exponent
    if point > 0:
        return f"{digits[:point]}.{digits[point:]}"
    return f"0.{'0' * -point}{digits}"


def number_bytes(text: str) -> int:
    """About one byte for two significant digits and one more; one more for a sign (guide: "approximately")."""
    digits = text.lstrip("-").replace(".", "").strip("0")
    return (len(digits) + 1) // 2 + 1 + (text[0] == "-")


def binary(text: Any) -> bytes:
    """The bytes of a base64 text.

    :raises ServiceError: when it is not standard base64 with padding.
    """
    if not isinstance(text, str):
        raise ServiceError("SerializationException", "Start of structure or value found where a binary was expected")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ServiceError("SerializationException", "Base64 encoded data is invalid") from None


def text_bytes(value: Any) -> int:
    """The length of a string in UTF-8.

    :raises ServiceError: for what is no string, or has an unpaired surrogate.
    """
    if not isinstance(value, str):
        raise ServiceError("SerializationException", "Unexpected value type in payload: a string was expected")
    if value.isascii():
        return len(value)
    try:
        return len(value.encode())
    except UnicodeEncodeError:
        raise ServiceError("SerializationException", "a string is not valid Unicode") from None


def normal_value(value: Any, depth: int = 0) -> tuple[Wire, int]:
    """One attribute value in the form in which the service returns it, and its size in bytes without the name.

    :param depth: number of lists and maps around the value.
    :raises ServiceError: for what the service refuses.
    """
    if not isinstance(value, dict):
        raise ServiceError(
            "SerializationException", "Unexpected value type in payload: an attribute value was expected"
        )
    if len(value) != 1:
        if not value:
            raise invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
        raise invalid(
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
        )
    ((kind, content),) = value.items()
    if kind == "S":
        return value, text_bytes(content)
    if kind == "N":
        text = normal_number(content)
        return {"N": text}, number_bytes(text)
    rule = RULES.get(kind)
    if rule is None:
        raise invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
    normal, size = rule(content, depth)
    return {kind: normal}, size


def _binary(content: Any, depth: int) -> tuple[Any, int]:
    return content, len(binary(content))


def _boolean(content: Any, depth: int) -> tuple[Any, int]:
    if not isinstance(content, bool):
        raise ServiceError("SerializationException", "Unexpected token received from parser: a boolean was expected")
    return content, 1


def _null(content: Any, depth: int) -> tuple[Any, int]:
    if content is not True:
        raise invalid(f"{PARAMETERS}Null attribute value types must have the value of true")
    return True, 1


def _map(content: Any, depth: int) -> tuple[Any, int]:
    if not isinstance(content, dict):
        raise ServiceError("SerializationException", "Unexpected value type in payload: a map was expected")
    _check_depth(depth)
    normal: Wire = {}
    size = 3
    for name, value in content.items():
        if not name:
            raise invalid("Empty attribute name")  # DynamoDB Local's text
        normal[name], inner = normal_value(value, depth + 1)
        size += text_bytes(name) + inner + 1
    return normal, size


def _list(content: Any, depth: int) -> tuple[Any, int]:
    if not isinstance(content, list):
        raise ServiceError("SerializationException", "Unexpected value type in payload: a list was expected")
    _check_depth(depth)
    normal = []
    size = 3
    for value in content:
        element, inner = normal_value(value, depth + 1)
        normal.append(element)
        size += inner + 1
    return normal, size


def _check_depth(depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise invalid(
            "Nesting Levels have exceeded supported limits: "
            "Attributes in the item have nested levels beyond supported limit"
        )


def _strings(content: Any, depth: int) -> tuple[Any, int]:
    members = _members(content, "An string set  may not be empty")
    size = sum(map(text_bytes, members))
    _refuse_duplicates(members, f"{PARAMETERS}Input collection [{', '.join(members)}] contains duplicates")
    # The service promises no order. DynamoDB Local sorts as Java does, by UTF-16 units; so do we.
    return sorted(members, key=lambda member: member.encode("utf-16-be")), size


def _numbers(content: Any, depth: int) -> tuple[Any, int]:
    members = [normal_number(text) for text in _members(content, "An number set  may not be empty")]
    # Numbers are compared by value: `1` and `1.0` are one member twice.
    _refuse_duplicates(members, "Input collection contains duplicates")
    return sorted(members, key=Decimal), sum(map(number_bytes, members))


def _binaries(content: Any, depth: int) -> tuple[Any, int]:
    members = [binary(text) for text in _members(content, "Binary sets should not be empty")]
    _refuse_duplicates(members, f"{PARAMETERS}Input collection of type BS contains duplicates.")
    return [base64.b64encode(member).decode() for member in sorted(members)], sum(map(len, members))


def _members(content: Any, empty: str) -> list[Any]:
    if not isinstance(content, list):
        raise ServiceError("SerializationException", "Unexpected value type in payload: a set was expected")
    if not content:
        raise invalid(PARAMETERS + empty)
    return content


def _refuse_duplicates(members: list[Any], message: str) -> None:
    if len(set(members)) != len(members):
        raise invalid(message)


RULES = {
    "B": _binary,
    "BOOL": _boolean,
    "NULL": _null,
    "M": _map,
    "L": _list,
    "SS": _strings,
    "NS": _numbers,
    "BS": _binaries,
}


def normal_item(item: Any) -> tuple[Wire, int]:
    """A whole item in the service's form, and its size in bytes including attribute names.

    :raises ServiceError: for what the service refuses, items beyond 400 KB included.
    """
    if not isinstance(item, dict):
        raise ServiceError("SerializationException", "Unexpected value type in payload: an item was expected")
    normal: Wire = {}
    size = 0
    for name, value in item.items():
        if not name:
            raise invalid("Empty attribute name")
        normal[name], inner = normal_value(value)
        size += text_bytes(name) + inner
    if size > MAX_ITEM_BYTES:
        raise invalid("Item size has exceeded the maximum allowed size")
    return normal, size


def normal_key_value(name: str, value: Any, expected: str, role: str) -> tuple[Wire, int]:
    """The value of a key attribute.

    :param expected: S, N or B, as the table defines it.
    :param role: HASH or RANGE.
    :raises ServiceError: for another type, an empty value, or one that is too long.
    """
    normal, size = normal_value(value)
    kind = next(iter(normal))
    if kind != expected:
        raise invalid(f"{PARAMETERS}Type mismatch for key {name} expected: {expected} actual: {kind}")
    check_key_size(name, kind, size, role)
    return normal, size


def check_key_size(name: str, kind: str, size: int, role: str) -> None:
    if kind != "N" and size == 0:
        what = "empty string" if kind == "S" else "empty binary"
        raise invalid(
            f"One or more parameter values are not valid. The AttributeValue for a key attribute "
            f"cannot contain an {what} value. Key: {name}"
        )
    if size > MAX_KEY_BYTES[role]:
        part = "hashkey" if role == "HASH" else "aggregated size of all range keys"
        raise invalid(f"{PARAMETERS}Size of {part} has exceeded the maximum size limit of {MAX_KEY_BYTES[role]} bytes")
