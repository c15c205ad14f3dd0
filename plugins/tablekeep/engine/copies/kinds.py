"""The kinds of SQL column in words that no database owns: `varchar(40)`, `numeric(12,2)`, `timestamptz`, `text[]`.

Each target writes them in its own way (dialects.py). Nothing here imports Arrow: pipeline files are checked by it while Airflow parses.
"""

import re
from dataclasses import dataclass

NAMES = (
    "text", "varchar", "smallint", "integer", "bigint", "numeric", "real", "double", "boolean", "bytes", "json", "date", "time",
    "timestamp", "timestamptz", "uuid",
)  # fmt: skip
_ALSO = {
    "string": "text", "int": "integer", "int2": "smallint", "int4": "integer", "int8": "bigint", "decimal": "numeric",
    "number": "numeric", "float4": "real", "float": "double", "float8": "double", "double precision": "double", "bool": "boolean",
    "binary": "bytes", "bytea": "bytes", "varbyte": "bytes", "blob": "bytes", "jsonb": "json", "super": "json",
    "datetime": "timestamp",
}  # fmt: skip
"""What people write for the same."""
INTEGERS = {"smallint": 16, "integer": 32, "bigint": 64}
"""Bits."""
_WRITTEN = re.compile(r"([a-z][a-z0-9 ]*?)\s*(?:\(\s*([0-9]{1,9})\s*(?:,\s*([0-9]{1,3})\s*)?\))?\s*(\[\])?\Z")
MAX_PRECISION = 1000
"""PostgreSQL, "Numeric Types"; the others take less."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of column.

    :ivar size: of varchar and bytes: bytes of the longest value in UTF-8, None where no limit is wanted.
    :ivar precision, scale: of a numeric of a fixed form; None: any number, exactly. :ivar array: a list of such values.
    """

    name: str
    size: int | None = None
    precision: int | None = None
    scale: int = 0
    array: bool = False

    def __str__(self) -> str:
        inside = (
            f"({self.precision},{self.scale})" if self.precision is not None else f"({self.size})" if self.size else ""
        )
        return f"{self.name}{inside}{'[]' if self.array else ''}"

    @property
    def element(self) -> "Kind":
        """Of an array what it is a list of."""
        return Kind(self.name, self.size, self.precision, self.scale)


def parse_kind(text: str) -> Kind:
    """Reads `numeric(12,2)`; the words of several databases are known.

    :raises ValueError: for anything else, with the rule.
    """
    found = _WRITTEN.match(text.strip().lower())
    name = _ALSO.get(found[1], found[1]) if found else ""
    if not found or name not in NAMES:
        raise ValueError(f"it must be one of {', '.join(NAMES)}, or an array such as text[]")
    first, second = found[2], found[3]
    array = bool(found[4])
    if name == "varchar":
        if first is None or second is not None or int(first) < 1:
            raise ValueError("varchar needs its length in bytes, for example varchar(200)")
        return Kind(name, size=int(first), array=array)
    if name == "numeric" and first is not None:
        precision, scale = int(first), int(second or 0)
        if not 1 <= precision <= MAX_PRECISION or scale > precision:
            raise ValueError("numeric has 1 to 1000 digits, and no more of them after the point than in all")
        return Kind(name, precision=precision, scale=scale, array=array)
    if first is not None and not (name == "bytes" and second is None and int(first) >= 1):
        raise ValueError(f"{name} takes no numbers in parentheses")
    return Kind(name, size=int(first) if first else None, array=array)


def wider(one: Kind, other: Kind) -> Kind | None:
    """The narrowest kind that holds what both hold, exactly; None when there is none but text or JSON."""
    if one == other:
        return one
    if one.array or other.array:
        inner = wider(one.element, other.element) if one.array and other.array else None
        return Kind(inner.name, inner.size, inner.precision, inner.scale, True) if inner else None
    names = {one.name, other.name}
    if names <= {"text", "varchar"} or names == {"bytes"}:
        if names == {"text", "varchar"} or one.size is None or other.size is None:
            return Kind("text" if "bytes" not in names else "bytes")
        return Kind(one.name, size=max(one.size, other.size))
    if names <= set(INTEGERS):
        return max(one, other, key=lambda kind: INTEGERS[kind.name])
    if names <= {"numeric", *INTEGERS}:
        return _numeric(_as_numeric(one), _as_numeric(other))
    if names == {"real", "double"}:
        return Kind("double")
    return None


def _as_numeric(kind: Kind) -> Kind:
    digits = {"smallint": 5, "integer": 10, "bigint": 19}
    return Kind("numeric", precision=digits[kind.name]) if kind.name in digits else kind


def _numeric(one: Kind, other: Kind) -> Kind:
    if one.precision is None or other.precision is None:
        return Kind("numeric")
    scale = max(one.scale, other.scale)
    whole = max(one.precision - one.scale, other.precision - other.scale)
    return Kind("numeric", precision=whole + scale, scale=scale) if whole + scale <= 38 else Kind("numeric")
