"""The batch writer: every item exactly handed over, none dropped, bounded, and silent about contents."""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.dynamodb.lanes import Lane
from tablekeep.engine.dynamodb.pacing import Width
from tablekeep.engine.dynamodb.wire import BATCH_WRITE_BYTES, WireThrottled
from tablekeep.engine.dynamodb.write import BatchWriter, WriteReport
from tablekeep.engine.errors import IntegrityError, PermanentError, ThrottledError, TransientError
from tests.engine.dynamodb.scripted import Call, Notes, Reply, Server, TestClock, error, serving


def item(n: int, pad: int = 0) -> bytes:
    return json.dumps({"pk": {"S": f"key-{n}"}, "pad": {"S": "x" * pad}}, separators=(",", ":")).encode()


class Full(Width):
    """As wide as allowed from the first request on."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.now = most

    def measured(self, wall: float, cpu: float) -> None:
        return None


def writer_of(server: Server, clock: TestClock | None = None, **more: Any) -> BatchWriter:
    writer = BatchWriter(server.wire(), "t", clock=clock or TestClock(), **more)
    writer._width = Full(more.get("in_flight", 4))
    return writer


def fill(server: Server, items: Iterable[bytes], clock: TestClock | None = None, **more: Any) -> WriteReport:
    with writer_of(server, clock, **more) as writer:
        writer.put_many(items)
    assert writer.report is not None
    return writer.report


class Store:
    """Takes puts; `leave` says how many of a request's items are left unprocessed."""

    def __init__(self) -> None:
        self.taken: dict[str, int] = {}
        self.sizes: list[int] = []
        self._lock = threading.Lock()

    def leave(self, count: int) -> int:
        return 0

    def __call__(self, call: Call) -> Reply:
        puts = call.json["RequestItems"]["t"]
        with self._lock:
            self.sizes.append(len(puts))
            left = self.leave(len(puts))
            for put in puts[: len(puts) - left]:
                key = put["PutRequest"]["Item"]["pk"]["S"]
                self.taken[key] = self.taken.get(key, 0) + 1
        rest = puts[len(puts) - left :]
        answer: dict[str, Any] = {"UnprocessedItems": {"t": rest} if rest else {}}
        answer["ConsumedCapacity"] = [{"TableName": "t", "CapacityUnits": len(puts) - left}]
        return Reply(answer)


def all_of(count: int) -> dict[str, int]:
    return {f"key-{n}": 1 for n in range(count)}


def test_items_go_in_batches_of_25_and_are_counted() -> None:
    store, notes = Store(), Notes()
    with serving(store) as server, writer_of(server, progress=notes) as writer:
        writer.put_many(item(n) for n in range(110))
    assert store.taken == all_of(110)
    assert sorted(store.sizes) == [10, 25, 25, 25, 25]
    report = writer.report
    assert report is not None
    assert (report.items, report.requests, report.consumed, report.resent, report.throttles) == (110, 5, 110, 0, 0)
    assert writer.written == notes.items == 110
    assert notes.bytes == sum(len(item(n)) for n in range(110))
    assert writer.close() is report


def test_nothing_put_is_nothing_sent() -> None:
    with serving(Store()) as server, writer_of(server) as writer:
        pass
    assert server.calls == []
    assert writer.report is not None
    assert writer.report.items == 0


def test_a_request_stays_below_16_megabytes() -> None:
    store = Store()
    with serving(store) as server, writer_of(server, in_flight=2) as writer:
        writer.put_many(item(n, 1_500_000) for n in range(25))
    assert store.taken == all_of(25)
    assert max(store.sizes) == 11
    assert max(len(call.body) for call in server.calls) <= BATCH_WRITE_BYTES


def test_unprocessed_items_are_sent_again_until_none_is_left() -> None:
    store, clock = Store(), TestClock()
    store.leave = lambda count: count - 1  # type: ignore[method-assign]
    with serving(store) as server, writer_of(server, clock) as writer:
        writer.put_many(item(n) for n in range(50))
    assert store.taken == all_of(50)
    assert sorted(store.sizes) == sorted(list(range(1, 26)) * 2)
    assert writer.report is not None
    assert writer.report.items == 50
    assert writer.report.resent == 2 * sum(range(25))
    assert writer.report.throttles == 48
    assert clock.tokens == 48, "each wait is drawn at random"
    assert clock.monotonic() > 0


def test_unprocessed_for_ever_is_given_up_and_says_how_many_remain() -> None:
    store, clock, notes = Store(), TestClock(), Notes()
    store.leave = lambda count: count if len(store.taken) >= 30 else max(0, count - 30)  # type: ignore[method-assign]
    with (
        serving(store) as server,
        pytest.raises(ThrottledError) as caught,
        writer_of(server, clock, in_flight=1, progress=notes) as writer,
    ):
        writer.put_many(item(n) for n in range(60))
    assert isinstance(caught.value, WireThrottled)
    assert "10 of 60 items handed over are not written" in str(caught.value)
    assert "no progress" in str(caught.value)
    assert 600 <= clock.monotonic() < 700
    assert any("still trying" in note for note in notes.notes)


