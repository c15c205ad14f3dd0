"""The parallel scan: every segment to its end, in order, page by page again, and stopped as one."""

import json
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.dynamodb.scan import ParallelScan, SegmentReport
from tablekeep.engine.dynamodb.wire import Page, WireThrottled
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError, ThrottledError, TransientError
from tests.engine.dynamodb.scripted import Call, Notes, Reply, Server, Table, TestClock, error, pages_of, serving


def scan_of(server: Server, segments: int, clock: TestClock | None = None, **more: Any) -> ParallelScan:
    return ParallelScan(server.wire(), "t", segments, clock=clock or TestClock(), **more)


class Sink:
    """Collects keys by segment and says which threads brought them."""

    def __init__(self) -> None:
        self.keys: dict[int, list[str]] = {}
        self.threads: dict[int, set[str]] = {}
        self.ended: list[int] = []

    def page(self, segment: int, page: Page) -> None:
        self.keys.setdefault(segment, []).extend(json.loads(bytes(item))["pk"]["S"] for item in page.items)
        self.threads.setdefault(segment, set()).add(threading.current_thread().name)

    def end(self, segment: int) -> None:
        assert segment not in self.ended
        self.ended.append(segment)


def expected(pages: dict[int, list[list[dict[str, Any]]]]) -> dict[int, list[str]]:
    return {segment: [item["pk"]["S"] for page in list_ for item in page] for segment, list_ in pages.items()}


def test_every_segment_is_read_to_its_end_in_order_by_one_thread_each() -> None:
    pages = pages_of(7, 4, 3)
    pages[2][1] = []  # an empty page is no end
    sink, notes = Sink(), Notes()
    with serving(Table(pages)) as server:
        report = scan_of(server, 7, progress=notes).run(sink.page, on_end=sink.end)
    assert sink.keys == expected(pages)
    assert all(len(threads) == 1 for threads in sink.threads.values())
    assert len(set().union(*sink.threads.values())) <= 4
    assert sorted(sink.ended) == list(range(7))
    assert [part.segment for part in report.segments] == list(range(7))
    assert [part.pages for part in report.segments] == [4] * 7
    assert [part.items for part in report.segments] == [12, 12, 9, 12, 12, 12, 12]
    assert (report.items, report.pages, report.consumed) == (81, 28, 28 * 128.0)
    assert (report.throttles, report.retries) == (0, 0)
    assert notes.items == 81
    assert report.started_at <= report.ended_at
    assert report.started_at.tzinfo is not None


def test_first_pages_are_read_once_and_the_scan_goes_on_from_them() -> None:
    pages, clock = pages_of(3, 3, 2), TestClock()
    table, sink = Table(pages), Sink()
    with serving(table) as server:
        scan = scan_of(server, 3, clock)
        first = scan.first_page(1)
        assert scan.first_page(1) is first
        scan.first_page(0)
        sampled_at = clock.now()
        clock.sleep(1000)
        assert table.asked == [(1, 0), (0, 0)]
        report = scan.run(sink.page)
    assert sink.keys == expected(pages)
    assert sorted(table.asked) == [(s, p) for s in range(3) for p in range(3)]
    assert report.segments[1].started_at <= sampled_at, "the reading began with the sample"
    assert report.ended_at > sampled_at


def test_a_segment_whose_only_page_was_the_sample_is_complete() -> None:
    sink = Sink()
    with serving(Table(pages_of(1, 1, 2))) as server:
        scan = scan_of(server, 1)
        scan.first_page(0)
        report = scan.run(sink.page, on_end=sink.end)
    assert (report.items, report.pages, sink.ended) == (2, 1, [0])
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("reply", "throttles"),
    [
        (error("ProvisionedThroughputExceededException"), 1),
        (error("InternalServerError", status=500), 0),
        (Reply(b"{}", checksum="wrong"), 0),
    ],
)
def test_a_page_that_failed_is_asked_for_again_with_its_own_key(reply: Reply, throttles: int) -> None:
    pages = pages_of(2, 4, 2)
    table, sink, clock = Table(pages), Sink(), TestClock()
    failed: list[int] = []

    def once(call: Call, segment: int, page: int) -> Reply | None:
        if (segment, page) == (1, 2) and len(failed) < 3:
            failed.append(page)
            return reply
        return None

    table.disturb = once
    with serving(table) as server:
        report = scan_of(server, 2, clock).run(sink.page)
    assert sink.keys == expected(pages)
    assert sorted(table.asked) == sorted([(s, p) for s in range(2) for p in range(4)] + [(1, 2)] * 3)
    assert (report.retries, report.throttles) == (3, 3 * throttles)
    assert clock.tokens == 3, "each wait is drawn at random"


