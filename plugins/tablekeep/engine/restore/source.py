"""Where a restore's items come from: a full backup, or a full backup with the increments up to a time folded in."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol

from tablekeep.engine.backups.catalog import usable_sets
from tablekeep.engine.backups.chains import Chain, chain
from tablekeep.engine.backups.changed import NAME_BYTES, ChangedKeys
from tablekeep.engine.backups.folding import gather
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import BackupSet, open_backup
from tablekeep.engine.backups.store import Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import utc_text
from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.progress import Progress

REST = "new items"
"""The unit that holds what the increments added."""


class Source(Protocol):
    """Items in units that a restore finishes one by one, by one worker or several. A context: leaving it removes temporary files.

    :ivar full: the full set. :ivar manifest: the set whose settings are restored, the newest.
    :ivar units: their names, in order. What the increments added (`REST`) comes last: it is known when all others were read, here or
        elsewhere (`done`).
    :ivar shared: what another process of this machine needs to open the source without reading the increments once more.
    """

    store: Store
    full: Manifest
    manifest: Manifest
    sets: tuple[Manifest, ...]
    units: tuple[str, ...]

    @property
    def shared(self) -> Path | None: ...

    def __enter__(self) -> "Source": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def items(self, unit: str) -> Iterator[list[bytes]]:
        """Canonical items, a few thousand at a time. :raises IntegrityError: for a damaged part, before any item of it."""
        ...

    def memo(self, unit: str) -> bytes:
        """Of a unit that was read to its end: what must be kept of it for `done`."""
        ...

    def done(self, unit: str, memo: bytes) -> None:
        """The unit was read by another worker, or by an earlier try."""
        ...


class SetSource:
    """One full set; its parts are the units.

    :param parts: names of those that are wanted; all when not given.
    """

    shared: Path | None = None

    def __init__(self, opened: BackupSet, parts: Collection[str] | None = None) -> None:
        self._opened = opened
        self.store, self.full = opened.store, opened.manifest
        self.manifest: Manifest = self.full
        self.sets: tuple[Manifest, ...] = (self.full,)
        self._parts = {part.name: part for part in self.full.parts if parts is None or part.name in parts}
        self.units: tuple[str, ...] = tuple(self._parts)

    def __enter__(self) -> "SetSource":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def items(self, unit: str) -> Iterator[list[bytes]]:
        return self._opened.items(self._parts[unit])

    def memo(self, unit: str) -> bytes:
        return b""

    def done(self, unit: str, memo: bytes) -> None:
        return None


class ChainSource:
    """A full set and the increments after it. The final state of the changed keys lies on disk while it is open.

    :param changes: of another process's source (`shared`) of the same chain.
    """

    def __init__(self, store: Store, found: Chain, progress: Progress, changes: Path | None = None) -> None:
        self.store, self._chain, self._progress, self._given = store, found, progress, changes
        self.full, self.manifest = found.full, found.newest
        self.sets: tuple[Manifest, ...] = (found.full, *found.increments)
        self._opened = BackupSet(store, found.full)
        self._parts = {part.name: part for part in found.full.parts}
        self.units: tuple[str, ...] = (*self._parts, REST)
        self._changed: ChangedKeys | None = None
        self._names: dict[str, list[bytes]] = {}

    @property
    def shared(self) -> Path | None:
        return self._changed.file if self._changed else None

    def __enter__(self) -> "ChainSource":
        self._changed = ChangedKeys(self._given)
        if self._given is None:
            gather(self.store, self._chain, self._changed, self._progress)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._changed is not None:
            self._changed.__exit__(kind, error, trace)
            self._changed = None

    def items(self, unit: str) -> Iterator[list[bytes]]:
        assert self._changed is not None
        if unit == REST:
            yield from self._changed.rest()
            return
        names = self._names[unit] = []
        for keys, items in self._opened.keyed(self._parts[unit]):
            yield self._changed.over(keys, items, names)

    def count(self) -> int:
        """How many items there are, by the keys alone; in the `with` block, and before `items` is asked for any."""
        assert self._changed is not None
        count = 0
        for part in self._parts.values():
            for keys in self._opened.keys(part):
                count += self._changed.count_over(keys)
                self._progress.advance(len(keys))
        return count + sum(map(len, self._changed.rest()))

    def memo(self, unit: str) -> bytes:
        """The names of the unit's keys that the increments have."""
        return b"".join(self._names.pop(unit, ()))

    def done(self, unit: str, memo: bytes) -> None:
        assert self._changed is not None
        self._changed.found_elsewhere(memo[at : at + NAME_BYTES] for at in range(0, len(memo), NAME_BYTES))


def every_page(source: Source, units: Collection[str] | None = None) -> Iterator[list[bytes]]:
    """All items, unit by unit; in a `with source`.

    :param units: only those of these; what the increments added is known when the others are `done`.
    """
    for unit in source.units:
        if units is None or unit in units:
            yield from source.items(unit)


def open_sets(
    clients: SessionClients,
    uris: Sequence[str],
    progress: Progress,
    *,
    parts: Collection[str] | None = None,
    changes: Path | None = None,
) -> Source:
    """A full set, and the increments that are folded into it, by their manifests' URIs.

    :param parts: see `SetSource`. :param changes: see `ChainSource`.
    """
    full = open_backup(clients, uris[0])
    if len(uris) == 1:
        return SetSource(full, parts)
    increments = tuple(open_backup(clients, uri, incremental=True).manifest for uri in uris[1:])
    return ChainSource(full.store, Chain(full.manifest, increments), progress, changes)


def chain_until(clients: SessionClients, shelf: Shelf, until: datetime) -> tuple[S3Store, Chain]:
    """The full set and the increments that give the newest state no later than `until`.

    :raises BadInputError: when no full set is that old, or a gap lies before `until`.
    """
    store = S3Store(clients, shelf.bucket)
    usable, _ = usable_sets(store, shelf)
    what = f"restoring {shelf.name} as of {utc_text(until)}"
    before = [one for one in usable if one.as_of <= until]
    if not before:
        oldest = f"; the oldest is of {utc_text(usable[-1].as_of)}" if usable else ""
        raise BadInputError(what, f"there is no usable backup so old{oldest}", "name a later time")
    found = chain(before, table_id=before[0].table_id, until=until)
    if found is None:
        raise BadInputError(what, "there is no full backup so old", "name a later time")
    return store, found


def settings_of(source: Source) -> TableSettings:
    """The settings that the newest set holds.

    :raises BadInputError: for a backup of rows that never were a table of DynamoDB.
    """
    shelf = source.manifest.location.shelf
    if shelf.service != "dynamodb":
        raise BadInputError(
            f"restoring {shelf.name}",
            "this is a backup of a SQL table or of files, and a restore makes tables of DynamoDB",
            "copy it to a database with `tablekeep copy`, or write it to a file with `tablekeep restore --to-file`",
        )
    return TableSettings.from_document(BackupSet(source.store, source.manifest).document("table"))
