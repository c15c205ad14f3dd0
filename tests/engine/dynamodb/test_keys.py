"""Items read by key: none left out whatever the service does, several requests in flight, within the budget."""

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.dynamodb.keys import KeyReader
from tablekeep.engine.dynamodb.wire import WireThrottled
from tablekeep.engine.errors import IntegrityError, PermanentError, TransientError
from tests.engine.dynamodb.scripted import Call, Notes, Reply, Server, TestClock, error, serving


def key(n: int) -> bytes:
    return json.dumps({"pk": {"S": f"key-{n}"}}, separators=(",", ":")).encode()


def batches(count: int, size: int = 100) -> Iterator[list[bytes]]:
    for start in range(0, count, size):
        yield [key(n) for n in range(start, min(start + size, count))]


class Table:
    """Holds the keys that are even. `leave` says how many of a request's keys are left unprocessed; `disturb` answers instead."""

    def __init__(self) -> None:
        self.leave: Callable[[int, int], int] = lambda number, keys: 0
        self.disturb: Callable[[int], Reply | None] = lambda number: None
        self._numbers, self._lock = itertools.count(), threading.Lock()
        self.sizes: list[int] = []

    def __call__(self, call: Call) -> Reply:
        with self._lock:
            number = next(self._numbers)
        if (other := self.disturb(number)) is not None:
            return other
        asked = call.json["RequestItems"]["t"]
        assert asked["ConsistentRead"] is True
        keys = asked["Keys"]
        left = keys[len(keys) - self.leave(number, len(keys)) :]
        done = keys[: len(keys) - len(left)]
        self.sizes.append(len(keys))
        answer: dict[str, Any] = {
            "Responses": {"t": [one for one in done if int(one["pk"]["S"][4:]) % 2 == 0]},
            "ConsumedCapacity": [{"TableName": "t", "CapacityUnits": float(len(done))}],
        }
        if left:
            answer["UnprocessedKeys"] = {"t": {"Keys": left}}
        return Reply(answer)


def reader(server: Server, clock: TestClock | None = None, **more: Any) -> KeyReader:
    return KeyReader(server.wire(), "t", clock=clock or TestClock(), **more)


def found(server: Server, count: int, size: int = 100, **more: Any) -> list[str]:
    """Keys of what was found, in order; checks that every batch came once and in its place."""
    expected, names = batches(count, size), list[str]()
    for keys, items in reader(server, **more).each(batches(count, size)):
        assert keys == next(expected)
        names += sorted(json.loads(bytes(one))["pk"]["S"] for one in items)
    assert next(expected, None) is None
    return sorted(names)


def evens(count: int) -> list[str]:
    return sorted(f"key-{n}" for n in range(0, count, 2))


def test_what_is_left_unprocessed_is_asked_again_until_nothing_is() -> None:
    table, clock = Table(), TestClock()
    table.leave = lambda number, keys: keys if number == 0 else (keys * 2 // 3 if number % 3 else 0)
    with serving(table) as server:
        assert found(server, 950, clock=clock) == evens(950)
    assert max(table.sizes) == 100
    assert clock.slept, "nobody asks again at once"


def test_throttled_faulty_and_lost_requests_are_sent_again() -> None:
    table, clock = Table(), TestClock()
    answers = {
        0: error("ProvisionedThroughputExceededException"), 2: error("ThrottlingException"), 3: error("InternalServerError", status=500),
        5: Reply(b"{}", checksum="wrong"), 6: Reply(b"{}", cut=1),
    }  # fmt: skip
    table.disturb = answers.get
    with serving(table) as server:
        assert found(server, 600, clock=clock) == evens(600)
    assert len(clock.slept) >= len(answers)


def test_several_requests_are_in_flight_and_no_more_than_allowed() -> None:
    table, running, most, both = Table(), 0, 0, threading.Barrier(4, timeout=20)
    lock = threading.Lock()

    def watch(number: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if number < 4:
            both.wait()  # four of them at a time, or nothing goes on
        with lock:
            running -= 1

    table.disturb = watch
    with serving(table) as server:
        assert found(server, 1200, in_flight=4) == evens(1200)
    assert most == 4


def test_reads_keep_to_their_budget() -> None:
    clock = TestClock()
    with serving(Table()) as server:
        budget = TokenBucket(50, clock)
        assert found(server, 1000, clock=clock, budget=budget) == evens(1000)
    assert clock.monotonic() >= (1000 - 50 - 4 * 100) / 50
    assert clock.monotonic() <= 1000 / 50 + 10


def test_a_table_that_stays_throttled_ends_it_with_the_cause() -> None:
    table, notes = Table(), Notes()
    why = [{"reason": "TableReadProvisionedThroughputExceeded", "resource": "t"}]
    table.disturb = lambda number: error("ProvisionedThroughputExceededException", ThrottlingReasons=why)
    with serving(table) as server, pytest.raises(WireThrottled, match="no progress") as raised:
        found(server, 300, note=notes.note)
    assert "TableReadProvisionedThroughputExceeded" in str(raised.value)
    assert any("TableReadProvisionedThroughputExceeded" in one for one in notes.notes)


def test_keys_that_are_never_looked_at_end_it() -> None:
    table = Table()
    table.leave = lambda number, keys: keys
    with serving(table) as server, pytest.raises(TransientError, match="left 100 of 100 keys unprocessed"):
        found(server, 300)


def test_a_failure_of_one_request_stops_the_others() -> None:
    table = Table()
    table.disturb = lambda number: error("AccessDeniedException") if number == 3 else None
    with serving(table) as server:
        with pytest.raises(PermanentError):
            found(server, 100_000)
        assert len(server.calls) < 40


def test_a_batch_that_cannot_be_made_stops_it() -> None:
    def broken() -> Iterator[list[bytes]]:
        yield from batches(300)
        raise IntegrityError("reading a part", "it is damaged")

    with serving(Table()) as server, pytest.raises(IntegrityError, match="damaged"):
        list(reader(server).each(broken()))


def test_more_items_than_keys_are_not_believed() -> None:
    table = Table()
    table.disturb = lambda number: Reply({"Responses": {"t": [json.loads(key(n)) for n in range(3)]}})
    with serving(table) as server, pytest.raises(IntegrityError, match="of 2 keys the service returned 3 items"):
        reader(server).read([key(0), key(1)])
