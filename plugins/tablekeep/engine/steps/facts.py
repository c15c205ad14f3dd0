"""What a step may know of its run: as `{{ name }}` in its texts, and as environment variables of its scripts."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import croniter

from tablekeep.engine.errors import BadInputError

_REFERENCE = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_INSIDE = re.compile(r"([a-z_]+)(?::(.+))?\Z", re.DOTALL)
TIMES = ("as_of", "window_start", "window_end")
"""They may have a format of strftime: `{{ as_of:%Y-%m-%d }}`. All are UTC."""


@dataclass(frozen=True)
class RunFacts:
    """The facts of one run.

    :ivar pipeline: its name. :ivar step: the step's name; of a pipeline that is one step, the pipeline's.
    :ivar run: `run__totals/scheduled__2026-01-03T02:00:00+00:00`, or `cli-…`. :ivar as_of: the run's time.
    :ivar window_start, window_end: the last whole interval of the schedule that ends no later than `as_of`: start ≤ t < end.
        None where nothing is scheduled. :ivar manifest: of the backup with which the step has to do; None where there is none.
    """

    pipeline: str
    step: str
    run: str
    as_of: datetime
    window_start: datetime | None = None
    window_end: datetime | None = None
    manifest: str | None = None

    def environment(self) -> dict[str, str]:
        """`TABLEKEEP_PIPELINE`, `TABLEKEEP_AS_OF` …; what is not known is not there."""
        known = {name: self._text(name, None) for name in NAMES if getattr(self, name) is not None}
        return {f"TABLEKEEP_{name.upper()}": text for name, text in known.items()}

    def fill(self, value: Any) -> Any:
        """A text, or a list or mapping of them, with each `{{ name }}` replaced.

        :raises BadInputError: for a name that does not exist, or is not known in this run.
        """
        if isinstance(value, str):
            return _REFERENCE.sub(lambda found: self._text(*_name_and_format(found[1])), value)
        if isinstance(value, Mapping):
            return {key: self.fill(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.fill(one) for one in value]
        return value

    def texts(self, arguments: Sequence[str | int]) -> list[str]:
        """Arguments of a program, filled in; numbers as they are written.

        :raises BadInputError: see `fill`.
        """
        return [str(self.fill(one)) for one in arguments]

    def _text(self, name: str, form: str | None) -> str:
        value = getattr(self, name)
        if value is None:
            why = "nothing is scheduled" if name in TIMES else "this step has to do with no backup"
            raise BadInputError(f"filling in {{{{ {name} }}}}", why, "leave it out")
        if isinstance(value, datetime):
            value = value.astimezone(UTC)
            return value.strftime(form) if form else value.isoformat(timespec="seconds").replace("+00:00", "Z")
        return str(value)


NAMES = tuple(field.name for field in fields(RunFacts))


def _name_and_format(inside: str) -> tuple[str, str | None]:
    """The two parts of a reference.

    :raises BadInputError: when it is none.
    """
    found = _INSIDE.match(inside)
    if not found or found[1] not in NAMES or (found[2] and found[1] not in TIMES):
        raise BadInputError(
            f"reading {{{{ {inside[:60]} }}}}",
            f"there is {', '.join(NAMES)}, and a format after a time",
            "for example {{ window_start:%Y-%m-%d }}",
        )
    return found[1], found[2]


def names_in(value: Any) -> set[str]:
    """The names that a text, or a list or mapping of texts, refers to.

    :raises BadInputError: for one that does not exist.
    """
    found: set[str] = set()

    def note(match: re.Match[str]) -> str:
        found.add(_name_and_format(match[1])[0])
        return ""

    _each_text(value, lambda text: _REFERENCE.sub(note, text))
    return found


def without_names(text: str) -> str:
    """The text with an `x` for each `{{ name }}`, to look at what is around them."""
    return _REFERENCE.sub("x", text)


def _each_text(value: Any, do: Callable[[str], object]) -> None:
    if isinstance(value, str):
        do(value)
    elif isinstance(value, Mapping):
        for one in value.values():
            _each_text(one, do)
    elif isinstance(value, list | tuple):
        for one in value:
            _each_text(one, do)


def window_of(schedule: str | None, timezone: str, as_of: datetime) -> tuple[datetime, datetime] | tuple[None, None]:
    """The last whole interval between two times of a schedule that has ended at `as_of`, in UTC. Those of successive runs touch.

    :param schedule: a cron expression; without one there are no intervals. :param as_of: aware.
    """
    if schedule is None:
        return None, None
    zone = ZoneInfo(timezone)
    # strictly before the next second is no later than as_of: an interval that ends just then has ended
    ticks = croniter.croniter(schedule, (as_of.replace(microsecond=0) + timedelta(seconds=1)).astimezone(zone))
    end = ticks.get_prev(datetime)
    start = ticks.get_prev(datetime)
    return start.astimezone(UTC), end.astimezone(UTC)
