"""Names in SQL: tables as people write them, and identifiers quoted so that no name is ever read as SQL."""

import re
from dataclasses import dataclass

from tablekeep.engine.errors import BadInputError

POSTGRES_BYTES = 63
"""PostgreSQL, "Identifiers and Key Words": longer names are cut off silently (NAMEDATALEN - 1)."""
REDSHIFT_BYTES = 127
"""Redshift Database Developer Guide, "Names and identifiers"."""

_PART = re.compile(r'"((?:[^"]|"")+)"|([A-Za-z_][A-Za-z0-9_$]*)')


def quoted(name: str) -> str:
    """An identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def check_identifier(name: str, limit: int, what: str) -> str:
    """The name, if the database takes it as it is.

    :param limit: bytes in UTF-8. :param what: what is named, for the error: `the column`.
    :raises BadInputError: for an empty or too long one, or one with the character U+0000.
    """
    size = len(name.encode())
    if not name or "\0" in name:
        why = "it is empty" if not name else "it holds the character U+0000"
    elif size > limit:
        why = f"it has {size} bytes in UTF-8, and the database takes {limit}; it would be cut off silently"
    else:
        return name
    raise BadInputError(
        f"naming {what} {name[:80]!r}",
        why,
        f"give a name of 1 to {limit} bytes; an attribute's can be pinned in `columns:`",
    )


@dataclass(frozen=True, slots=True)
class TableName:
    """A table in a schema, as the database stores the two names."""

    schema: str
    table: str

    @property
    def sql(self) -> str:
        """`"public"."orders"`."""
        return f"{quoted(self.schema)}.{quoted(self.table)}"

    def beside(self, table: str) -> "TableName":
        """Another table of the same schema."""
        return TableName(self.schema, table)

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"


def parse_table(text: str, limit: int) -> TableName:
    """Reads `schema.table` or `table` (then in `public`). As in SQL, only a name in double quotes keeps its capitals.

    :param limit: bytes an identifier may have.
    :raises BadInputError: for anything else.
    """
    parts, at = list[str](), 0
    while match := _PART.match(text, at):
        parts.append(match[1].replace('""', '"') if match[1] else match[2].lower())
        at = match.end()
        if at == len(text) or text[at] != ".":
            break
        at += 1
    if at != len(text) or not 1 <= len(parts) <= 2 or text.endswith("."):
        raise BadInputError(
            f"reading the table's name {text[:120]!r}",
            "it is not schema.table",
            'write it as in SQL, for example public.orders or public."Orders"',
        )
    schema, table = parts if len(parts) == 2 else ("public", parts[0])
    return TableName(check_identifier(schema, limit, "the schema"), check_identifier(table, limit, "the table"))
