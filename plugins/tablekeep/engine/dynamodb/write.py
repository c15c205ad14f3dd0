"""Items put into a table, several requests in flight, none ever dropped."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.dynamodb.lanes import Lane
from tablekeep.engine.dynamodb.pacing import (
    NO_PROGRESS_SECONDS,
    SLICE_SECONDS,
    Backoff,
    Brake,
    Causes,
    Halt,
    Halted,
    Width,
)
from tablekeep.engine.dynamodb.wire import WireClient, WireThrottled
from tablekeep.engine.errors import IntegrityError, TablekeepError, ThrottledError, TransientError
from tablekeep.engine.progress import NoProgress, Progress

T = TypeVar("T")
FLYING_BYTES = 16 * 1024 * 1024
"""Bytes of items in flight, beyond one request: each of them is in memory, and once more in its request's body."""


@dataclass(frozen=True, slots=True)
class WriteReport:
    """What was written.

    :param items: accepted by the service, each once.
    :param consumed: write capacity units.
    :param resent: items that were sent again because the service had left them unprocessed.
    :param throttles: requests that were refused, or answered with unprocessed items.
    :param equal, kept: items that were not written, because the same one, or another one, has their key.
    """

    items: int
    requests: int
    consumed: float
    resent: int
    throttles: int
    equal: int = 0
    kept: int = 0


class Refused(NamedTuple):
    """Items that were not written, and why. `alone`: nothing says that items of other lanes would be refused, too."""

    left: list[bytes]
    error: TransientError
    alone: bool


def whole(items: list[bytes], error: TransientError) -> Refused:
    """A request that failed as a whole: a hot key range, or a connection that was lost, says nothing of others."""
    return Refused(items, error, alone=not isinstance(error, WireThrottled) or error.hot_key_only)


