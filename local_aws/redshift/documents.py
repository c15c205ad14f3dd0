"""SUPER values outside of PostgreSQL: how they are stored, shown, and made from Parquet.

Stored is text: a document is U+0001 and its JSON, anything else a plain string (`bootstrap.sql`).
"""

import json
import math
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from local_aws.redshift.tokens import SqlError

MAX_SUPER_BYTES = 16 * 1024 * 1024
MAX_SUPER_STRING_BYTES = 65535
MAX_DIGITS = 38
DOCUMENT = "\x01"


def shown(stored: str) -> str:
    """The JSON text of a stored value."""
    return stored[1:] if stored.startswith(DOCUMENT) else json.dumps(stored, ensure_ascii=False)


def stored(value: Any) -> str:
    """A value that Arrow gave, as it is stored. Strings, also those that hold JSON, stay strings.

    :raises SqlError: for a value that SUPER cannot hold.
    """
    text = DOCUMENT + render(value)
    if len(text.encode()) > MAX_SUPER_BYTES:
        raise SqlError(f"a SUPER value is longer than {MAX_SUPER_BYTES} bytes")
    return text


def render(value: Any) -> str:
    """JSON text; decimals with all their digits."""
    match value:
        case dict():
            return "{" + ",".join(f"{string(str(k))}:{render(v)}" for k, v in value.items()) + "}"
        case [(_, _), *_]:  # a Parquet map
            return "{" + ",".join(f"{string(str(k))}:{render(v)}" for k, v in value) + "}"
        case list():
            return "[" + ",".join(map(render, value)) + "]"
        case str():
            return string(value)
        case Decimal():
            return number(value)
        case float() if not math.isfinite(value):
            raise SqlError("SUPER holds no NaN and no infinity")
        case None | bool() | int() | float():
            return json.dumps(value)
        case date() | datetime() | time():
            return string(str(value))  # "converts them to varchar"; said of ORC, taken for Parquet
    raise SqlError(f"a value of type {type(value).__name__} inside of SUPER is UNCONFIRMED, so refused")


def string(value: str) -> str:
    if len(value.encode()) > MAX_SUPER_STRING_BYTES:
        raise SqlError(f"a string inside of SUPER is longer than {MAX_SUPER_STRING_BYTES} bytes")
    return json.dumps(value, ensure_ascii=False)


def number(value: Decimal) -> str:
    """Beyond what a DECIMAL holds it becomes a double (`bootstrap.sql`, super_number)."""
    text = format(value, "f")
    return text if len(text.strip("-").replace(".", "").lstrip("0")) <= MAX_DIGITS else repr(float(value))
