"""Rows of CSV with the lines on which they begin; what is broken is told, and reading goes on behind it."""

import csv
from collections.abc import Callable, Iterator
from typing import IO

from tablekeep.engine.files.description import Files

MAX_FIELD = 64 * 1024 * 1024
Tell = Callable[[int, str], None]
"""Told the line and the reason of a bad row."""


def csv_rows(stream: IO[bytes], files: Files, tell: Tell) -> Iterator[tuple[int, list[str]]]:
    """The rows of one file with the number of their first line; the header, too."""
    csv.field_size_limit(MAX_FIELD)
    lines = _Lines(stream)
    while True:
        reader = csv.reader(
            lines,
            delimiter=files.delimiter,
            quotechar=files.quote,
            escapechar=files.escape,
            doublequote=True,
            strict=True,
        )
        lines.begin()
        try:
            for row in reader:
                if row:
                    yield lines.first, row
                lines.begin()
            return
        except csv.Error:
            tell(lines.first, "broken quotes, or characters between a quote and a delimiter")
        except UnicodeDecodeError:
            tell(lines.first, "it is not in UTF-8")


class _Lines:
    """Decoded lines.

    :ivar first: the number of the line on which the present row begins.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._at = stream, 0
        self.first = 1

    def begin(self) -> None:
        """The next line begins a row."""
        self.first = self._at + 1

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._stream.readline()
        if not line:
            raise StopIteration
        self._at += 1
        if self._at == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        return line.decode()
