"""Time and randomness as arguments: tests set them, production takes the machine's."""

import secrets
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time for records, monotonic time for durations, and the two things that wait or surprise."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never steps back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Waits for `seconds` (0 or more)."""
        ...

    def token(self, byte_count: int = 4) -> str:
        """`byte_count` random bytes in lower-case hexadecimal."""
        ...


class SystemClock:
    """The machine's own."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def token(self, byte_count: int = 4) -> str:
        return secrets.token_hex(byte_count)


def utc_text(moment: datetime) -> str:
    """`2026-11-23T02:00:00.123Z`: how every document of a backup set writes a time (UTC, milliseconds)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def parse_utc(text: str) -> datetime:
    """Reads what `utc_text` wrote.

    :raises ValueError: for anything else, a time without zone included.
    """
    if not text.endswith("Z"):
        raise ValueError(f"{text!r} is not a UTC time such as 2026-11-23T02:00:00.000Z")
    return datetime.fromisoformat(text)