def test_slow_progress_is_progress() -> None:
    store, clock = Store(), TestClock()
    turns: list[int] = []

    def leave(count: int) -> int:
        turns.append(1)
        clock.sleep(20)
        return count - 1 if len(turns) % 3 == 0 else count

    store.leave = leave  # type: ignore[method-assign]
    with serving(store) as server, writer_of(server, clock, no_progress_seconds=200) as writer:
        writer.put_many(item(n) for n in range(25))
    assert store.taken == all_of(25)
    assert clock.monotonic() > 1000


@pytest.mark.parametrize(
    "reply",
    [
        error("ProvisionedThroughputExceededException"),
        error("ThrottlingException"),
        error("InternalServerError", status=500),
        Reply(b"{}", checksum="wrong"),
    ],
)
def test_a_refused_request_is_sent_again_as_it_was(reply: Reply) -> None:
    store, bodies = Store(), []

    def script(call: Call) -> Reply:
        bodies.append(call.body)
        return reply if len(bodies) <= 3 else store(call)

    with serving(script) as server, writer_of(server) as writer:
        writer.put_many(item(n) for n in range(25))
    assert store.taken == all_of(25)
    assert len(set(bodies)) == 1
    assert len(bodies) == 4


def test_a_refusal_without_end_is_given_up() -> None:
    reasons = [{"reason": "TableWriteMaxOnDemandThroughputExceeded", "resource": "arn"}]
    clock = TestClock()
    with (
        serving(lambda call: error("ThrottlingException", throttlingReasons=reasons)) as server,
        pytest.raises(ThrottledError) as caught,
    ):
        fill(server, map(item, range(30)), clock)
    assert "TableWriteMaxOnDemandThroughputExceeded" in str(caught.value)
    assert "30 of 30" in str(caught.value)
    with (
        serving(lambda call: error("InternalServerError", status=500)) as server,
        pytest.raises(TransientError) as lost,
    ):
        fill(server, [item(1)], clock)
    assert lost.value.family == "transient"


def test_what_the_service_rejects_is_never_tried_again_and_not_quoted() -> None:
    message = "Type mismatch for key pk expected: N actual: S; value key-7"
    with serving(lambda call: error("ValidationException", message)) as server, pytest.raises(PermanentError) as caught:
        fill(server, map(item, range(20)), in_flight=1)
    assert len(server.calls) == 1
    assert "Type mismatch for key pk expected: N actual: S; value [value]" in str(caught.value)
    assert "20 of 20 items" in str(caught.value)


def test_a_key_twice_is_an_integrity_error() -> None:
    def script(call: Call) -> Reply:
        return error("ValidationException", "Provided list of item keys contains duplicates")

    with serving(script) as server, pytest.raises(IntegrityError, match="a key twice"):
        fill(server, [item(1), item(1)])


def test_put_raises_the_failure_of_a_request_in_flight() -> None:
    with serving(lambda call: error("AccessDeniedException", "no more")) as server:
        writer = writer_of(server, in_flight=1)
        with pytest.raises(PermanentError, match="no more"):
            writer.put_many(map(item, range(100_000)))
        with pytest.raises(PermanentError, match="no more"):
            writer.close()
    assert len(server.calls) == 1


def test_more_unprocessed_than_sent_is_an_integrity_error() -> None:
    rest = [{"PutRequest": {"Item": {"pk": {"S": f"{n}"}}}} for n in range(3)]
    with (
        serving(lambda call: Reply({"UnprocessedItems": {"t": rest}})) as server,
        pytest.raises(IntegrityError, match="3 unprocessed items of 1"),
    ):
        fill(server, [item(1)])


def test_a_count_that_does_not_add_up_is_an_integrity_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BatchWriter, "_attempt", lambda self, lane, batch: None)
    with serving(Store()) as server, pytest.raises(IntegrityError, match="1 items were put and 0 written"):
        fill(server, [item(1)])


def test_an_exception_in_the_block_stops_without_writing_what_is_pending() -> None:
    store = Store()

    def source() -> Iterator[bytes]:
        yield item(1)
        raise ZeroDivisionError

    with serving(store) as server, pytest.raises(ZeroDivisionError):
        fill(server, source())
    assert store.taken == {}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("write")]


