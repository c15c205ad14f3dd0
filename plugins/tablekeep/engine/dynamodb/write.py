"""Batch writes: every item is written or the run fails; what the service did not take is sent again, within a bound."""

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType

from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.dynamodb.retrying import NO_PROGRESS_SECONDS, backoff, until_progress
from tablekeep.engine.dynamodb.wire import WireClient
from tablekeep.engine.errors import ThrottledError

BATCH_ITEMS = 25
BATCH_BYTES = 15 * 1024 * 1024
"""DynamoDB takes 25 items and 16 MB a batch; the rest is for what surrounds the items."""
IN_FLIGHT = 4


class BatchWriter:
    """Writes wire items to one table, several batches in flight. Used as a context; leaving it waits for all of them.

    :param budget: write capacity units a second.
    """

    def __init__(self, wire: WireClient, table: str, clock: Clock, *, budget: TokenBucket | None = None) -> None:
        self._wire, self._table, self._clock, self._budget = wire, table, clock, budget
        self._pool = ThreadPoolExecutor(IN_FLIGHT, "write")
        self._flying: set[Future[int]] = set()
        self._batch: list[bytes] = []
        self._bytes = 0
        self.written = 0
        """Items that the service has taken."""

    def __enter__(self) -> "BatchWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def put(self, item: bytes) -> None:
        """Takes one item's wire JSON; blocks while enough batches are in flight."""
        if len(self._batch) == BATCH_ITEMS or self._bytes + len(item) > BATCH_BYTES:
            self._send()
        self._batch.append(item)
        self._bytes += len(item)

    def flush(self) -> None:
        """Returns when everything was written.

        :raises: the first batch's error.
        """
        self._send()
        self._collect(0)

    def _send(self) -> None:
        if self._batch:
            self._collect(IN_FLIGHT - 1)
            self._flying.add(self._pool.submit(self._write, self._batch))
        self._batch, self._bytes = [], 0

    def _collect(self, most: int) -> None:
        while len(self._flying) > most:
            done, self._flying = wait(self._flying, return_when=FIRST_COMPLETED)
            for future in done:
                self.written += future.result()

    def _write(self, batch: list[bytes]) -> int:
        left, attempt, since = batch, 0, self._clock.monotonic()
        while left:
            if self._budget:
                self._budget.wait()
            sending = left
            left, consumed = until_progress(lambda: self._wire.put_batch(self._table, sending), self._clock)
            if self._budget:
                self._budget.spend(consumed)
            if len(left) < len(sending):
                attempt, since = 0, self._clock.monotonic()
            if not left:
                break
            if self._clock.monotonic() - since > NO_PROGRESS_SECONDS:
                raise ThrottledError(
                    f"writing to the table {self._table}",
                    f"{len(left)} items of a batch were not taken for {NO_PROGRESS_SECONDS:.0f} s",
                    "raise the table's write capacity, then run it again",
                )
            self._clock.sleep(backoff(attempt))
            attempt += 1
        return len(batch)
