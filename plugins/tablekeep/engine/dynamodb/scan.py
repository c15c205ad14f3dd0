"""A table read by parallel scan: every segment to its end, by a few workers, within a budget."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import datetime

from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.dynamodb.pacing import NO_PROGRESS_SECONDS, Backoff, Brake, Causes, Halt, Halted
from tablekeep.engine.dynamodb.wire import Page, WireClient, WireThrottled
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError, ThrottledError, TransientError
from tablekeep.engine.progress import NoProgress, Progress

MOST_WORKERS = 4
MOST_SEGMENTS = 1_000_000
PAGE_RCU = 128.0
"""What a full page of 1 MB costs, eventually consistent; twice that when consistent."""
TABLE_CHECK_SECONDS = 60.0

OnPage = Callable[[int, Page], None]
Take = Callable[[], tuple[int, bytes | None] | None]
"""Gives the next segment to read, with the key after which to begin (raw JSON; None: at its beginning); None when none is left.
Called from several threads."""


def _in_turn(segments: Iterator[int]) -> Take:
    lock = threading.Lock()

    def take() -> tuple[int, bytes | None] | None:
        with lock:
            number = next(segments, None)
        return None if number is None else (number, None)

    return take


@dataclass(frozen=True, slots=True)
class SegmentReport:
    """One segment, read to its end.

    :param consumed: read capacity units.
    :param started_at: before its first request (aware, UTC).
    :param ended_at: after its last answer.
    """

    segment: int
    pages: int
    items: int
    consumed: float
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class ScanReport:
    """The segments that were read, in order, each to its end; how many requests were throttled, and how many sent again for any
    cause."""

    segments: tuple[SegmentReport, ...]
    throttles: int
    retries: int

    @property
    def items(self) -> int:
        return sum(part.items for part in self.segments)

    @property
    def pages(self) -> int:
        return sum(part.pages for part in self.segments)

    @property
    def consumed(self) -> float:
        """Read capacity units."""
        return sum(part.consumed for part in self.segments)

    @property
    def started_at(self) -> datetime:
        return min(part.started_at for part in self.segments)

    @property
    def ended_at(self) -> datetime:
        return max(part.ended_at for part in self.segments)


class ParallelScan:
    """One reading of one table.

    A page that was throttled or lost is asked for again with its own key; nothing read before is read twice.

    :param segments: of the whole table, 1 … 1,000,000; at most `workers` (1 … 4) are read at a time.
    :param take: gives out the segments to read; default: all of them. The caller knows then which were read.
    :param budget: read capacity units a second for all workers together.
    :param no_progress_seconds: how long one page may fail before the scan does.
    :param table_id: when given, checked once a minute and at the end: a table made anew under the same name is another table.
    """

    def __init__(
        self,
        wire: WireClient,
        table: str,
        segments: int,
        *,
        clock: Clock,
        consistent: bool = False,
        budget: TokenBucket | None = None,
        workers: int = MOST_WORKERS,
        no_progress_seconds: float = NO_PROGRESS_SECONDS,
        progress: Progress | None = None,
        table_id: str | None = None,
        take: Take | None = None,
    ) -> None:
        if not 1 <= segments <= MOST_SEGMENTS:
            raise BadInputError(
                f"scanning table {table}", f"{segments} segments is not within 1 and 1,000,000", "give 4, for example"
            )
        self._wire, self._table, self._segments, self._clock = wire, table, segments, clock
        self._consistent, self._budget, self._limit = consistent, budget, no_progress_seconds
        self._workers = max(1, min(workers, MOST_WORKERS, segments))
        self._take, self._all = take or _in_turn(iter(range(segments))), take is None
        self._progress: Progress = progress or NoProgress()
        self._table_id = table_id
        self._halt, self._brake = Halt(clock), Brake(clock)
        self._causes = Causes(table, self._progress.note)
        self._lock = threading.Lock()
        self._first: dict[int, Page] = {}
        self._reports: dict[int, SegmentReport] = {}
        self._throttles = self._retries = 0
        self._checked_at = clock.monotonic()
        self._ran = False
        self._failure: BaseException | None = None

    @property
    def segments(self) -> int:
        return self._segments

    def first_page(self, segment: int) -> Page:
        """The segment's first page, read now and kept: `run` goes on from it. Asked again, the same page; no second request."""
        if not 0 <= segment < self._segments:
            raise BadInputError(f"scanning table {self._table}", f"there is no segment {segment} of {self._segments}")
        if segment not in self._first:
            self._first[segment] = self._read(segment, None)
        return self._first[segment]

    def give_first_page(self, segment: int, page: Page) -> None:
        """A page that another scan of the table has read with `first_page`: not asked for again."""
        self._first[segment] = page

    def run(self, on_page: OnPage, *, on_end: Callable[[int], None] | None = None) -> ScanReport:
        """Reads all segments to their ends; may be called once.

        :param on_page: gets (segment, page), in order within a segment, in the segment's worker thread; blocking it is the
            backpressure. An empty page (Count 0) is given too.
        :param on_end: gets the segment after its last page, in the same thread.
        :raises TablekeepError: the first failure, whichever segment it was in, or what `on_page` raised. Either way no worker
            is running any more when this returns.
        """
        if self._ran:
            raise RuntimeError("a ParallelScan runs once")
        self._ran = True
        with ThreadPoolExecutor(self._workers, thread_name_prefix="scan") as pool:
            try:
                futures = [pool.submit(self._work, on_page, on_end) for _ in range(self._workers)]
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:  # the failure of one, or an interrupt of the caller, stops all; leaving the block waits for them
                if not all(future.done() and not future.exception() for future in futures):
                    self._halt.set()
        if self._failure is not None:
            raise self._failure
        self._check_table()
        unread = self._segments - len(self._reports)
        if unread and self._all:
            raise IntegrityError(
                f"scanning table {self._table}", f"{unread} of {self._segments} segments were not read to their ends"
            )
        ordered = tuple(report for _, report in sorted(self._reports.items()))
        return ScanReport(ordered, self._throttles, self._retries)

    def _work(self, on_page: OnPage, on_end: Callable[[int], None] | None) -> None:
        try:
            while not self._halt.called and (taken := self._take()) is not None:
                segment, start = taken
                report = self._scan_segment(segment, start, on_page)
                if on_end is not None:
                    on_end(segment)
                with self._lock:
                    self._reports[segment] = report
        except BaseException as error:
            with self._lock:
                if self._failure is None and not isinstance(error, Halted):
                    self._failure = error
            self._halt.set()
            raise

    def _scan_segment(self, segment: int, key: bytes | None, on_page: OnPage) -> SegmentReport:
        started_at: datetime | None = None
        first = self._first.pop(segment, None)
        pages = items = 0
        consumed = 0.0
        while True:
            self._halt.check()
            page, first = first or self._read(segment, key), None
            started_at = started_at or page.asked_at
            pages, items, consumed = pages + 1, items + page.count, consumed + page.consumed
            on_page(segment, page)
            self._progress.advance(page.count, page.byte_count)
            if page.last_key is None:
                assert started_at
                assert page.answered_at
                return SegmentReport(segment, pages, items, consumed, started_at, page.answered_at)
            if page.last_key == key:
                raise IntegrityError(
                    f"scanning table {self._table}",
                    f"segment {segment} does not advance: a page ended where it began",
                    "run it again",
                )
            key = page.last_key
            if self._table_id is not None and self._clock.monotonic() - self._checked_at >= TABLE_CHECK_SECONDS:
                self._check_table()

    def _read(self, segment: int, key: bytes | None) -> Page:
        backoff = Backoff(
            f"reading segment {segment} of table {self._table}", self._clock, self._limit, self._progress.note
        )
        expected = PAGE_RCU * (2 if self._consistent else 1)
        while True:
            self._halt.check()
            self._brake.wait(self._halt.sleep)
            if self._budget is not None:
                self._budget.acquire(expected, self._halt.sleep)
            asked_at = self._clock.now()
            try:
                page = self._wire.scan(
                    self._table, segment=segment, total=self._segments, start_key=key, consistent=self._consistent
                )
            except TransientError as error:
                self._settle(expected, 0.0)
                self._pause(error, backoff)
                continue
            except BaseException:
                self._settle(expected, 0.0)
                raise
            self._settle(expected, page.consumed or _estimate(page, self._consistent))
            return replace(page, asked_at=asked_at, answered_at=self._clock.now())

    def _settle(self, expected: float, actual: float) -> None:
        if self._budget is not None:
            self._budget.settle(expected, actual)

    def _pause(self, error: TransientError, backoff: Backoff) -> None:
        delay = backoff.delay(error)
        with self._lock:
            self._retries += 1
            self._throttles += isinstance(error, ThrottledError)
        if isinstance(error, WireThrottled):
            self._causes.tell(error)
            if not error.hot_key_only:
                self._brake.hold(delay)
                return  # the brake is what this worker waits for, too
        self._halt.sleep(delay)

    def _check_table(self) -> None:
        """:raises PermanentError: when the table is gone or another one has its name."""
        if self._table_id is None:
            return
        self._checked_at = self._clock.monotonic()
        backoff = Backoff(f"describing table {self._table}", self._clock, self._limit, self._progress.note)
        while True:
            try:
                found = self._wire.table_id(self._table)
                break
            except TransientError as error:
                self._halt.sleep(backoff.delay(error))
        if found != self._table_id:
            raise PermanentError(
                f"scanning table {self._table}",
                "the table was deleted and made anew while it was read (its table id changed)",
                "run it again; what was read is of two tables and is not a backup",
            )


def _estimate(page: Page, consistent: bool) -> float:
    """Read capacity units of a page whose answer does not name them: 4 KB a unit when consistent, 8 KB when not."""
    return max(1.0, page.byte_count / (4096 if consistent else 8192))
