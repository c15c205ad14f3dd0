"""Some rows of a file, before they are looked at."""

from dataclasses import dataclass
from typing import Any


@dataclass
class Page:
    """Rows of a file.

    :ivar lines: on which each begins; of Parquet the row's number. :ivar texts: by column, an Arrow array of strings.
    :ivar more: of JSON the other attributes of each row, typed.
    """

    lines: list[int]
    texts: dict[str, Any]
    more: list[dict[str, Any]] | None = None
