"""What a person or a program sees: progress on a terminal's stderr, tables or one JSON document on stdout."""

import json
import sys
import threading
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from tablekeep.engine.progress import size_text

_ = DownloadColumn  # rich's own column of bytes is not used: items are what people wait for


__all__ = ["TerminalProgress", "print_json", "print_pairs", "print_table", "size_text"]


class _Rate(ProgressColumn):
    """Units a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="progress.data.speed")


class TerminalProgress:
    """A bar a phase on stderr when it is a terminal; one line a phase when it is not; nothing when quiet."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._quiet = quiet
        self._lock = threading.Lock()
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def phase(self, name: str, total: int | None = None, unit: str = "items") -> None:
        with self._lock:
            if self._quiet:
                return
            if not self._console.is_terminal:
                expected = f" ({total:,} {unit} expected)" if total else ""
                self._console.print(f"{name} …{expected}")
                return
            if self._bar is None:
                columns = (
                    SpinnerColumn(),
                    TextColumn("{task.description:<12}"),
                    BarColumn(),
                    MofNCompleteColumn(),
                    _Rate(),
                    TimeRemainingColumn(),
                )
                self._bar = Bar(*columns, console=self._console)
                self._bar.start()
            if self._task is not None:
                self._bar.stop_task(self._task)
            self._task = self._bar.add_task(f"{name} ({unit})", total=total)

    def advance(self, count: int, byte_count: int = 0) -> None:
        with self._lock:
            if self._bar and self._task is not None:
                self._bar.advance(self._task, count)

    def note(self, text: str) -> None:
        with self._lock:
            if not self._quiet:
                (self._bar.console if self._bar else self._console).print(f"note: {text}")

    def warn(self, text: str) -> None:
        """A warning on stderr, said even when quiet."""
        with self._lock:
            (self._bar.console if self._bar else self._console).print(f"warning: {text}")

    def close(self) -> None:
        """Leaves the terminal as it was."""
        with self._lock:
            if self._bar:
                self._bar.stop()
                self._bar = None


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def print_pairs(pairs: list[tuple[str, object]]) -> None:
    """Names and values, one a line."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        sys.stdout.write(f"{name:<{width}}  {visible(str(value))}".rstrip() + "\n")


def visible(text: str) -> str:
    """The text with everything a terminal would act upon, or not show, written as an escape: names and values are anybody's."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def print_table(headings: list[str], rows: list[list[str]], *, right: tuple[int, ...] = ()) -> None:
    """A table on stdout; wide cells are folded, never cut."""
    table = Table(show_edge=False, pad_edge=False, box=None, header_style="bold")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 300
    console.print(table)
