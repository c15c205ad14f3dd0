"""Reads segments of a planned export, in this process. What others have finished is not read again."""

import gc
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tablekeep.engine.backups.store import Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.dynamodb.scan import ParallelScan
from tablekeep.engine.dynamodb.wire import Page, WireClient
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.export.plan import ExportPlan
from tablekeep.engine.export.segments import ScannedSegment
from tablekeep.engine.items.shapes import Learned
from tablekeep.engine.progress import Progress

COLLECT_EVERY = 50_000
"""Objects after which Python looks for cycles: a page makes thousands and leaves none."""
TakeNumber = Callable[[], int | None]
"""Gives the next segment's number, None when there is none left. Called from several threads."""


@dataclass
class Tally:
    """What a reading found done and did: segments, items and parts, of these `kept_parts` from earlier tries."""

    segments: int = 0
    items: int = 0
    parts: int = 0
    kept_parts: int = 0

    def add(self, state: ScannedSegment) -> None:
        """Counts a segment that is done."""
        self.segments += 1
        self.items += state.items
        self.parts += len(state.writer.parts)


class _Segments:
    """Opens a segment's state when its turn comes and forgets it when it is done: memory does not grow with the segments."""

    def __init__(self, store: Store, plan: ExportPlan, take: TakeNumber, attempt: int, progress: Progress) -> None:
        self._store, self._plan, self._take, self._attempt, self._progress = store, plan, take, attempt, progress
        self._open: dict[int, ScannedSegment] = {}
        self._lock, self._encoding = threading.Lock(), threading.Lock()
        self._learned = Learned(plan.key_names)
        self.tally = Tally()

    def take(self) -> tuple[int, bytes | None] | None:
        """The next segment that is not finished, and where to go on with it."""
        while (number := self._take()) is not None:
            state = ScannedSegment(self._store, self._plan, number, self._attempt, self._learned)
            if state.kept:
                self._progress.advance(state.items)
            with self._lock:
                self.tally.kept_parts += state.kept
                if not state.done:
                    self._open[number] = state
                    return number, state.start
                self.tally.add(state)
        return None

    def page(self, number: int, page: Page) -> None:
        # one at a time: threads that encode side by side take turns on Python's lock and on the processor's cache, and both pay
        with self._encoding:
            self._open[number].add(page)

    def end(self, number: int) -> None:
        """:raises IntegrityError: when the segment read and wrote different numbers of items."""
        state = self._open[number]
        state.close()
        written = sum(part.rows for part in state.writer.parts)
        if written != state.items:
            raise IntegrityError(
                f"exporting the table {self._plan.table['name']}",
                f"segment {number} read {state.items:,} items and wrote {written:,}",
            )
        state.finish()
        with self._lock:
            self.tally.add(self._open.pop(number))

    def abort(self) -> None:
        """Gives up what is being written."""
        for state in self._open.values():
            try:
                state.writer.abort()
            except Exception as error:
                self._progress.note(f"an upload could not be given up: {error}")


def read_segments(
    clients: SessionClients,
    store: Store,
    plan: ExportPlan,
    take: TakeNumber,
    *,
    clock: Clock,
    progress: Progress,
    budget: TokenBucket | None = None,
    first_pages: dict[int, Page] | None = None,
) -> Tally:
    """Reads segments to their ends and writes their parts; their states say so afterwards.

    :param take: gives them out: finished ones are left out, begun ones go on where their last part ended.
    :param first_pages: pages that are at hand already, by segment.
    :raises PermanentError: when another worker goes on with one of them. :raises IntegrityError: when counts differ.
    :raises TablekeepError: any failure; what was finished before stays finished.
    """
    segments = _Segments(store, plan, take, int(clock.token(4), 16), progress)
    scan = ParallelScan(
        WireClient(clients), plan.table["name"], plan.segments, clock=clock, budget=budget, progress=progress,
        table_id=plan.table["id"], take=segments.take,
    )  # fmt: skip
    for number, page in (first_pages or {}).items():
        scan.give_first_page(number, page)
    thresholds = gc.get_threshold()
    gc.set_threshold(max(thresholds[0], COLLECT_EVERY), *thresholds[1:])
    try:
        scan.run(segments.page, on_end=segments.end)
    except BaseException:
        segments.abort()
        raise
    finally:
        gc.set_threshold(*thresholds)
    tally = segments.tally
    if tally.kept_parts:
        progress.note(f"{tally.kept_parts} parts that an earlier try had finished were kept")
    return tally


def in_turn(numbers: range | list[int]) -> TakeNumber:
    """Gives out the numbers one by one."""
    lock, left = threading.Lock(), iter(numbers)

    def take() -> int | None:
        with lock:
            return next(left, None)

    return take
