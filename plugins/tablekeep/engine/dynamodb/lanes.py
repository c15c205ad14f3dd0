"""A stream of items on their way to a table, cut into requests."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from tablekeep.engine.dynamodb.pacing import Backoff
from tablekeep.engine.dynamodb.wire import BATCH_WRITE_BYTES, BATCH_WRITE_ITEMS

ENVELOPE_BYTES = 4096
"""Room for what surrounds the items of a request."""
PUT_BYTES = 28
"""`{"PutRequest":{"Item":}}` and a comma."""


class Lane:
    """Items that are slowed together, as those of one part of a backup: their keys lie in few of the table's partitions.

    What it holds in memory is a page and the batches that are sent again. `take` and `offer` are called by one thread.

    :param pages: items (wire JSON), some at a time; pulled when they are needed. None: what is offered is all, until `ended` is set.
    :param name: the caller's own, for what it does in the end.
    :ivar accepted: items that came out of the pages or were offered. :ivar written, equal, kept: of them, as `WriteReport` has them.
    :ivar again: batches that were refused, each with how long it has been waiting. :ivar until: nothing is sent before (monotonic).
    :ivar running: requests in flight. :ivar ended: no page is left; what was offered is cut to the last item.
    """

    def __init__(self, pages: Iterable[list[bytes]] | None = None, name: str = "") -> None:
        self._pages: Iterator[list[bytes]] | None = None if pages is None else iter(pages)
        self._page: Sequence[bytes] = ()
        self._at = 0
        self.name = name
        self.again: deque[tuple[list[bytes], Backoff]] = deque()
        self.until = 0.0
        self.running = 0
        self.accepted = self.written = self.equal = self.kept = 0
        self.ended = False

    def offer(self, items: list[bytes]) -> None:
        """Items from outside, behind those that are left."""
        left = self._page[self._at :]
        self._page, self._at = [*left, *items] if left else items, 0
        self.accepted += len(items)

    @property
    def full(self) -> bool:
        """Whether a whole batch is at hand."""
        return len(self._page) - self._at >= BATCH_WRITE_ITEMS

    @property
    def done(self) -> bool:
        """Whether all of it was written; in this order, for a request that was refused comes back before it counts as ended."""
        return self.ended and not self.running and not self.again

    def take(self) -> list[bytes] | None:
        """The next batch: at most 25 items and 16 MB; None when there is none, or no full one and more may be offered."""
        while not self.full and not self.ended:
            if self._pages is None:
                return None
            page = next(self._pages, None)
            if page is None:
                self.ended = True
            else:
                self.offer(page)
        some = list(self._page[self._at : self._at + BATCH_WRITE_ITEMS])
        if sum(map(len, some)) > BATCH_WRITE_BYTES // 2:
            size = ENVELOPE_BYTES + sum(map(len, some)) + PUT_BYTES * len(some)
            while size > BATCH_WRITE_BYTES and len(some) > 1:
                size -= len(some.pop()) + PUT_BYTES
        self._at += len(some)
        return some or None