def test_a_throttle_without_end_is_given_up_with_its_reason() -> None:
    table, clock, notes = Table(pages_of(3, 2, 1)), TestClock(), Notes()
    reason = {"reason": "TableReadProvisionedThroughputExceeded", "resource": "arn"}
    table.disturb = lambda call, s, p: (
        error("ProvisionedThroughputExceededException", "slow", ThrottlingReasons=[reason])
        if (s, p) == (2, 1)
        else None
    )
    with serving(table) as server, pytest.raises(ThrottledError) as caught:
        scan_of(server, 3, clock, no_progress_seconds=600, progress=notes).run(Sink().page)
    assert isinstance(caught.value, WireThrottled)
    assert "no progress in 6" in str(caught.value)
    assert "TableReadProvisionedThroughputExceeded" in str(caught.value)
    assert "segment 2" in str(caught.value)
    assert 600 <= clock.monotonic() < 1300
    assert notes.notes[0] == "table t is throttled: TableReadProvisionedThroughputExceeded"
    assert sum("is throttled" in note for note in notes.notes) == 1
    assert any("still trying" in note for note in notes.notes)


def test_a_fault_without_end_is_given_up_as_transient() -> None:
    table, clock = Table(pages_of(1, 1, 1)), TestClock()
    table.disturb = lambda call, s, p: error("InternalServerError", "ouch", 500)
    with serving(table) as server, pytest.raises(TransientError, match="ouch") as caught:
        scan_of(server, 1, clock, no_progress_seconds=30).run(Sink().page)
    assert caught.value.family == "transient"
    assert 30 <= clock.monotonic() < 60


def test_the_failure_of_one_segment_stops_all() -> None:
    table = Table(pages_of(4, 2000, 1))
    table.disturb = lambda call, s, p: error("AccessDeniedException", "no more") if (s, p) == (3, 5) else None
    with serving(table) as server, pytest.raises(PermanentError, match="no more"):
        scan_of(server, 4).run(Sink().page)
    assert len(table.asked) < 2000, "the other segments went on"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("scan")]


def test_the_failure_of_one_ends_the_waiting_of_another() -> None:
    table, clock = Table(pages_of(2, 3, 1)), TestClock()
    throttled = threading.Event()

    def disturb(call: Call, segment: int, page: int) -> Reply | None:
        if segment == 0 and page == 1:
            throttled.set()
            return error("ThrottlingException", throttlingReasons=[{"reason": "TableReadKeyRangeThroughputExceeded"}])
        if segment == 1 and page == 2:
            assert throttled.wait(10)
            return error("ValidationException", "broken")
        return None

    table.disturb = disturb
    with serving(table) as server, pytest.raises(PermanentError, match="broken"):
        scan_of(server, 2, clock, no_progress_seconds=1e12).run(Sink().page)


def test_what_the_sink_raises_stops_the_scan_and_comes_out() -> None:
    def full(segment: int, page: Page) -> None:
        raise OSError(28, "No space left on device")

    with serving(Table(pages_of(4, 500, 1))) as server, pytest.raises(OSError, match="No space left"):
        scan_of(server, 4).run(full)
    assert len(server.calls) < 100


def test_an_interrupt_of_the_caller_stops_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tablekeep.engine.dynamodb.scan.wait", interrupted)
    table = Table(pages_of(4, 5000, 1))
    with serving(table) as server, pytest.raises(KeyboardInterrupt):
        scan_of(server, 4).run(Sink().page)
    assert len(table.asked) < 1000


def test_a_hot_key_slows_its_own_segment_only_and_a_full_table_all() -> None:
    for reason, all_wait in [("TableReadKeyRangeThroughputExceeded", False), ("TableReadAccountLimitExceeded", True)]:
        table, clock = Table(pages_of(2, 2, 1)), TestClock()
        failed: list[int] = []

        def disturb(call: Call, segment: int, page: int) -> Reply | None:
            if segment == 0 and page == 0 and not failed:  # noqa: B023 - used within the loop only
                failed.append(1)  # noqa: B023
                return error("ThrottlingException", throttlingReasons=[{"reason": reason}])  # noqa: B023
            return None

        table.disturb = disturb
        with serving(table) as server:
            scan = scan_of(server, 2, clock)
            scan.first_page(0)  # is throttled once
            assert (scan._brake._until > 0) is all_wait


def test_the_budget_is_paid_by_what_pages_cost() -> None:
    table, clock = Table(pages_of(4, 10, 1), units=50.0), TestClock()
    with serving(table) as server:
        bucket = TokenBucket(100, clock)
        report = scan_of(server, 4, clock, budget=bucket).run(Sink().page)
    assert report.consumed == 2000
    assert clock.monotonic() >= 2000 / 100 - 1 - 4 * 128 / 100
    assert clock.monotonic() < 2000 / 100 + 10


def test_a_page_that_names_no_cost_is_charged_by_its_size() -> None:
    table, clock = Table(pages_of(1, 20, 2000), units=0.0), TestClock()
    with serving(table) as server:
        report = scan_of(server, 1, clock, budget=TokenBucket(1, clock)).run(Sink().page)
    assert report.items == 40_000
    assert clock.monotonic() > 100  # some 70 KB a page


def test_failed_requests_cost_nothing() -> None:
    table, clock = Table(pages_of(1, 1, 1), units=1.0), TestClock()
    failed: list[int] = []

    def disturb(call: Call, segment: int, page: int) -> Reply | None:
        failed.append(1)
        return error("InternalServerError", status=500) if len(failed) <= 3 else None

    table.disturb = disturb
    with serving(table) as server:
        scan_of(server, 1, clock, budget=TokenBucket(1, clock)).run(Sink().page)
    assert clock.monotonic() < 5, "128 units were charged for a request that failed"


