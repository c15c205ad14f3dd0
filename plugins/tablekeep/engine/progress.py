"""How long work tells that it lives. The engine reports; the command line draws, Airflow stores, tests record."""

from typing import Protocol


class Progress(Protocol):
    """Called from any thread, often; must be cheap and must not raise."""

    def phase(self, name: str, total: int | None = None, unit: str = "items") -> None:
        """A new phase begins (`scan`, `load`, `proof` …).

        :param total: how many `unit`s are expected; None when not known. An expectation, not a promise:
            DescribeTable's ItemCount is up to six hours old.
        """
        ...

    def advance(self, count: int, byte_count: int = 0) -> None:
        """`count` more units are done, which were `byte_count` bytes."""
        ...

    def note(self, text: str) -> None:
        """One line for a person; never item contents or secrets."""
        ...


class NoProgress:
    """Says nothing."""

    def phase(self, name: str, total: int | None = None, unit: str = "items") -> None:
        return None

    def advance(self, count: int, byte_count: int = 0) -> None:
        return None

    def note(self, text: str) -> None:
        return None


def size_text(count: int) -> str:
    """`1.4 MiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:,.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"
        value /= 1024
    return f"{value:,.1f} TiB"
