"""Writing to a table that holds items: one conditional write an item, which tells what is there."""

import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, SystemClock
from tablekeep.engine.dynamodb.keys import KeyReader
from tablekeep.engine.dynamodb.lanes import Lane
from tablekeep.engine.dynamodb.pacing import Backoff
from tablekeep.engine.dynamodb.wire import BATCH_GET_KEYS, WireClient
from tablekeep.engine.dynamodb.write import BatchWriter, Refused, whole
from tablekeep.engine.errors import TransientError
from tablekeep.engine.items.canonical import canonical_item, canonical_key, parse_item
from tablekeep.engine.restore.plan import Prepared

T = TypeVar("T")


class ConditionalWriter(BatchWriter):
    """Puts items one by one, each a request of its own.

    :param key_name: the partition key: with it an item is only put where no item has its key. What is there is counted as `equal`
        or, when it is another item, as `kept`. Without it what is there is overwritten.
    """

    def __init__(self, *given: Any, key_name: str | None, **more: Any) -> None:
        super().__init__(*given, **more)
        self._key_name = key_name

    def _attempt(self, lane: Lane, batch: list[bytes]) -> Refused | None:
        for number, item in enumerate(batch):
            expected = float(-(-len(item) // 1024))
            self._admit(expected)
            actual = 0.0
            try:
                answer = self._timed(self._wire.put, self._table, item, absent=self._key_name)
                actual = answer.consumed or expected
            except TransientError as error:
                return whole(batch[number:], error)
            finally:
                if self._budget is not None:
                    self._budget.settle(expected, actual)
            there = canonical_item(parse_item(answer.there)) if answer.there is not None else None
            with self._lock:
                self._requests += 1
                self._consumed += actual
                if there == item:
                    lane.equal += 1
                elif answer.written:
                    lane.written += 1
                else:
                    lane.kept += 1
            self._progress.advance(1, len(item))
        return None


def patiently(what: str, call: Callable[[], T]) -> T:
    """The call's answer, tried again while it is throttled or lost, until nothing has moved for long."""
    backoff = Backoff(what, SystemClock())
    while True:
        try:
            return call()
        except TransientError as error:
            time.sleep(backoff.delay(error))


def get_items(wire: WireClient, table: str, key_names: list[str], keys: list[bytes]) -> dict[bytes, bytes]:
    """Canonical key → canonical item, of those that the table holds; at most 100 keys."""
    return by_canonical_key(KeyReader(wire, table, clock=SystemClock()).read(keys), key_names)


def by_canonical_key(items: Iterable[bytes | msgspec.Raw], key_names: list[str]) -> dict[bytes, bytes]:
    """Canonical key → canonical item, of items in the service's JSON."""
    parsed = [parse_item(item) for item in items]
    return {canonical_key(item, key_names): canonical_item(item) for item in parsed}


def keep_present(clients: SessionClients, prepared: Prepared, clock: Clock) -> tuple[int, str]:
    """Writes the items that stand where others will be put, as DynamoDB JSON lines, beside the backups, before anything is put.

    :returns: how many, and the beginning of the objects' names: every try of the restore writes one.
    """
    plan, shelf = prepared.plan, prepared.source.full.location.shelf
    prefix = f"{shelf.prefix}/_restores/replaced-{plan.hash[:16]}-"
    wire, names, count = WireClient(clients), list(plan.key), 0
    sink = prepared.source.store.open_write(f"{prefix}{clock.now():%Y%m%dT%H%M%SZ}-{clock.token(4)}.json")
    try:
        keys = sorted(prepared.selection.keys or ())
        for start in range(0, len(keys), BATCH_GET_KEYS):
            for item in get_items(wire, plan.to_table, names, keys[start : start + BATCH_GET_KEYS]).values():
                sink.write(b'{"Item":%b}\n' % item)
                count += 1
        sink.finish()
    except BaseException:
        sink.abort()
        raise
    wire.close()
    return count, f"s3://{shelf.bucket}/{prefix}"
