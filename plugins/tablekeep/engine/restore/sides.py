"""What can be compared: a table, read with consistent reads, or a backup. Both give a hasher and their keys."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Protocol

import msgspec

from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.backups.spool import KeySpool
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.dynamodb.scan import MOST_SEGMENTS, MOST_WORKERS, ParallelScan
from tablekeep.engine.dynamodb.settings import TableSettings, read_settings
from tablekeep.engine.dynamodb.wire import BATCH_GET_KEYS, Page, WireClient
from tablekeep.engine.items.census import Census
from tablekeep.engine.items.codec import Encoded, Encoder
from tablekeep.engine.items.hashing import Hasher
from tablekeep.engine.items.layout import Layout, decide
from tablekeep.engine.items.shapes import Learned
from tablekeep.engine.processes import Worker, in_processes
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.existing import get_items

SAMPLE = 200
SOME = 2000
"""Items that are encoded at a time, for bounded memory."""


Item = bytes | msgspec.Raw


class Keyed(Protocol):
    """Items that can be read again and again, by key."""

    def expected(self) -> int:
        """About how many items it has."""
        ...

    def spool(self, keys: KeySpool) -> None:
        """Adds every item's canonical key and SHA-256."""
        ...

    def pick(self, wanted: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Canonical key and canonical item of those that are there, in any order."""
        ...


class Side(Keyed, Protocol):
    """One side of a comparison."""

    @property
    def name(self) -> str:
        """How the person called it."""
        ...

    @property
    def key_names(self) -> list[str]: ...

    def hasher(self) -> Hasher:
        """Count, sum and buckets of all its items."""
        ...


Take = Callable[[Sequence[Item], Encoded], None]
"""Gets some items, and what encoding them gave, in the same order."""


class _Collector:
    """Takes items of several threads at once: an encoder for each segment, of which the hash is used, and a lock for `take`.

    :param key_types: name and type of each key attribute. :param take: gets what was encoded.
    """

    def __init__(self, key_types: Sequence[tuple[str, str]], take: Take | None = None) -> None:
        self._key_types, self._take = list(key_types), take
        self._names = [name for name, _ in key_types]
        self._lock = threading.Lock()
        self._encoders: dict[int, Encoder] = {}
        self._ended = Hasher()
        self._learned = Learned(self._names)
        self._layout: Layout | None = None

    def add(self, segment: int, items: Sequence[Item]) -> int:
        if not items:
            return 0
        with self._lock:
            encoder = self._encoders.get(segment)
            if encoder is None:
                # any layout gives the same hash; one that fits the items is the fastest
                self._layout = self._layout or decide(Census.of(items[:SAMPLE]), self._key_types)
                encoder = self._encoders[segment] = Encoder(self._layout, self._names, learned=self._learned)
        for start in range(0, len(items), SOME):
            some = items[start : start + SOME]
            encoded = encoder.encode(some)
            if self._take:
                with self._lock:
                    self._take(some, encoded)
        return len(items)

    def end(self, segment: int) -> None:
        """A segment was read to its end: of it only the hash stays."""
        with self._lock:
            if (encoder := self._encoders.pop(segment, None)) is not None:
                self._ended.merge(encoder.hasher)

    def whole(self) -> Hasher:
        whole = Hasher()
        for hasher in (self._ended, *(encoder.hasher for encoder in self._encoders.values())):
            whole.merge(hasher)
        return whole


def _to_spool(keys: KeySpool) -> Take:
    def take(_items: Sequence[Item], encoded: Encoded) -> None:
        for key, digest in zip(encoded.keys, encoded.digests, strict=True):
            keys.add(key, digest)

    return take


class TableSide:
    """A table as it is now.

    :param workers: processes of this machine that hash it. :param size_bytes: of its items, about; DynamoDB tells it hours late.
    :param budget: read capacity units a second, of one process.
    """

    def __init__(
        self,
        clients: SessionClients,
        clock: Clock,
        progress: Progress,
        table: str,
        *,
        workers: int = 1,
        size_bytes: int = 0,
        budget: TokenBucket | None = None,
    ) -> None:
        self._clients, self._clock, self._progress, self.name = clients, clock, progress, table
        self._budget = budget
        self._settings = read_settings(clients, table)
        self._workers = workers
        self._segments = segment_count(max(size_bytes, self._settings.size_bytes), workers)

    @property
    def key_names(self) -> list[str]:
        return list(self._settings.key_names)

    def expected(self) -> int:
        return self._settings.item_count

    def hasher(self) -> Hasher:
        self._progress.phase("proof", self._settings.item_count or None)
        if self._workers == 1:
            return self._read(None)
        whole = Hasher()
        in_processes(
            _hash_segments, (self._settings, self._segments), clients=[self._clients], count=self._segments, workers=self._workers,
            name="proof", what=f"reading the table {self.name}", progress=self._progress, told=whole.merge,
        )  # fmt: skip
        return whole

    def spool(self, keys: KeySpool) -> None:
        self._progress.phase("proof", self._settings.item_count or None)
        self._read(_to_spool(keys))

    def pick(self, wanted: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
        wire, keys = WireClient(self._clients), sorted(wanted)
        try:
            for start in range(0, len(keys), BATCH_GET_KEYS):
                some = keys[start : start + BATCH_GET_KEYS]
                yield from get_items(wire, self.name, self.key_names, some).items()
        finally:
            wire.close()

    def _read(self, take: Take | None) -> Hasher:
        return hash_table(
            self._clients, self._settings, self._segments, None, self._clock, self._progress, take, self._budget
        )


def segment_count(size_bytes: int, readers: int = 1) -> int:
    """Into how many segments a table is cut for readers that take one after the other: one a GiB, and four for each reader."""
    return min(MOST_SEGMENTS, max(MOST_WORKERS * readers, size_bytes // 1024**3 + 1))


def hash_table(
    clients: SessionClients,
    settings: TableSettings,
    total: int,
    take: Callable[[], int | None] | None,
    clock: Clock,
    progress: Progress,
    items: Take | None = None,
    budget: TokenBucket | None = None,
) -> Hasher:
    """Count, sum and buckets of what segments of a table hold, read with consistent reads.

    :param total: segments of the whole table. :param take: gives out those to be read, from several threads; None: all of them.
    :param items: gets them. :param budget: read capacity units a second.
    """
    collector = _Collector([(key.name, key.type) for key in settings.key_schema], items)

    def on_page(segment: int, page: Page) -> None:
        collector.add(segment, page.items)

    def following() -> tuple[int, bytes | None] | None:
        number = take() if take else None
        return None if number is None else (number, None)

    ParallelScan(
        WireClient(clients), settings.table, total, clock=clock, consistent=True, progress=progress, table_id=settings.table_id,
        take=following if take else None, budget=budget,
    ).run(on_page, on_end=collector.end)  # fmt: skip
    return collector.whole()


def _hash_segments(worker: Worker, job: tuple[TableSettings, int]) -> None:
    """One process."""
    settings, total = job
    (clients,) = worker.clients
    worker.tell(hash_table(clients, settings, total, worker.take, worker.clock, worker.progress))


class PagesSide:
    """Canonical items in pages: a backup, or what a restore wants of one. Every part is read and checked each time.

    :param key: name and type of each key attribute. :param pages: gives all of them anew at each call.
    """

    def __init__(
        self,
        name: str,
        key: Sequence[tuple[str, str]],
        items: int,
        pages: Callable[[], Iterator[list[bytes]]],
        progress: Progress,
    ) -> None:
        self.name, self._key, self._items, self.pages, self._progress = name, key, items, pages, progress

    @property
    def key_names(self) -> list[str]:
        return [name for name, _ in self._key]

    def expected(self) -> int:
        return self._items

    def hasher(self) -> Hasher:
        return self._read(None)

    def spool(self, keys: KeySpool) -> None:
        self._read(_to_spool(keys))

    def pick(self, wanted: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
        left, found = set(wanted), list[tuple[bytes, bytes]]()

        def take(items: Sequence[Item], encoded: Encoded) -> None:
            found.extend((key, bytes(item)) for key, item in zip(encoded.keys, items, strict=True) if key in left)

        self._progress.phase("look up", self._items)
        collector = _Collector(self._key, take)
        for page in self.pages():
            self._progress.advance(collector.add(0, page))
            yield from found
            left.difference_update(key for key, _ in found)
            found.clear()
            if not left:
                return

    def _read(self, take: Take | None) -> Hasher:
        self._progress.phase("read", self._items)
        collector = _Collector(self._key, take)
        for page in self.pages():
            self._progress.advance(collector.add(0, page))
        return collector.whole()


def backup_side(opened: BackupSet, progress: Progress, parts: Collection[str] | None = None) -> PagesSide:
    """A backup's items, part by part.

    :param parts: names of those that are looked at; all when not given.
    """
    manifest = opened.manifest
    some = [part for part in manifest.parts if parts is None or part.name in parts]

    def pages() -> Iterator[list[bytes]]:
        for part in some:
            yield from opened.items(part)

    return PagesSide(manifest.uri, manifest.key, sum(part.rows for part in some), pages, progress)
