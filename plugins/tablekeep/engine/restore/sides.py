"""What can be compared: a table, read with consistent reads, or a backup. Both give a hasher and their keys."""

import threading
from collections.abc import Sequence
from typing import Protocol

import msgspec

from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.backups.spool import KeySpool
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.scan import ParallelScan
from tablekeep.engine.dynamodb.settings import read_settings
from tablekeep.engine.dynamodb.wire import Page, WireClient
from tablekeep.engine.items.census import Census
from tablekeep.engine.items.codec import Encoder
from tablekeep.engine.items.hashing import Hasher
from tablekeep.engine.items.layout import Layout, decide
from tablekeep.engine.items.shapes import Learned
from tablekeep.engine.progress import Progress

SAMPLE = 200
SOME = 2000
"""Items that are encoded at a time, for bounded memory."""


class Side(Protocol):
    """One side of a comparison."""

    @property
    def name(self) -> str:
        """How the person called it."""
        ...

    @property
    def key_names(self) -> list[str]: ...

    def expected(self) -> int:
        """About how many items it has."""
        ...

    def hasher(self) -> Hasher:
        """Count, sum and buckets of all its items."""
        ...

    def spool(self, keys: KeySpool) -> None:
        """Adds every item's canonical key and SHA-256."""
        ...


class _Collector:
    """Takes items of several threads at once: an encoder for each segment, of which the hash is used, and a lock for the spool.

    :param key_types: name and type of each key attribute.
    """

    def __init__(self, key_types: Sequence[tuple[str, str]], spool: KeySpool | None) -> None:
        self._key_types, self._spool = list(key_types), spool
        self._names = [name for name, _ in key_types]
        self._lock = threading.Lock()
        self._encoders: dict[int, Encoder] = {}
        self._learned = Learned(self._names)
        self._layout: Layout | None = None

    def take(self, segment: int, items: Sequence[bytes | msgspec.Raw]) -> int:
        with self._lock:
            encoder = self._encoders.get(segment)
            if encoder is None:
                # any layout gives the same hash; one that fits the items is the fastest
                self._layout = self._layout or decide(Census.of(items[:SAMPLE]), self._key_types)
                encoder = self._encoders[segment] = Encoder(self._layout, self._names, learned=self._learned)
        for start in range(0, len(items), SOME):
            encoded = encoder.encode(items[start : start + SOME])
            if self._spool:
                with self._lock:
                    for key, digest in zip(encoded.keys, encoded.digests, strict=True):
                        self._spool.add(key, digest)
        return len(items)

    def whole(self) -> Hasher:
        whole = Hasher()
        for encoder in self._encoders.values():
            whole.merge(encoder.hasher)
        return whole


class TableSide:
    """A table as it is now."""

    def __init__(self, clients: SessionClients, clock: Clock, progress: Progress, table: str) -> None:
        self._clients, self._clock, self._progress, self.name = clients, clock, progress, table
        self._settings = read_settings(clients, table)

    @property
    def key_names(self) -> list[str]:
        return list(self._settings.key_names)

    def expected(self) -> int:
        return self._settings.item_count

    def hasher(self) -> Hasher:
        return self._read(None)

    def spool(self, keys: KeySpool) -> None:
        self._read(keys)

    def _read(self, keys: KeySpool | None) -> Hasher:
        self._progress.phase("proof", self._settings.item_count or None)
        collector = _Collector([(key.name, key.type) for key in self._settings.key_schema], keys)

        def on_page(segment: int, page: Page) -> None:
            collector.take(segment, page.items)

        scan = ParallelScan(
            WireClient(self._clients), self.name, 4, clock=self._clock, consistent=True, progress=self._progress,
            table_id=self._settings.table_id,
        )  # fmt: skip
        scan.run(on_page)
        return collector.whole()


class BackupSide:
    """A backup; its buckets stand in its manifest, so only a difference makes it be read."""

    def __init__(self, opened: BackupSet, progress: Progress) -> None:
        self._opened, self._progress = opened, progress

    @property
    def name(self) -> str:
        return self._opened.manifest.uri

    @property
    def key_names(self) -> list[str]:
        return self._opened.manifest.key_names

    def expected(self) -> int:
        return self._opened.manifest.items

    def hasher(self) -> Hasher:
        return self._read(None)

    def spool(self, keys: KeySpool) -> None:
        self._read(keys)

    def _read(self, keys: KeySpool | None) -> Hasher:
        self._progress.phase("read", self._opened.manifest.items)
        collector = _Collector(self._opened.manifest.key, keys)
        for part in self._opened.manifest.parts:
            for items in self._opened.items(part):
                self._progress.advance(collector.take(0, items))
        return collector.whole()
