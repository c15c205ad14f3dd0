"""Names in MySQL: tables as people write them, and identifiers quoted so that no name is ever read as SQL."""

import re

from tablekeep.engine.errors import BadInputError

_PART = re.compile(r"`((?:[^`]|``)+)`|([0-9A-Za-z_$\u0080-\uffff-]+)")


def quoted(name: str) -> str:
    """An identifier in backquotes."""
    return "`" + name.replace("`", "``") + "`"


def parse_table(text: str, database: str | None) -> tuple[str, str]:
    """Database and table of `database.table` or `table`, plain or in backquotes.

    :param database: the connection's own.
    :raises BadInputError: for anything else.
    """
    parts, at = list[str](), 0
    while match := _PART.match(text, at):
        parts.append(match[1].replace("``", "`") if match[1] else match[2])
        at = match.end()
        if at == len(text) or text[at] != ".":
            break
        at += 1
    if at != len(text) or len(parts) not in (1, 2) or text.endswith(".") or (len(parts) == 1 and not database):
        raise BadInputError(
            f"reading the table's name {text[:120]!r}",
            "it is not database.table",
            "for example shop.orders or shop.`odd name`",
        )
    return (parts[0], parts[1]) if len(parts) == 2 else (str(database), parts[0])
