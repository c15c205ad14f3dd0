"""Up to which value of a column a chain of backups has read: where the next increment begins.

Intervals are half open, and each begins with the value at which the one before ended: no row lies in two of them, none in between.
Of a column of times the end lies a little before the snapshot, because a row gets its time when it is written and is seen when its
transaction ends; of a column of numbers it is one more than the largest.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tablekeep.engine.errors import BadInputError
from tablekeep.engine.rds.schema import SourceColumn
from tablekeep.engine.rds.source import Interval, Snapshot

SETTLE = timedelta(minutes=1)
LOCAL, INSTANT = ("timestamp", "datetime"), ("timestamptz", "utc")
"""Base types of times: without a zone, and of moments."""
INTEGERS = ("int2", "int4", "int8", "tinyint", "smallint", "mediumint", "int", "bigint")


@dataclass(frozen=True)
class Follow:
    """By which column increments are found.

    :ivar settle: how long the longest transaction takes that writes the table; of a column of times alone.
    :ivar timezone: of times without a zone.
    """

    column: str
    settle: timedelta = SETTLE
    timezone: str = "UTC"

    def check(self) -> "Follow":
        """:raises BadInputError: for a time zone that is none, or a negative time."""
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise BadInputError(
                "reading the time zone", f"{self.timezone[:60]!r} is none", "for example Europe/Berlin"
            ) from None
        if self.settle < timedelta():
            raise BadInputError("reading the time to settle", "it is negative", "for example 1m")
        return self


@dataclass(frozen=True)
class Position:
    """What a set has read of the column: rows from `since` (None: all) to below `to` (None: none was there)."""

    column: str
    since: str | None
    to: str | None

    def as_json(self) -> dict[str, Any]:
        return {"column": self.column, "since": self.since, "to": self.to}

    @staticmethod
    def of(run: dict[str, Any]) -> "Position | None":
        """As a manifest's `run` tells it."""
        told = run.get("position")
        return Position(str(told["column"]), told["since"], told["to"]) if isinstance(told, dict) else None


def next_position(follow: Follow, before: Position | None, snapshot: Snapshot) -> tuple[Position, datetime]:
    """What is to be read now, and from when on its rows may be older than the snapshot.

    :param before: of the chain's newest set; None for a full one.
    :raises BadInputError: for a column that cannot be followed.
    """
    column = followed(follow, snapshot)
    since = before.to if before else None
    if column.base in INTEGERS:
        largest = snapshot.largest(column)
        return Position(column.name, since, str(int(largest) + 1) if largest is not None else since), snapshot.moment
    moment = (snapshot.moment - follow.settle).replace(microsecond=0)
    to = time_text(column, moment, follow.timezone)
    return Position(column.name, since, to if since is None or to > since else since), moment


def followed(follow: Follow, snapshot: Snapshot) -> SourceColumn:
    """The column that is followed.

    :raises BadInputError: when there is none of that name, or its type has no order in which rows come.
    """
    what = f"following the column {follow.column} of {snapshot.table.address}"
    column = snapshot.table.column(follow.column)
    if column is None:
        raise BadInputError(what, "there is no such column", "name the one that tells when a row was changed last")
    if column.base not in (*INTEGERS, *LOCAL, *INSTANT):
        raise BadInputError(
            what, f"its type is {column.sql_type}", "name a column of times, or of whole numbers that only grow"
        )
    return column


def time_text(column: SourceColumn, moment: datetime, timezone: str) -> str:
    """A moment as the database writes it in this column; texts of one column sort as their moments do, but for an hour in autumn."""
    if column.base in LOCAL:
        return f"{moment.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M:%S}"
    return f"{moment:%Y-%m-%d %H:%M:%S}" + ("+00" if column.base == "timestamptz" else "")


def interval(position: Position, snapshot: Snapshot) -> Interval:
    """The rows of a position."""
    column = snapshot.table.column(position.column)
    assert column is not None
    return Interval(column, position.since, position.to)
