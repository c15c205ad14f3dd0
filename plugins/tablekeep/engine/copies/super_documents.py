"""JSON documents as Redshift's SUPER takes them. Pure.

SUPER holds integers, decimals of at most 38 digits (37 after the point) and doubles (Redshift Database Developer Guide, "SUPER type",
"DECIMAL_PRECISION function"). A number beyond would become a double and lose digits: it is sent as a JSON string with its exact text.
That JSON_PARSE makes decimals at all is not documented, so the warehouse is asked first (`PROBE`); where it makes doubles, every number
that a double does not hold exactly is sent as a string.
"""

import re
from collections.abc import Callable

import msgspec

STRING_BYTES = 65_535
"""Of one string inside of a SUPER value ("Limitations")."""
DOCUMENT_BYTES = 1_024_000
"""Of a document in UTF-8: it is sent as VARBYTE, the only type longer than VARCHAR that JSON_PARSE takes ("VARBYTE type", "JSON_PARSE
function"; newer releases take 16 MB: not relied upon)."""
DEPTH = 1000
"""Levels of arrays and objects ("Limitations")."""
DIGITS, SCALE = 38, 37
DOUBLE_DIGITS = 15
"""Every decimal number of so many digits survives a double (IEEE 754, DBL_DIG)."""
PROBE = "[9223372036854775807,12345678901234567890,12345678901234567890123456789012345678,1234567890.12345678901234567,-0.5]"
"""What JSON_SERIALIZE(JSON_PARSE(…)) gives back unchanged where SUPER keeps decimals."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?', re.DOTALL)
_NUMBER = re.compile(r"-?([0-9]+)(?:\.([0-9]+))?(?:[eE]([-+]?[0-9]+))?")
_LONG_NUMBER = {True: re.compile(r"[0-9.]{39}|[0-9][eE][-+0-9]"), False: re.compile(r"[0-9.]{16}|[0-9][eE][-+0-9]")}
"""What a text holds, anywhere, that holds a number which needs a look; by whether decimals are kept."""
Exact = Callable[[str], bool]


def keeps_decimals(answer: str) -> bool:
    """Whether a warehouse that answered so to the probe keeps decimals."""
    return answer.replace(" ", "") == PROBE


def exact_numbers(text: str, *, decimals: bool) -> tuple[str, int]:
    """The document with the numbers that SUPER would not hold exactly as strings, and how many these are.

    :param decimals: whether the warehouse keeps decimals.
    """
    if not _LONG_NUMBER[decimals].search(text):
        return text, 0
    count = 0

    def replaced(found: re.Match[str]) -> str:
        nonlocal count
        token = found[0]
        if token[0] == '"' or _is_exact(token, decimals):
            return token
        count += 1
        return f'"{token}"'

    return _TOKEN.sub(replaced, text), count


def _is_exact(number: str, decimals: bool) -> bool:
    found = _NUMBER.fullmatch(number)
    assert found is not None
    whole, fraction, exponent = found[1].lstrip("0"), found[2] or "", int(found[3] or 0)
    if not exponent and not fraction and len(whole) <= 19 and int(whole or "0") < 2**63:
        return True
    if decimals and not found[3]:
        return len(whole) + len(fraction) <= DIGITS and len(fraction) <= SCALE
    # a number with an exponent is a double in any case; 15 digits survive within its range
    return len((whole + fraction).strip("0")) <= DOUBLE_DIGITS and -290 < len(whole) + exponent < 300


def unfit(text: str) -> str | None:
    """Why SUPER cannot hold a document, without its contents; None when it can."""
    size = len(text.encode())
    if size > DOCUMENT_BYTES:
        return f"longer than {DOCUMENT_BYTES:,} bytes"
    if size > STRING_BYTES and _longest_string(text) > STRING_BYTES:
        return f"with a string longer than {STRING_BYTES:,} bytes"
    if text.count("[") + text.count("{") > DEPTH and _depth(text) > DEPTH:
        return f"nested deeper than {DEPTH:,} levels"
    return None


def _longest_string(text: str) -> int:
    """Bytes of the longest string, names of attributes included."""
    return max(
        (
            len(msgspec.json.decode(found[0], type=str).encode())
            for found in _TOKEN.finditer(text)
            if found[0][0] == '"'
        ),
        default=0,
    )


def _depth(text: str) -> int:
    deepest = now = 0
    for one in re.sub(r'"(?:[^"\\]|\\.)*"', "", text, flags=re.DOTALL):
        now += (one in "[{") - (one in "]}")
        deepest = max(deepest, now)
    return deepest


def has_twins(text: str) -> bool:
    """Whether an object of the document names an attribute twice, which JSON_PARSE refuses ("SUPER configurations")."""
    import json

    class Twice(Exception):
        pass

    def check(pairs: list[tuple[str, object]]) -> None:
        if len({name for name, _ in pairs}) != len(pairs):
            raise Twice

    try:
        json.loads(text, object_pairs_hook=check, parse_int=str, parse_float=str)
    except Twice:
        return True
    return False


def cut(text: str, limit: int) -> str:
    """The longest beginning of a text that has at most `limit` bytes in UTF-8."""
    return text.encode()[:limit].decode(errors="ignore")


def cut_strings(text: str) -> tuple[str, int]:
    """The document with its strings cut to what SUPER takes, and how many were."""
    count = 0

    def replaced(found: re.Match[str]) -> str:
        nonlocal count
        if found[0][0] != '"' or len(found[0]) <= STRING_BYTES // 4:
            return found[0]
        value = msgspec.json.decode(found[0], type=str)
        if len(value.encode()) <= STRING_BYTES:
            return found[0]
        count += 1
        return msgspec.json.encode(cut(value, STRING_BYTES)).decode()

    return (_TOKEN.sub(replaced, text), count) if len(text) > STRING_BYTES // 4 else (text, 0)