def test_another_table_of_the_same_name_is_no_success() -> None:
    table = Table(pages_of(2, 2, 1), table_id="id-2")
    with serving(table) as server, pytest.raises(PermanentError, match="made anew"):
        scan_of(server, 2, table_id="id-1").run(Sink().page)
    with serving(Table(pages_of(2, 2, 1))) as server:
        assert scan_of(server, 2, table_id="id-1").run(Sink().page).items == 4


def test_the_table_is_looked_at_once_a_minute_while_it_is_read() -> None:
    table, clock = Table(pages_of(1, 50, 1)), TestClock()

    def minute_passes(segment: int, page: Page) -> None:
        clock.sleep(31)
        if page.last_key and b"0-9" in page.last_key:
            table.table_id = "id-2"

    with serving(table) as server, pytest.raises(PermanentError, match="made anew"):
        scan_of(server, 1, clock, table_id="id-1").run(minute_passes)
    assert len(table.asked) < 15
    assert len(server.operations("DescribeTable")) == 5


def test_a_deleted_table_is_named() -> None:
    table = Table(pages_of(1, 3, 1))
    table.disturb = lambda call, s, p: (
        error("ResourceNotFoundException", "Requested resource not found") if p == 1 else None
    )
    with serving(table) as server, pytest.raises(PermanentError, match="table t"):
        scan_of(server, 1).run(Sink().page)


def test_a_page_that_ends_where_it_began_is_no_endless_loop() -> None:
    table = Table(pages_of(1, 3, 1))
    stuck = {**table.answer(0, 0), "LastEvaluatedKey": {"pk": {"S": "0-1"}}}
    table.disturb = lambda call, s, p: Reply(stuck)
    with serving(table) as server, pytest.raises(IntegrityError, match="does not advance"):
        scan_of(server, 1).run(Sink().page)
    assert len(server.calls) == 2


def test_a_segment_that_was_not_read_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ParallelScan._scan_segment

    def loses_one(self: ParallelScan, segment: int, key: Any, on_page: Any) -> SegmentReport:
        report = whole(self, segment, key, on_page)
        self._segments += segment == 0
        return report

    monkeypatch.setattr(ParallelScan, "_scan_segment", loses_one)
    with serving(Table(pages_of(3, 1, 1))) as server, pytest.raises(IntegrityError, match=r"1 of 4 segments"):
        ParallelScan(server.wire(), "t", 3, clock=TestClock(), workers=1).run(Sink().page)


def test_a_scan_runs_once() -> None:
    with serving(Table(pages_of(1, 1, 1))) as server:
        scan = scan_of(server, 1)
        scan.run(Sink().page)
        with pytest.raises(RuntimeError, match="once"):
            scan.run(Sink().page)


@pytest.mark.parametrize("segments", [0, -1, 1_000_001])
def test_segments_are_checked(segments: int) -> None:
    with serving(Table({})) as server, pytest.raises(BadInputError, match="segments"):
        scan_of(server, segments)


def test_first_page_of_no_segment_is_refused() -> None:
    with serving(Table(pages_of(2, 1, 1))) as server, pytest.raises(BadInputError, match="no segment 2"):
        scan_of(server, 2).first_page(2)


@settings(max_examples=25)
@given(st.data())
def test_whatever_fails_now_and_then_the_items_are_the_tables(data: st.DataObject) -> None:
    segments = data.draw(st.integers(1, 5))
    shape = [data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=5)) for _ in range(segments)]
    pages = {
        s: [[{"pk": {"S": f"{s}/{p}/{n}"}} for n in range(count)] for p, count in enumerate(counts)]
        for s, counts in enumerate(shape)
    }
    faults = data.draw(st.dictionaries(st.tuples(st.integers(0, 4), st.integers(0, 4)), st.integers(1, 4), max_size=8))
    sampled = data.draw(st.sets(st.integers(0, segments - 1)))
    kinds = [
        error("ThrottlingException"),
        error("InternalServerError", status=500),
        Reply(b'{"Count":0,"Items":[]}', checksum="wrong"),
        Reply(b"{}" * 50, cut=10),
    ]
    table, lock = Table(pages), threading.Lock()

    def disturb(call: Call, segment: int, page: int) -> Reply | None:
        with lock:
            left = faults.get((segment, page), 0)
            if left:
                faults[segment, page] = left - 1
                return kinds[left % len(kinds)]
        return None

    table.disturb = disturb
    sink = Sink()
    with serving(table) as server:
        scan = scan_of(server, segments)
        for segment in sampled:
            scan.first_page(segment)
        report = scan.run(sink.page, on_end=sink.end)
    assert sink.keys == expected(pages)
    assert sorted(sink.ended) == list(range(segments))
    assert report.items == sum(map(sum, shape))
    assert [part.pages for part in report.segments] == [len(counts) for counts in shape]
