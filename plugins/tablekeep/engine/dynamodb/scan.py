"""The parallel scan: every segment to its end, pages in order within a segment, a page's failure retried at that page."""

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime

from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.dynamodb.retrying import until_progress
from tablekeep.engine.dynamodb.wire import Page, WireClient

MAX_WORKERS = 4
"""Segments in flight: memory is a page and a row group for each."""


@dataclass(slots=True)
class SegmentRead:
    """What was read of one segment. `complete` only when the service gave no LastEvaluatedKey."""

    number: int
    started: datetime
    ended: datetime
    pages: int = 0
    items: int = 0
    consumed: float = 0.0
    complete: bool = False


class Cancelled(Exception):
    """The scan ends because another segment failed."""


class TableScan:
    """A scan of one table.

    :param segments: 1 … 1,000,000 (DynamoDB API reference, Scan).
    :param consistent: strongly consistent reads, at twice the cost.
    :param budget: read capacity units a second over all segments.
    """

    def __init__(
        self,
        wire: WireClient,
        table: str,
        segments: int,
        clock: Clock,
        *,
        consistent: bool = False,
        budget: TokenBucket | None = None,
    ) -> None:
        self._wire, self._table, self.segments, self._clock = wire, table, segments, clock
        self._consistent, self._budget = consistent, budget
        self._first: dict[int, tuple[datetime, Page]] = {}
        self._stop = threading.Event()

    def _page(self, segment: int, start: dict[str, dict[str, object]] | None) -> Page:
        if self._budget:
            self._budget.wait()
        page = until_progress(
            lambda: self._wire.scan_page(self._table, segment, self.segments, start, consistent=self._consistent),
            self._clock,
        )
        if self._budget:
            self._budget.spend(page.consumed)
        return page

    def first_page(self, segment: int) -> Page:
        """The segment's first page, for a sample; `run` goes on from it and does not read it again."""
        if segment not in self._first:
            self._first[segment] = (self._clock.now(), self._page(segment, None))
        return self._first[segment][1]

    def run(self, on_page: Callable[[int, Page], None]) -> list[SegmentRead]:
        """Reads every segment to its end.

        :param on_page: called with segment and page, in order within a segment, from several threads at once.
        :raises: the first error of a page or of `on_page`, after all other segments have stopped.
        """
        with ThreadPoolExecutor(min(MAX_WORKERS, self.segments), "scan") as pool:
            futures = [pool.submit(self._segment, number, on_page) for number in range(self.segments)]
            wait(futures, return_when=FIRST_EXCEPTION)
            if any(future.done() and future.exception() for future in futures):
                self._stop.set()
            wait(futures)
        errors = [error for future in futures if (error := future.exception()) and not isinstance(error, Cancelled)]
        if errors:
            raise errors[0]
        return [future.result() for future in futures]

    def _segment(self, number: int, on_page: Callable[[int, Page], None]) -> SegmentRead:
        started, page = self._first.pop(number, (self._clock.now(), None))
        read = SegmentRead(number, started, started)
        start: dict[str, dict[str, object]] | None = None
        while True:
            if self._stop.is_set():
                raise Cancelled
            if page is None:
                page = self._page(number, start)
            read.pages += 1
            read.items += len(page.items)
            read.consumed += page.consumed
            read.ended = self._clock.now()
            on_page(number, page)
            if page.last_key is None:
                read.complete = True
                return read
            start, page = page.last_key, None