def test_requests_are_in_flight_together_but_not_more_than_allowed() -> None:
    store, lock = Store(), threading.Lock()
    together = threading.Barrier(3, timeout=10)
    flying: list[int] = []
    most: list[int] = []

    def script(call: Call) -> Reply:
        with lock:
            flying.append(1)
            most.append(len(flying))
        together.wait()
        with lock:
            flying.pop()
        return store(call)

    with serving(script) as server, writer_of(server, in_flight=3) as writer:
        writer.put_many(item(n) for n in range(25 * 6))
    assert store.taken == all_of(150)
    assert max(most) == 3


def test_the_width_is_what_keeps_a_processor_busy() -> None:
    width = Width(16)
    assert width.now == 1
    width.measured(0.010, 0.001)
    assert width.now == 10
    width.measured(1.0, 0.001)
    assert width.now == 10, "a slow answer is no reason for more"
    for _ in range(Width.KEPT):
        width.measured(0.0011, 0.001)
    assert width.now == 1
    width.measured(0.9, 0.0)
    for _ in range(Width.KEPT):
        width.measured(0.9, 0.001)
    assert width.now == 16, "never more than allowed"


def test_a_slow_service_gets_several_requests_at_a_time_and_a_fast_one_few() -> None:
    for pause, expected in ((0.05, range(3, 9)), (0.0, range(1, 4))):
        store, lock = Store(), threading.Lock()
        flying, most = [0], [0]

        def script(
            call: Call,
            pause: float = pause,
            store: Store = store,
            lock: Any = lock,
            flying: Any = flying,
            most: Any = most,
        ) -> Reply:
            with lock:
                flying[0] += 1
                most[0] = max(most[0], flying[0])
            time.sleep(pause)
            with lock:
                flying[0] -= 1
            return store(call)

        with serving(script) as server, BatchWriter(server.wire(), "t", clock=TestClock(), in_flight=8) as writer:
            writer.put_many(item(n) for n in range(25 * 40))
        assert store.taken == all_of(1000)
        assert most[0] in expected


def test_the_budget_is_paid_by_what_writes_cost() -> None:
    store, clock = Store(), TestClock()
    with serving(store) as server:
        fill(server, map(item, range(1000)), clock, budget=TokenBucket(50, clock))
    assert clock.monotonic() >= 1000 / 50 - 1 - 4 * 25 / 50
    assert clock.monotonic() < 1000 / 50 + 5


@settings(max_examples=25)
@given(st.integers(0, 200), st.lists(st.integers(0, 25), max_size=30), st.integers(1, 5))
def test_whatever_is_left_unprocessed_every_item_arrives_once(count: int, leaves: list[int], in_flight: int) -> None:
    store = Store()
    store.leave = lambda sent: min(sent, leaves.pop()) if leaves else 0  # type: ignore[method-assign]
    with serving(store) as server, writer_of(server, in_flight=in_flight) as writer:
        writer.put_many(item(n) for n in range(count))
    assert store.taken == all_of(count)
    assert writer.report is not None
    assert writer.report.items == count


def keyed(lane: str, count: int) -> list[bytes]:
    return [json.dumps({"pk": {"S": f"{lane}-{n}"}}).encode() for n in range(count)]


def reasons(*names: str, code: str = "ProvisionedThroughputExceededException") -> Reply:
    """A refusal with its causes, which the service calls by another member in each of its errors."""
    member = "throttlingReasons" if code == "ThrottlingException" else "ThrottlingReasons"
    return error(code, **{member: [{"reason": name, "resource": "arn"} for name in names]})


class Lanes:
    """A table in which requests with an item of the lane `hot` are answered by `refusal`, so often; remembers whose items came, and when."""

    def __init__(self, clock: TestClock, refusal: Callable[[list[Any]], Reply], times: int) -> None:
        self.clock, self.refusal, self.times = clock, refusal, times
        self.store = Store()
        self.came: list[tuple[str, float]] = []

    def __call__(self, call: Call) -> Reply:
        puts = call.json["RequestItems"]["t"]
        lanes = {put["PutRequest"]["Item"]["pk"]["S"].split("-")[0] for put in puts}
        assert len(lanes) == 1, "a request holds items of one lane"
        (lane,) = lanes
        self.came.append((lane, self.clock.monotonic()))
        if lane == "hot" and self.times:
            self.times -= 1
            return self.refusal(puts)
        return self.store(call)

    def fill(self, server: Server, notes: Notes | None = None, at_once: int = 3, **more: Any) -> list[str]:
        """Writes three lanes of 100 items; returns their names in the order in which they were done."""
        done = list[str]()
        lanes = [Lane([keyed(name, 60), keyed(name, 100)[60:]], name) for name in ("hot", "one", "two")]
        with writer_of(server, self.clock, in_flight=1, progress=notes, **more) as writer:
            writer.write(lanes, at_once, lambda lane: done.append(lane.name))
        assert writer.report is not None
        assert writer.report.items == 300
        assert self.store.taken == {f"{name}-{n}": 1 for name in ("hot", "one", "two") for n in range(100)}
        return done


