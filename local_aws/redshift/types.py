"""Redshift's column types: how they are written, what PostgreSQL gets, what a catalog shows.

Source of the limits: Redshift Database Developer Guide, "Data types".
"""

import re
from dataclasses import dataclass

from local_aws.redshift.tokens import Reader, SqlError, quoted

MAX_VARCHAR = 65535  # newer releases may take more: UNCONFIRMED
MAX_CHAR = 4096
MAX_VARBYTE = 1024000  # of 2023; newer releases take 16 MB: UNCONFIRMED
MAX_PRECISION = 38
MAX_SCALE = 37

SIMPLE = {
    "smallint": "smallint", "int2": "smallint", "integer": "integer", "int": "integer", "int4": "integer",
    "bigint": "bigint", "int8": "bigint", "real": "real", "float4": "real", "float8": "double precision",
    "float": "double precision", "boolean": "boolean", "bool": "boolean", "date": "date",
    "timestamptz": "timestamp with time zone", "timetz": "time with time zone", "super": "super",
}  # fmt: skip
STRINGS = {"varchar": "character varying", "nvarchar": "character varying", "text": "character varying"}
STRINGS |= {"char": "character", "nchar": "character", "bpchar": "character"}
BINARIES = {"varbyte", "varbinary"}
POSTGRES = {"super": "redshift_local.super", "binary varying": "bytea"}
NO_KEYS = frozenset(["super", "binary varying"])
"""Types that can be neither distribution nor sort key ("Limitations" of SUPER and of VARBYTE)."""


@dataclass(frozen=True)
class ColumnType:
    """One type.

    :param kind: the catalog's name, such as `character varying`, `numeric`, `super`.
    :param size: length in bytes, or precision; 0 for types without.
    :param scale: of numeric.
    """

    kind: str
    size: int = 0
    scale: int = 0

    def __str__(self) -> str:
        if self.kind == "numeric":
            return f"numeric({self.size},{self.scale})"
        return f"{self.kind}({self.size})" if self.size else self.kind

    @property
    def postgres(self) -> str:
        return POSTGRES.get(self.kind, str(self))

    def check(self, column: str) -> str:
        """A constraint for what PostgreSQL's type does not enforce: lengths in bytes. "" where it does."""
        # its name is how the violation is told from others (`runner.redshift_error`)
        name = quoted(f"{self} {column}"[:60])
        if self.kind == "super":
            return f" CONSTRAINT {name} CHECK (redshift_local.super_fits({quoted(column)}))"
        if self.kind not in {"character varying", "character", "binary varying"}:
            return ""
        return f" CONSTRAINT {name} CHECK (octet_length({quoted(column)}) <= {self.size})"


def read_type(reader: Reader) -> ColumnType:
    """The type that comes next in a column's definition.

    :raises SqlError: for a type that Redshift does not have, or a size beyond its limits.
    """
    word = reader.take().word
    if word in {"decimal", "numeric"}:
        return numeric(arguments(reader))
    if word == "character" and reader.skip("varying"):
        return varchar(arguments(reader))
    if word == "character" or STRINGS.get(word) == "character":
        return char(arguments(reader))
    if word == "text":
        return varchar(arguments(reader) and [])  # TEXT is VARCHAR(256), whatever length is given
    if word in STRINGS:
        return varchar(arguments(reader))
    if word in BINARIES or (word == "binary" and reader.skip("varying")):
        return varbyte(arguments(reader))
    if word == "double":
        reader.expect("precision")
        return ColumnType("double precision")
    if word in {"timestamp", "time"}:
        zone = reader.skip("with", "time", "zone")
        if not zone:
            reader.skip("without", "time", "zone")
        return ColumnType(f"{word} with{'' if zone else 'out'} time zone")
    if word == "float" and reader.next.text == "(":
        return ColumnType("real" if int(arguments(reader)[0]) <= 24 else "double precision")
    if word in SIMPLE:
        return ColumnType(SIMPLE[word])
    raise SqlError(f'type "{word}" does not exist')


def arguments(reader: Reader) -> list[str]:
    if reader.next.text != "(":
        return []
    return [t.word or t.text for t in reader.group() if t.text != ","]


def numeric(given: list[str]) -> ColumnType:
    precision, scale = ([int(g) for g in given] + [18, 0][len(given) :])[:2]
    if len(given) == 1:
        scale = 0
    if not 1 <= precision <= MAX_PRECISION:
        raise SqlError(f"DECIMAL precision {precision} must be between 1 and {MAX_PRECISION}")
    if not 0 <= scale <= min(precision, MAX_SCALE):
        raise SqlError(f"DECIMAL scale {scale} must be between 0 and {min(precision, MAX_SCALE)}")
    return ColumnType("numeric", precision, scale)


def varchar(given: list[str]) -> ColumnType:
    size = 256 if not given else MAX_VARCHAR if given[0] == "max" else int(given[0])
    return sized("character varying", size, MAX_VARCHAR)


def char(given: list[str]) -> ColumnType:
    return sized("character", 1 if not given else MAX_CHAR if given[0] == "max" else int(given[0]), MAX_CHAR)


def varbyte(given: list[str]) -> ColumnType:
    return sized("binary varying", 64000 if not given else int(given[0]), MAX_VARBYTE)


def sized(kind: str, size: int, limit: int) -> ColumnType:
    if size < 1:
        raise SqlError(f"length for type {kind} must be at least 1")
    if size > limit:
        raise SqlError(f"length for type {kind} cannot exceed {limit}")
    return ColumnType(kind, size)


FORMATTED = re.compile(
    r"(?P<kind>[a-z ]+?)(?:\((?P<size>\d+)(?:,(?P<scale>-?\d+))?\))?(?P<rest> with(?:out)? time zone)?"
)


def parse_type(text: str) -> ColumnType:
    """What `str` of a type gave, or PostgreSQL's `format_type` (for columns made by CREATE TABLE AS)."""
    match = FORMATTED.fullmatch(text)
    if match is None:
        raise SqlError(f"unsupported type {text}")
    kind = match["kind"] + (match["rest"] or "")
    kind = {"bytea": "binary varying", "text": "character varying"}.get(kind, kind)
    size = int(match["size"] or 0)
    if kind == "character varying" and not size:
        size = MAX_VARCHAR
    if kind == "binary varying" and not size:
        size = MAX_VARBYTE
    if kind == "numeric" and not size:
        return ColumnType("numeric", 38, 0)
    if kind.startswith(("timestamp", "time ")):
        size = 0
    return ColumnType(kind, size, int(match["scale"] or 0))
