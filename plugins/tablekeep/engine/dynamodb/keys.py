"""Items read by their keys with consistent reads, several requests in flight, no key ever left out."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec

from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.dynamodb.pacing import NO_PROGRESS_SECONDS, Backoff, Brake, Causes, Halt
from tablekeep.engine.dynamodb.wire import WireClient, WireThrottled
from tablekeep.engine.errors import IntegrityError, TransientError

IN_FLIGHT = 4
"""Requests at a time: an answer has up to 16 MB."""


class KeyReader:
    """Reads items by key. UnprocessedKeys are asked again until none is left or nothing has moved for `no_progress_seconds`.

    Who waits after a refusal is decided by its cause, as in `BatchWriter`: a hot key range, keys that were left over while others of
    the same request were looked at, and a lost request hold back their request; everything else holds back all.

    :param budget: read capacity units a second. :param note: told of causes of throttling, and of failures that persist.
    """

    def __init__(
        self,
        wire: WireClient,
        table: str,
        *,
        clock: Clock,
        budget: TokenBucket | None = None,
        in_flight: int = IN_FLIGHT,
        no_progress_seconds: float = NO_PROGRESS_SECONDS,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._wire, self._table, self._clock, self._budget = wire, table, clock, budget
        self._in_flight, self._limit, self._note = in_flight, no_progress_seconds, note
        self._what = f"reading keys of table {table}"
        self._halt, self._brake, self._causes = Halt(clock), Brake(clock), Causes(table, note)
        self._unit = 1.0  # read units a key, by the last answer

    def read(self, keys: Sequence[bytes]) -> list[msgspec.Raw]:
        """The items of those keys that the table holds.

        :param keys: at most 100, see `WireClient.batch_get`.
        :raises TablekeepError: as `WireClient` does; what may pass is tried again until nothing has moved for long.
        """
        left, items = list(keys), list[msgspec.Raw]()
        backoff = Backoff(self._what, self._clock, self._limit, self._note)
        while left:
            error, alone, some = self._ask(left, items)
            if len(some) < len(left):
                backoff.progressed()
            left = some
            if error is None:
                continue
            delay = backoff.delay(error)
            if not alone:
                self._brake.hold(delay)
            self._halt.sleep(delay)
        return items

    def each(self, batches: Iterable[list[bytes]]) -> Iterator[tuple[list[bytes], list[msgspec.Raw]]]:
        """Batch by batch, in their order: its keys, and the items of those that the table holds. After an error nothing is running, and
        the reader is of no more use.

        :param batches: each at most 100 keys; pulled in the calling thread, `in_flight` of them ahead.
        :raises TablekeepError: as `read` does, or what the batches raise.
        """
        waiting = deque[tuple[list[bytes], Future[list[msgspec.Raw]]]]()
        with ThreadPoolExecutor(self._in_flight, thread_name_prefix="keys") as pool:
            try:
                for keys in batches:
                    waiting.append((keys, pool.submit(self.read, keys)))
                    if len(waiting) >= self._in_flight:
                        yield waiting[0][0], waiting[0][1].result()
                        waiting.popleft()
                while waiting:
                    yield waiting[0][0], waiting[0][1].result()
                    waiting.popleft()
            finally:
                if waiting:
                    self._halt.set()
                    pool.shutdown(cancel_futures=True)

    def _ask(self, keys: list[bytes], items: list[msgspec.Raw]) -> tuple[TransientError | None, bool, list[bytes]]:
        """One request: adds what it found; the refusal, whether it says nothing of other requests, and the keys that are left."""
        self._halt.check()
        self._brake.wait(self._halt.sleep)
        expected, actual = self._unit * len(keys), 0.0
        if self._budget is not None:
            self._budget.acquire(expected, self._halt.sleep)
        try:
            answer = self._wire.batch_get(self._table, keys)
            done = len(keys) - len(answer.unprocessed)
            actual = answer.consumed or self._unit * done
        except TransientError as error:
            if isinstance(error, WireThrottled):
                self._causes.tell(error)
            return error, not isinstance(error, WireThrottled) or error.hot_key_only, keys
        finally:
            if self._budget is not None:
                self._budget.settle(expected, actual)
        if done < 0 or len(answer.items) > done:
            raise IntegrityError(
                self._what, f"of {len(keys)} keys the service returned {len(answer.items)} items and left {len(keys) - done}",
                "run it again; if it stays, report it to AWS",
            )  # fmt: skip
        items += answer.items
        if done:
            self._unit = actual / done
        if not answer.unprocessed:
            return None, True, []
        why = f"BatchGetItem left {len(answer.unprocessed)} of {len(keys)} keys unprocessed"
        return WireThrottled(self._what, why), done > 0, answer.unprocessed