def left_over(puts: list[Any]) -> Reply:
    """One item is taken, the others are not; the service names no cause."""
    return Reply({"UnprocessedItems": {"t": puts}})


def some_left(puts: list[Any]) -> Reply:
    return Reply({"UnprocessedItems": {"t": puts[1:]}})


@pytest.mark.parametrize(
    ("code", "causes"),
    [
        ("ProvisionedThroughputExceededException", ["TableWriteKeyRangeThroughputExceeded"]),
        ("ProvisionedThroughputExceededException", ["IndexWriteKeyRangeThroughputExceeded", "TableWriteKeyRangeThroughputExceeded"]),
        ("ThrottlingException", ["TableWriteKeyRangeThroughputExceeded"]),
        ("InternalServerError", []),
    ],
    ids=["hot key", "hot key of an index", "hot key by another error", "fault"],
)  # fmt: skip
def test_a_hot_key_slows_its_own_part_only(code: str, causes: list[str]) -> None:
    def refusal(puts: list[Any]) -> Reply:
        return reasons(*causes, code=code) if causes else error(code, status=500)

    clock, notes = TestClock(), Notes()
    table = Lanes(clock, refusal, 3)
    with serving(table) as server:
        assert table.fill(server, notes) == ["one", "two", "hot"]
    others = [at for lane, at in table.came if lane != "hot"]
    assert max(others) == 0.0, "the others never waited"
    hot = [at for lane, at in table.came if lane == "hot"]
    assert len(hot) == 4 + 3
    assert sorted(set(hot))[1] > 0, "and it did"
    assert len({note for note in notes.notes if "KeyRange" in note}) == len(
        [note for note in notes.notes if "KeyRange" in note]
    ), "each cause is told once"


def test_items_that_were_left_over_slow_their_own_part_only() -> None:
    clock = TestClock()
    table = Lanes(clock, some_left, 3)
    real = table.refusal

    def taking(puts: list[Any]) -> Reply:
        key = puts[0]["PutRequest"]["Item"]["pk"]["S"]
        table.store.taken[key] = table.store.taken.get(key, 0) + 1
        return real(puts)

    table.refusal = taking
    with serving(table) as server:
        assert table.fill(server) == ["one", "two", "hot"]
    assert max(at for lane, at in table.came if lane != "hot") == 0.0


@pytest.mark.parametrize(
    ("code", "causes"),
    [
        ("ProvisionedThroughputExceededException", ["TableWriteProvisionedThroughputExceeded"]),
        ("RequestLimitExceeded", ["TableWriteAccountLimitExceeded"]),
        ("ProvisionedThroughputExceededException", ["TableWriteMaxOnDemandThroughputExceeded", "TableWriteKeyRangeThroughputExceeded"]),
        ("ProvisionedThroughputExceededException", []),
        ("", []),
    ],
    ids=["table", "account", "both", "not told", "nothing taken"],
)  # fmt: skip
def test_a_full_table_slows_every_part(code: str, causes: list[str]) -> None:
    def refusal(puts: list[Any]) -> Reply:
        return reasons(*causes, code=code) if code else left_over(puts)

    clock = TestClock()
    table = Lanes(clock, refusal, 2)
    with serving(table) as server:
        table.fill(server)
    first = next(number for number, (lane, _) in enumerate(table.came) if lane == "hot")
    after = [at for _, at in table.came[first + 1 :]]
    assert min(after) > 0.0, "nobody sends before the wait is over"


def test_a_lane_that_is_done_makes_room_for_the_next_one() -> None:
    clock, store = TestClock(), Store()
    open_, most, done = list[str](), list[int](), list[str]()

    def pages(name: str, count: int) -> Iterator[list[bytes]]:
        open_.append(name)
        most.append(len(open_))
        yield keyed(name, count)

    def finished(lane: Lane) -> None:
        assert sum(1 for key in store.taken if key.startswith(f"{lane.name}-")) == lane.written
        open_.remove(lane.name)
        done.append(lane.name)

    counts = {"a": 500, "b": 30, "c": 0, "d": 75, "e": 1}
    with serving(store) as server, writer_of(server, clock, in_flight=2) as writer:
        writer.write((Lane(pages(name, count), name) for name, count in counts.items()), 2, finished)
    assert sorted(done) == sorted(counts)
    assert done[-1] == "a", "the short ones went by"
    assert max(most) == 2
    assert writer.written == 606


def test_a_guard_stops_before_the_next_request() -> None:
    store, asked = Store(), list[int]()

    def guard() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise PermanentError("writing", "the lease was lost")

    with serving(store) as server, pytest.raises(PermanentError, match="lease was lost"):
        fill(server, map(item, range(1000)), in_flight=1, guard=guard)
    assert len(store.sizes) == 2
