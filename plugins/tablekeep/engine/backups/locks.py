"""Rules of retention beside the bucket's Object Lock: where backups are locked for longer than the rules hold them, they stay and cost."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

DAY = timedelta(days=1)


def held(daily: int, moments: Sequence[datetime]) -> timedelta:
    """About how long an ordinary backup is held, one that is not the newest of its week, month or year: so many `daily` periods, each a
    day, or longer where backups are rarer.

    :param moments: of the full backups.
    """
    days = sorted({one.date() for one in moments})
    apart = (days[-1] - days[0]) / (len(days) - 1) if len(days) > 1 else DAY
    return daily * max(DAY, apart)


def lock_warning(
    daily: int, moments: Sequence[datetime], default: timedelta | None, locked: Sequence[tuple[datetime, datetime]], now: datetime
) -> str:  # fmt: skip
    """One sentence with both periods where Object Lock outlasts the rules; empty where it does not.

    :param default: for how long the bucket locks what is new. :param locked: as-of time and end of the lock of each backup that no rule
        keeps and its lock does. A lock that the default cannot have given was set on the object.
    """
    holds, longest, whose = held(daily, moments), default or timedelta(), "the bucket's default retention"
    for as_of, until in locked:
        if now + longest < until < datetime.max.replace(tzinfo=UTC):  # else a legal hold, which is no period
            longest, whose = until - as_of, "set on the objects"
    if longest <= holds:
        return ""
    stay = f"; {len(locked)} that no rule keeps stay by their lock alone" if locked else ""
    return (
        f"backup.keep holds an ordinary backup for about {_days(holds)} (daily: {daily}), Object Lock keeps it for {_days(longest)} "
        f"({whose}): backups stay, and cost, until their lock ends{stay}. Keep as many days, or shorten the retention"
    )


def _days(span: timedelta) -> str:
    days = round(span / DAY)
    return f"{days:,} day" if days == 1 else f"{days:,} days"
