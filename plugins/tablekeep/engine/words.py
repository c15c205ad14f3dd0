"""Facts as people read them, whatever they are about."""

import json
from collections.abc import Iterable
from typing import Any


def markdown_table(lines: Iterable[tuple[str, str]]) -> str:
    """(name, text) as a table in Markdown; nothing in a text becomes markup of tables or HTML."""
    rows = "\n".join(f"| {name} | {_cell(text)} |" for name, text in lines)
    return f"| | |\n|---|---|\n{rows}"


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def about(seconds: float) -> str:
    """`about 1 h 5 min`, `about 12.3 s`."""
    if seconds < 60:
        return f"about {seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < 60 else f"about {minutes // 60} h {minutes % 60} min"


def fact_text(fact: Any) -> str:
    """A setting for people: `yes`, `none`, or compact JSON."""
    if fact is None or fact in ([], {}):
        return "none"
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    return fact if isinstance(fact, str) else json.dumps(fact, ensure_ascii=False)
