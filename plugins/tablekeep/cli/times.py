"""Times and durations as options give them."""

from datetime import UTC, datetime, timedelta

from tablekeep.engine.config.values import parse_duration
from tablekeep.engine.errors import BadInputError


def duration(text: str | None, option: str, example: str) -> timedelta | None:
    """`26h` of an option; None when it is not given.

    :raises BadInputError: for what is no duration; names the option, and the example.
    """
    try:
        return parse_duration(text) if text is not None else None
    except ValueError as error:
        raise BadInputError(f"reading {option} {text!r}", str(error), f"for example {option} {example}") from None


def moment(text: str | None) -> datetime | None:
    """A time with its zone, in UTC; None when it is not given.

    :raises BadInputError: for what is none.
    """
    if text is None:
        return None
    try:
        found: datetime | None = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise BadInputError(
            f"reading the time {text[:60]!r}", "it is no time with its zone", "write 2026-11-23T02:00:00Z"
        )
    return found.astimezone(UTC)


def age_text(seconds: float) -> str:
    """How old something is, in its largest unit: `3 d`, `26 h`, `5 min`, `40 s`."""
    for unit, size, least in (("d", 86400, 2), ("h", 3600, 2), ("min", 60, 2)):
        if seconds >= size * least:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
