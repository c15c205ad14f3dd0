"""Paths to attributes: `city`, `customer.address.city`, `lines[0].sku`, `"odd.name".x`. Pure text.

A name with a point, a bracket or a quotation mark stands in double quotes, in which a quotation mark is doubled.
"""

import re

Path = tuple[str | int, ...]
"""An attribute's name, then names of members of maps and positions in lists, from 0."""

MAX_STEPS = 33
"""An attribute, and the 32 levels that DynamoDB nests."""
_NAME = re.compile(r'"((?:[^"]|"")+)"|([^.\[\]"]+)')
_INDEX = re.compile(r"\[(0|[1-9][0-9]{0,5})\]")


def parse_path(text: str) -> Path:
    """Reads what `path_text` gives.

    :raises ValueError: for anything else, with the rule.
    """
    path = list[str | int]()
    at = 0
    while True:
        name = _NAME.match(text, at)
        if not name:
            raise ValueError(
                'it must be names with points between them, for example customer.address.city or "odd.name"'
            )
        path.append(name[1].replace('""', '"') if name[1] else name[2])
        at = name.end()
        while index := _INDEX.match(text, at):
            path.append(int(index[1]))
            at = index.end()
        if at == len(text):
            break
        if text[at] != ".":
            raise ValueError("after a name there may be a point or a position such as [0]")
        at += 1
    if len(path) > MAX_STEPS:
        raise ValueError(f"it has more than {MAX_STEPS} steps, and DynamoDB nests 32 levels")
    return tuple(path)


def path_text(path: Path) -> str:
    """`lines[0].sku`."""
    parts = list[str]()
    for step in path:
        if isinstance(step, int):
            parts[-1] += f"[{step}]"
        else:
            plain = _NAME.fullmatch(step) and not step.startswith('"')
            parts.append(step if plain else '"' + step.replace('"', '""') + '"')
    return ".".join(parts)


def path_name(path: Path) -> str:
    """How a column of it is named when nobody says: `lines_0_sku`."""
    return "_".join(str(step) for step in path)
