"""Names in SQL: tables as people write them, and identifiers quoted so that no name is ever read as SQL."""

import re
from dataclasses import dataclass, replace

from tablekeep.engine.copies.dialects import RULES, Dialect
from tablekeep.engine.errors import BadInputError

_PART = re.compile(r'"((?:[^"]|"")+)"|([A-Za-z_][A-Za-z0-9_$]*)')


def quoted(name: str, dialect: Dialect = "postgres") -> str:
    """An identifier in double quotes; in MySQL's backquotes."""
    mark = "`" if dialect == "mysql" else '"'
    return mark + name.replace(mark, mark * 2) + mark


def check_identifier(name: str, dialect: Dialect, what: str) -> str:
    """The name, if the database takes it as it is.

    :param what: what is named, for the error: `the column`.
    :raises BadInputError: for an empty or too long one, or one with the character U+0000.
    """
    rules = RULES[dialect]
    size, unit = rules.size(name), "characters" if rules.characters else "bytes in UTF-8"
    if not name or "\0" in name:
        why = "it is empty" if not name else "it holds the character U+0000"
    elif rules.characters and (name != name.rstrip(" ") or max(name) > "\uffff"):
        why = "it ends with a space" if name != name.rstrip(" ") else "it holds a character beyond U+FFFF"
    elif size > rules.limit:
        why = f"it has {size} {unit}, and the database takes {rules.limit}; it would be cut off silently"
    else:
        return name
    raise BadInputError(f"naming {what} {name[:80]!r}", why, f"give a name of 1 to {rules.limit} {unit}")


@dataclass(frozen=True, slots=True)
class TableName:
    """A table in a schema, as the database stores the two names."""

    schema: str
    table: str
    dialect: Dialect = "postgres"

    @property
    def sql(self) -> str:
        """`"public"."orders"`."""
        return f"{quoted(self.schema, self.dialect)}.{quoted(self.table, self.dialect)}"

    def beside(self, table: str) -> "TableName":
        """Another table of the same schema."""
        return replace(self, table=table)

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"


def parse_table(text: str, dialect: Dialect, default_schema: str = "public") -> TableName:
    """Reads `schema.table` or `table`. As in SQL, only a name in double quotes keeps its capitals; MySQL keeps them all.

    :param default_schema: where a bare `table` is.
    :raises BadInputError: for anything else.
    """
    parts, at = list[str](), 0
    while match := _PART.match(text, at):
        bare = match[2] if dialect == "mysql" or match[1] else match[2].lower()
        parts.append(match[1].replace('""', '"') if match[1] else bare)
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
    schema, table = parts if len(parts) == 2 else (default_schema, parts[0])
    return TableName(
        check_identifier(schema, dialect, "the schema"), check_identifier(table, dialect, "the table"), dialect
    )
