"""Items put into a table, several requests in flight, none ever dropped."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.dynamodb.pacing import NO_PROGRESS_SECONDS, Backoff, Brake, Halt, Halted, Width
from tablekeep.engine.dynamodb.wire import BATCH_WRITE_BYTES, BATCH_WRITE_ITEMS, WireClient, WireThrottled
from tablekeep.engine.errors import IntegrityError, TablekeepError, ThrottledError, TransientError
from tablekeep.engine.progress import NoProgress, Progress

T = TypeVar("T")

ENVELOPE_BYTES = 4096
"""Room for what surrounds the items of a request."""
PUT_BYTES = 28
"""`{"PutRequest":{"Item":}}` and a comma."""


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


class BatchWriter:
    """Puts items in batches of at most 25 and 16 MB; `put` from one thread at a time.

    UnprocessedItems are sent again until none is left or nothing has moved for `no_progress_seconds`. The order of writes is
    not kept. Used in a `with` statement: left normally it writes what is pending (`report`), left by an exception it stops.

    :param budget: write capacity units a second.
    :param in_flight: requests at a time (threads), at most: as many as the service's answering time makes useful are sent.
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
    ) -> None:
        self._wire, self._table, self._clock = wire, table, clock
        self._budget, self._limit = budget, no_progress_seconds
        self._progress: Progress = progress or NoProgress()
        self._halt, self._brake = Halt(clock), Brake(clock)
        self._lock = threading.Lock()
        self._width, self._running = Width(in_flight), 0
        self._free = threading.Condition(self._lock)
        self._pool = ThreadPoolExecutor(in_flight, thread_name_prefix="write")
        self._batch: list[bytes] = []
        self._batch_bytes = ENVELOPE_BYTES
        self._failure: BaseException | None = None
        self._accepted = self._written = self._requests = self._resent = self._throttles = 0
        self._equal = self._kept = 0
        self._consumed = 0.0
        self.report: WriteReport | None = None

    @property
    def written(self) -> int:
        """Items that the service has taken so far."""
        return self._written

    def put(self, item: bytes) -> None:
        """Takes one item (its wire JSON); may block while `in_flight` requests are under way.

        :raises TablekeepError: the first failure of any request so far; nothing is running any more then. A throttled or lost
            request gives ThrottledError or TransientError with how many items are not written; the service's
            ValidationException gives PermanentError at once, a key twice in a batch IntegrityError.
        """
        size = len(item) + PUT_BYTES
        if self._batch and (len(self._batch) == BATCH_WRITE_ITEMS or self._batch_bytes + size > BATCH_WRITE_BYTES):
            self._flush()
        self._batch.append(item)
        self._batch_bytes += size
        self._accepted += 1

    def put_many(self, items: Iterable[bytes]) -> None:
        """`put` for each."""
        many = items if isinstance(items, list) else list(items)
        first = (BATCH_WRITE_ITEMS - len(self._batch)) % BATCH_WRITE_ITEMS  # fill up what is pending
        for item in many[:first]:
            self.put(item)
        if len(self._batch) == BATCH_WRITE_ITEMS:
            self._flush()
        for start in range(first, len(many), BATCH_WRITE_ITEMS):
            some = many[start : start + BATCH_WRITE_ITEMS]
            if self._batch or len(some) < BATCH_WRITE_ITEMS or sum(map(len, some)) > BATCH_WRITE_BYTES // 2:
                for item in some:
                    self.put(item)
            else:
                self._accepted += len(some)
                self._batch = some
                self._flush()

    def close(self) -> WriteReport:
        """Writes what is pending and waits for all of it.

        :raises TablekeepError: as `put` does.
        :raises IntegrityError: when fewer or more items were written than were put.
        """
        if self.report is not None:
            return self.report
        if self._batch:
            self._flush()
        self._pool.shutdown(wait=True)
        self._raise_failure()
        done = self._written + self._equal + self._kept
        if done != self._accepted:
            raise IntegrityError(
                f"writing to table {self._table}", f"{self._accepted} items were put and {done} written"
            )
        self.report = WriteReport(
            self._written, self._requests, self._consumed, self._resent, self._throttles, self._equal, self._kept
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

    def _flush(self) -> None:
        batch, self._batch, self._batch_bytes = self._batch, [], ENVELOPE_BYTES
        width = self._width.now
        with self._free:
            while self._running >= width and self._failure is None:
                self._free.wait()
            self._running += 1
        if self._failure is not None:
            self._raise_failure()
        if width == 1:  # the service answers as fast as we send: no thread is worth its switching
            self._send(batch)
        else:
            self._pool.submit(self._send, batch)

    def _raise_failure(self) -> None:
        failure = self._failure
        if failure is None:
            return
        self._pool.shutdown(wait=True)
        if not isinstance(failure, TablekeepError):
            raise failure
        rest = f"{self._accepted - self._written} of {self._accepted} items handed over are not written"
        why = f"{failure.why.rstrip('.')}; {rest}"
        if isinstance(failure, WireThrottled):
            raise WireThrottled(failure.what, why, failure.todo, failure.reasons)
        raise type(failure)(failure.what, why, failure.todo)

    def _send(self, batch: list[bytes]) -> None:
        try:
            self._write(batch)
        except Halted:
            pass
        except BaseException as error:  # kept, and raised in the thread that puts
            with self._lock:
                self._failure = self._failure or error
            self._halt.set()
        finally:
            with self._free:
                self._running -= 1
                self._free.notify()

    def _write(self, batch: list[bytes]) -> None:
        backoff = Backoff(f"writing to table {self._table}", self._clock, self._limit, self._progress.note)
        while batch:
            self._halt.check()
            self._brake.wait(self._halt.sleep)
            expected = float(sum(-(-len(item) // 1024) for item in batch))
            if self._budget is not None:
                self._budget.acquire(expected, self._halt.sleep)
            actual = 0.0
            try:
                answer = self._timed(self._wire.batch_write, self._table, batch)
                actual = answer.consumed or expected * (1 - len(answer.unprocessed) / len(batch))
            except TransientError as error:
                self._pause(error, backoff)
                continue
            finally:
                if self._budget is not None:
                    self._budget.settle(expected, actual)
            batch = self._taken(batch, answer.unprocessed, actual, backoff)

    def _timed(self, call: Callable[..., T], *given: Any, **more: Any) -> T:
        wall, cpu = time.perf_counter(), time.thread_time()
        answer = call(*given, **more)
        self._width.measured(time.perf_counter() - wall, time.thread_time() - cpu)
        return answer

    def _taken(self, batch: list[bytes], unprocessed: list[bytes], consumed: float, backoff: Backoff) -> list[bytes]:
        """Counts what was written of `batch` and waits when something was not; returns what is to be sent again."""
        done = len(batch) - len(unprocessed)
        if done < 0:
            raise IntegrityError(
                f"writing to table {self._table}",
                f"the service returned {len(unprocessed)} unprocessed items of {len(batch)} sent",
            )
        with self._lock:
            self._written += done
            self._requests += 1
            self._consumed += consumed
            self._resent += len(unprocessed)
        if done:
            backoff.progressed()
            self._progress.advance(done, sum(map(len, batch)) - sum(map(len, unprocessed)))
        if unprocessed:
            why = f"BatchWriteItem left {len(unprocessed)} of {len(batch)} items unprocessed"
            self._pause(WireThrottled(f"writing to table {self._table}", why), backoff)
        return unprocessed

    def _pause(self, error: TransientError, backoff: Backoff) -> None:
        if isinstance(error, ThrottledError):
            with self._lock:
                self._throttles += 1
        delay = backoff.delay(error)
        if isinstance(error, WireThrottled) and not error.hot_key_only:
            self._brake.hold(delay)
        else:
            self._halt.sleep(delay)