class BatchWriter:
    """Puts items in batches of at most 25 and 16 MB; `put` and `write` from one thread at a time.

    UnprocessedItems are sent again until none is left or nothing has moved for `no_progress_seconds`. The order of writes is
    not kept. Used in a `with` statement: left normally it writes what is pending (`report`), left by an exception it stops.

    Who waits after a refusal is decided by its cause: a hot key range, items that were left over while others of the same request
    were taken, and a lost request hold back their lane; everything else (the table's, an index's or the account's limit, or a cause
    that is not told) holds back all lanes.

    :param budget: write capacity units a second.
    :param in_flight: requests at a time (threads), at most: as many as the service's answering time makes useful are sent.
    :param guard: called before each request; raises when this worker must not write any more.
    """

    def __init__(
        self,
        wire: WireClient,
        table: str,
        *,
        clock: Clock,
        budget: TokenBucket | None = None,
        in_flight: int = 4,
        no_progress_seconds: float = NO_PROGRESS_SECONDS,
        progress: Progress | None = None,
        guard: Callable[[], None] | None = None,
    ) -> None:
        self._wire, self._table, self._clock = wire, table, clock
        self._budget, self._limit, self._guard = budget, no_progress_seconds, guard
        self._progress: Progress = progress or NoProgress()
        self._halt, self._brake = Halt(clock), Brake(clock)
        self._causes = Causes(table, self._progress.note)
        self._lock = threading.Lock()
        self._width, self._running, self._flying = Width(in_flight), 0, 0
        self._free = threading.Condition(self._lock)
        self._pool = ThreadPoolExecutor(in_flight, thread_name_prefix="write")
        self._own = Lane()
        self._lanes = [self._own]
        self._failure: BaseException | None = None
        self._requests = self._resent = self._throttles = 0
        self._consumed = 0.0
        self._gone = WriteReport(0, 0, 0.0, 0, 0)  # of lanes that are done
        self.report: WriteReport | None = None

    @property
    def written(self) -> int:
        """Items that the service has taken so far."""
        return self._gone.items + sum(lane.written for lane in self._lanes)

    def put(self, item: bytes) -> None:
        """Takes one item (its wire JSON); may block while `in_flight` requests are under way.

        :raises TablekeepError: the first failure of any request so far; nothing is running any more then. A throttled or lost
            request gives ThrottledError or TransientError with how many items are not written; the service's
            ValidationException gives PermanentError at once, a key twice in a batch IntegrityError.
        """
        self.put_many([item])

    def put_many(self, items: Iterable[bytes]) -> None:
        """`put` for each."""
        self._own.offer(list(items))
        while self._own.full:
            self._move([self._own])

    def write(self, lanes: Iterable[Lane], at_once: int, done: Callable[[Lane], None]) -> None:
        """Writes lanes to their ends, `at_once` of them side by side.

        :param done: told of each lane whose items are all written, in the calling thread.
        :raises TablekeepError: as `put` does; or what a lane's pages raise.
        """
        coming = iter(lanes)
        open_: list[Lane] = []
        while True:
            while len(open_) < at_once and (lane := next(coming, None)) is not None:
                self._lanes.append(lane)
                open_.append(lane)
            if not open_:
                return
            for lane in self._move(open_):
                open_.remove(lane)
                self._check(lane)
                done(lane)
                self._forget(lane)

    def close(self) -> WriteReport:
        """Writes what is pending and waits for all of it.

        :raises TablekeepError: as `put` does.
        :raises IntegrityError: when fewer or more items were written than were put.
        """
        if self.report is not None:
            return self.report
        self._own.ended = True
        while not self._move([self._own]):
            pass
        self._pool.shutdown(wait=True)
        self._raise_failure()
        self._check(self._own)
        self._forget(self._own)
        gone = self._gone
        self.report = WriteReport(
            gone.items, self._requests, self._consumed, self._resent, self._throttles, gone.equal, gone.kept
        )
        return self.report

    def __enter__(self) -> "BatchWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        self._halt.set()
        self._pool.shutdown(wait=True)

    def _check(self, lane: Lane) -> None:
        done = lane.written + lane.equal + lane.kept
        if done != lane.accepted:
            raise IntegrityError(
                f"writing to table {self._table}", f"{lane.accepted} items were put and {done} written"
            )

    def _forget(self, lane: Lane) -> None:
        """Of a lane that is done only the counts stay."""
        self._lanes.remove(lane)
        gone = self._gone
        self._gone = WriteReport(
            gone.items + lane.written, 0, 0.0, 0, 0, gone.equal + lane.equal, gone.kept + lane.kept
        )

    def _move(self, lanes: Sequence[Lane]) -> list[Lane]:
        """Sends a batch of each lane that has one and may; waits when none may. Returns the lanes that are done."""
        moved, done = False, list[Lane]()
        for lane in lanes:
            if self._is_held(lane):
                continue
            if lane.again:
                self._start(lane, *lane.again.popleft())
            elif (batch := lane.take()) is not None:
                self._start(lane, batch)
            elif lane.done:
                done.append(lane)
                continue
            else:
                continue
            moved = True
        if not moved and not done:
            self._rest(lanes)
        self._raise_failure()  # after it a lane looks done: what it had in flight was called off
        return done

    def _rest(self, lanes: Sequence[Lane]) -> None:
        """Until an answer comes, or a lane may go on."""
        with self._free:
            if self._running and self._failure is None and not any(lane.done for lane in lanes):
                self._free.wait(SLICE_SECONDS if any(lane.again for lane in lanes) else None)
                return
        self._raise_failure()
        held = [lane.until for lane in lanes if lane.again]
        if held:  # nothing is under way
            self._halt.sleep(max(0.0, min(held) - self._clock.monotonic()))

    def _is_held(self, lane: Lane) -> bool:
        return lane.until > 0 and lane.until > self._clock.monotonic()

    def _start(self, lane: Lane, batch: list[bytes], backoff: Backoff | None = None) -> None:
        """Sends a batch as soon as a request may be begun."""
        if self._guard is not None:
            self._guard()
        width, size = self._width.now, sum(map(len, batch))
        with self._free:
            while self._failure is None and (
                self._running >= width or (self._running and self._flying + size > FLYING_BYTES)
            ):
                self._free.wait()
            self._running += 1
            self._flying += size
            lane.running += 1
        if self._failure is not None:
            self._raise_failure()
        if width == 1:  # the service answers as fast as we send: no thread is worth its switching
            self._send(lane, batch, backoff)
        else:
            self._pool.submit(self._send, lane, batch, backoff)

    def _raise_failure(self) -> None:
        failure = self._failure
        if failure is None:
            return
        self._pool.shutdown(wait=True)
        if not isinstance(failure, TablekeepError):
            raise failure
        open_ = sum(lane.accepted - lane.written - lane.equal - lane.kept for lane in self._lanes)
        handed = self._gone.items + self._gone.equal + self._gone.kept + sum(lane.accepted for lane in self._lanes)
        why = f"{failure.why.rstrip('.')}; {open_} of {handed} items handed over are not written"
        if isinstance(failure, WireThrottled):
            raise WireThrottled(failure.what, why, failure.todo, failure.reasons)
        raise type(failure)(failure.what, why, failure.todo)

    def _send(self, lane: Lane, batch: list[bytes], backoff: Backoff | None) -> None:
        size = sum(map(len, batch))
        try:
            refused = self._attempt(lane, batch)
            if refused is not None:
                self._later(lane, refused, backoff, moved=len(refused.left) < len(batch))
        except Halted:
            pass
        except BaseException as error:  # kept, and raised in the thread that puts
            with self._lock:
                self._failure = self._failure or error
            self._halt.set()
        finally:
            with self._free:
                self._running -= 1
                self._flying -= size
                lane.running -= 1
                self._free.notify()

    def _later(self, lane: Lane, refused: Refused, backoff: Backoff | None, *, moved: bool) -> None:
        """What was refused is sent again, when its cause has had time to pass."""
        error = refused.error
        if backoff is None:
            backoff = Backoff(f"writing to table {self._table}", self._clock, self._limit, self._progress.note)
        elif moved:
            backoff.progressed()
        if isinstance(error, ThrottledError):
            with self._lock:
                self._throttles += 1
        if isinstance(error, WireThrottled):
            self._causes.tell(error)
        delay = backoff.delay(error)
        with self._lock:
            lane.again.append((refused.left, backoff))
            if refused.alone:
                lane.until = max(lane.until, self._clock.monotonic() + delay)
        if not refused.alone:
            self._brake.hold(delay)

    def _attempt(self, lane: Lane, batch: list[bytes]) -> Refused | None:
        """One request. Counts what was written, and returns the rest."""
        expected = float(sum(-(-len(item) // 1024) for item in batch))
        self._admit(expected)
        actual = 0.0
        try:
            answer = self._timed(self._wire.batch_write, self._table, batch)
            actual = answer.consumed or expected * (1 - len(answer.unprocessed) / len(batch))
        except TransientError as error:
            return whole(batch, error)
        finally:
            if self._budget is not None:
                self._budget.settle(expected, actual)
        left = answer.unprocessed
        done = len(batch) - len(left)
        if done < 0:
            raise IntegrityError(
                f"writing to table {self._table}",
                f"the service returned {len(left)} unprocessed items of {len(batch)} sent",
            )
        with self._lock:
            lane.written += done
            self._requests += 1
            self._consumed += actual
            self._resent += len(left)
        if done:
            self._progress.advance(done, sum(map(len, batch)) - sum(map(len, left)))
        if not left:
            return None
        why = f"BatchWriteItem left {len(left)} of {len(batch)} items unprocessed"
        return Refused(left, WireThrottled(f"writing to table {self._table}", why), alone=done > 0)

    def _admit(self, expected: float) -> None:
        """Waits until a request of so many write units may be sent."""
        self._halt.check()
        self._brake.wait(self._halt.sleep)
        if self._budget is not None:
            self._budget.acquire(expected, self._halt.sleep)

    def _timed(self, call: Callable[..., T], *given: Any, **more: Any) -> T:
        wall, cpu = time.perf_counter(), time.thread_time()
        answer = call(*given, **more)
        self._width.measured(time.perf_counter() - wall, time.thread_time() - cpu)
        return answer
