"""Which columns a Glue table has that describes a backup set where it lies. Pure: nothing here talks to AWS.

| column of the set | Athena |
|---|---|
| S | string; of a logical type date, timestamp, float or double |
| N int64, decimal, text | bigint, decimal(38,s), string |
| B, BOOL | binary, boolean |
| SS, NS, BS | array of the members' type |
| M, L, `_rest` | string, the canonical JSON text |

Athena's names hold a–z, 0–9 and _ only, and it finds the columns of Parquet by name, without regard to case. Where all names are
such, the table's are the set's in lower case. Else its columns are found by their number (`parquet.column.index.access`), and what
is not of these characters becomes _. Sources: Athena User Guide, "Name databases, tables, and columns", "Data types in Amazon
Athena", "Handle schema updates".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tablekeep.engine.items.layout import DECIMAL_DIGITS, REST, Column, Layout

NAME_BYTES = 255
COMMENT_CHARACTERS = 255
_NAME = re.compile(r"[a-z0-9_]{1,255}")
_LOGICAL = {
    "date": "date", "timestamp": "timestamp", "timestamptz": "timestamp", "float4": "float", "float8": "double", "json": "string",
}  # fmt: skip
_NO_TYPE = {"time": "bigint", "uuid": "binary"}
"""Logical types of Parquet that Athena has no type for, and the type of what is stored. Whether Athena reads the one as the other is not
documented: such a column is left out, or, where columns go by number, declared and not to be asked for."""


@dataclass(frozen=True, slots=True)
class GlueColumn:
    """One column of the table.

    :ivar comment: the attribute's real name and DynamoDB type, for people.
    """

    name: str
    type: str
    comment: str
    source: Column | None

    def as_input(self) -> dict[str, str]:
        """As Glue's API takes it."""
        return {"Name": self.name, "Type": self.type} | ({"Comment": self.comment} if self.comment else {})


@dataclass(frozen=True, slots=True)
class GlueColumns:
    """The columns of a table.

    :ivar by_number: they are found in the files by their number, not by name.
    :ivar unreadable: columns of the set that Athena has no type for: left out when `by_number` is false, else not to be asked for.
    """

    columns: tuple[GlueColumn, ...]
    by_number: bool
    unreadable: tuple[str, ...]


def is_name(text: str) -> bool:
    """Whether Athena takes it as the name of a database, table or column."""
    return _NAME.fullmatch(text) is not None


def glue_columns(layout: Layout) -> GlueColumns:
    """The columns for a full set's layout, in the files' order, `_rest` last."""
    names = [column.column for column in layout.columns] + [REST]
    by_number = not all(is_name(_lower(name)) for name in names)
    chosen = _cleaned(names) if by_number else [_lower(name) for name in names]
    found, unreadable = list[GlueColumn](), list[str]()
    for name, column in zip(chosen, [*layout.columns, None], strict=True):
        if column is not None and column.logical in _NO_TYPE:
            unreadable.append(column.column)
            if not by_number:
                continue
        found.append(GlueColumn(name, _hive_type(column), _comment(column), column))
    return GlueColumns(tuple(found), by_number, tuple(unreadable))


def _hive_type(column: Column | None) -> str:
    match column.type if column else REST:
        case "S" if column is not None and column.logical:
            return _LOGICAL.get(column.logical) or _NO_TYPE[column.logical]
        case "N" if column is not None:
            return _number(column)
        case "B":
            return "binary"
        case "BOOL":
            return "boolean"
        case "NS" if column is not None:
            return f"array<{_number(column)}>"
        case "SS":
            return "array<string>"
        case "BS":
            return "array<binary>"
        case _:
            return "string"


def _number(column: Column) -> str:
    if column.number == "int64":
        return "bigint"
    return f"decimal({DECIMAL_DIGITS},{column.scale})" if column.number == "decimal" else "string"


def _comment(column: Column | None) -> str:
    if column is None:
        return "attributes without a column or of another type, DynamoDB's typed JSON"
    kept = "".join(one if one.isprintable() else " " for one in column.attribute)
    return f"{column.type} {kept}"[:COMMENT_CHARACTERS]


def _lower(name: str) -> str:
    """ASCII letters in lower case: others are no part of names in any case."""
    return "".join(one.lower() if one.isascii() else one for one in name)


def _cleaned(names: Sequence[str]) -> list[str]:
    """Names that Athena takes, each once: what is so already keeps its name, others get `_2`, `_3` … when theirs is taken."""
    wanted = [re.sub(r"[^a-z0-9_]+", "_", _lower(name))[:NAME_BYTES] or "_" for name in names]
    taken = {name for name, raw in zip(wanted, names, strict=True) if name == _lower(raw)}
    found = []
    for name, raw in zip(wanted, names, strict=True):
        chosen, number = name, 2
        while name != _lower(raw) and chosen in taken:
            end = f"_{number}"
            chosen, number = f"{name[: NAME_BYTES - len(end)]}{end}", number + 1
        taken.add(chosen)
        found.append(chosen)
    return found
