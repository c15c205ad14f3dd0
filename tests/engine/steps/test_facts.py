"""What a step may know: names, formats, windows."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import croniter
import pytest

from tablekeep.engine.errors import BadInputError
from tablekeep.engine.steps.facts import RunFacts, names_in, window_of

AS_OF = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def facts(**more: object) -> RunFacts:
    return RunFacts("totals", "totals", "run__totals/manual", AS_OF, **more)  # type: ignore[arg-type]


def test_texts_are_filled_wherever_they_stand() -> None:
    known = facts(window_start=AS_OF - timedelta(days=1), window_end=AS_OF, manifest="s3://b/m.json")
    value = {"a": ["{{as_of}}", 7], "b": {"c": "day={{ window_start:%Y/%m/%d }} {{ manifest }}"}, "d": None, "e": True}
    assert known.fill(value) == {
        "a": ["2026-11-23T02:00:00Z", 7],
        "b": {"c": "day=2026/11/22 s3://b/m.json"},
        "d": None,
        "e": True,
    }
    assert names_in(value) == {"as_of", "window_start", "manifest"}


@pytest.mark.parametrize("text", ["{{ ds }}", "{{ pipeline:%Y }}", "{{ as_of | upper }}", "{{ }}", "{{ __class__ }}"])
def test_another_name_is_refused_with_the_list(text: str) -> None:
    with pytest.raises(BadInputError, match="there is pipeline, step, run, as_of, window_start"):
        names_in(text)
    with pytest.raises(BadInputError, match="there is pipeline"):
        facts().fill(text)


def test_what_is_not_known_is_neither_filled_in_nor_in_the_environment() -> None:
    with pytest.raises(BadInputError, match="nothing is scheduled"):
        facts().fill("{{ window_start }}")
    with pytest.raises(BadInputError, match="no backup"):
        facts().fill("{{ manifest }}")
    assert facts().environment() == {
        "TABLEKEEP_PIPELINE": "totals",
        "TABLEKEEP_STEP": "totals",
        "TABLEKEEP_RUN": "run__totals/manual",
        "TABLEKEEP_AS_OF": "2026-11-23T02:00:00Z",
    }


@pytest.mark.parametrize(
    ("as_of", "start", "end"),
    [
        ("2026-11-23T02:00:00", "2026-11-22T02:00:00", "2026-11-23T02:00:00"),
        ("2026-11-23T01:59:59.999999", "2026-11-21T02:00:00", "2026-11-22T02:00:00"),
        ("2026-11-23T14:37:12.5", "2026-11-22T02:00:00", "2026-11-23T02:00:00"),
    ],
)
def test_the_window_is_the_last_whole_interval(as_of: str, start: str, end: str) -> None:
    found = window_of("0 2 * * *", "UTC", datetime.fromisoformat(as_of).replace(tzinfo=UTC))
    assert [one.replace(tzinfo=None).isoformat() for one in found if one] == [start, end]
    assert window_of(None, "UTC", AS_OF) == (None, None)


@pytest.mark.parametrize("schedule", ["30 2 * * *", "0 */6 * * *", "15 * * * *"])
@pytest.mark.parametrize("month", [3, 10])
def test_windows_touch_when_the_clocks_are_set(schedule: str, month: int) -> None:
    zone = "Europe/Berlin"
    ticks = croniter.croniter(schedule, datetime(2026, month, 20, tzinfo=ZoneInfo(zone)))
    before = None
    for _ in range(60):
        start, end = window_of(schedule, zone, ticks.get_next(datetime).astimezone(UTC))
        assert start is not None
        assert end is not None
        assert start < end
        assert before is None or start == before, schedule
        before = end
