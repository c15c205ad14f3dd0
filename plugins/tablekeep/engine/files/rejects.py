"""Rows that are not what they should be: counted, told by file and line, never by what they hold."""

from dataclasses import dataclass, field

import msgspec

from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.files.description import BadRows

FOLDER = "_rejects"
"""Beside the sets of a name: `_rejects/<backup id>.jsonl`."""
SHOWN = 5


@dataclass
class Rejects:
    """The bad rows of an import.

    :ivar lines: `(file, line, reason)`; of Parquet the row's number.
    """

    rule: BadRows
    what: str
    lines: list[tuple[str, int, str]] = field(default_factory=list)

    def add(self, file: str, line: int, reason: str) -> None:
        """One more.

        :raises IntegrityError: when it is one too many.
        """
        self.lines.append((file, line, reason))
        if len(self.lines) > self.rule.most:
            told = "; ".join(f"{name} line {number}: {why}" for name, number, why in self.lines[:SHOWN])
            more = f", the most that are allowed is {self.rule.most:,}" if self.rule.most else ""
            raise IntegrityError(
                self.what,
                f"{len(self.lines):,} bad row{'s' if len(self.lines) > 1 else ''}{more} ({told})",
                "correct the files, declare the columns otherwise, or allow some with bad_rows",
            )

    def text(self) -> bytes:
        """One JSON object a line, in the files' order."""
        return b"".join(
            msgspec.json.encode({"file": file, "line": line, "reason": reason}) + b"\n"
            for file, line, reason in sorted(self.lines)
        )
