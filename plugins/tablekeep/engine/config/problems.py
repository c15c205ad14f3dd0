"""What is wrong with a pipeline file, in the words of whoever has to mend it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    :ivar line: from 1; None where the file as a whole is meant. :ivar field: dotted, as `backup.schedule`; empty for the file.
    :ivar rule: what must hold. :ivar example: a line that would be right; empty where none helps.
    """

    file: Path
    line: int | None
    field: str
    rule: str
    example: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else str(self.file)
        field = f"{self.field}: " if self.field else ""
        example = f" (for example {self.example})" if self.example else ""
        return f"{place}: {field}{self.rule}{example}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "file": str(self.file),
            "line": self.line,
            "field": self.field,
            "rule": self.rule,
            "example": self.example,
        }
