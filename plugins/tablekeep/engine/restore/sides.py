"""What can be compared: a table, read with consistent reads, or a backup. Both give a hasher and their keys."""

import threading
from collections.abc import Iterable
from typing import Protocol

import msgspec

from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.backups.spool import KeySpool
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.scan import ParallelScan
from tablekeep.engine.dynamodb.settings import read_settings
from tablekeep.engine.dynamodb.wire import Page, WireClient
from tablekeep.engine.items.canonical import canonical_attributes, canonical_key, encode_canonical, parse_item
from tablekeep.engine.items.hashing import Hasher
from tablekeep.engine.progress import Progress


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
    """Takes items of several threads at once: a hasher for each segment, a lock for the spool."""

    def __init__(self, key_names: list[str], spool: KeySpool | None) -> None:
        self._keys, self._spool = key_names, spool
        self._lock = threading.Lock()
        self._hashers: dict[int, Hasher] = {}

    def take(self, segment: int, items: Iterable[bytes | msgspec.Raw]) -> int:
        with self._lock:
            hasher = self._hashers.setdefault(segment, Hasher())
        records = []
        for raw in items:
            attributes = canonical_attributes(parse_item(raw))
            canonical, key = encode_canonical(attributes), canonical_key(attributes, self._keys)
            records.append((key, hasher.add(canonical, key).to_bytes(32, "big")))
        if self._spool:
            with self._lock:
                for key, digest in records:
                    self._spool.add(key, digest)
        return len(records)

    def whole(self) -> Hasher:
        whole = Hasher()
        for hasher in self._hashers.values():
            whole.merge(hasher)
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
        collector = _Collector(self.key_names, keys)

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
        collector = _Collector(self.key_names, keys)
        for part in self._opened.manifest.parts:
            for items in self._opened.items(part):
                self._progress.advance(collector.take(0, items))
        return collector.whole()
