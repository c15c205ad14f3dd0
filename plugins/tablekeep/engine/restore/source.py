"""Where a restore's items come from: a full backup, or a full backup with the increments up to a time folded in."""

from collections.abc import Collection, Iterator
from datetime import datetime
from types import TracebackType
from typing import Protocol

from tablekeep.engine.backups.catalog import usable_sets
from tablekeep.engine.backups.chains import Chain, chain
from tablekeep.engine.backups.changed import ChangedKeys
from tablekeep.engine.backups.folding import gather
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.backups.store import Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import utc_text
from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.items.canonical import canonical_key, parse_item
from tablekeep.engine.progress import Progress

REST = "new items"
"""The unit that holds what the increments added."""


class Source(Protocol):
    """Items in units that a restore finishes one by one. A context: leaving it removes temporary files.

    :ivar full: the full set. :ivar manifest: the set whose settings are restored, the newest.
    :ivar units: their names, in order; `items` must be asked for all of them in this order, or `skip` told.
    """

    store: Store
    full: Manifest
    manifest: Manifest
    sets: tuple[Manifest, ...]
    units: tuple[str, ...]

    def __enter__(self) -> "Source": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def items(self, unit: str) -> Iterator[list[bytes]]:
        """Canonical items, a few thousand at a time. :raises IntegrityError: for a damaged part, before any item of it."""
        ...

    def skip(self, unit: str) -> None:
        """An earlier try has done this unit."""
        ...


class SetSource:
    """One full set; its parts are the units.

    :param parts: names of those that are wanted; all when not given.
    """

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

    def skip(self, unit: str) -> None:
        return None


class ChainSource:
    """A full set and the increments after it. The final state of the changed keys lies on disk while it is open."""

    def __init__(self, store: Store, found: Chain, progress: Progress) -> None:
        self.store, self._chain, self._progress = store, found, progress
        self.full, self.manifest = found.full, found.newest
        self.sets: tuple[Manifest, ...] = (found.full, *found.increments)
        self._opened = BackupSet(store, found.full)
        self._parts = {part.name: part for part in found.full.parts}
        self.units: tuple[str, ...] = (*self._parts, REST)
        self._changed: ChangedKeys | None = None

    def __enter__(self) -> "ChainSource":
        self._changed = ChangedKeys()
        gather(self.store, self._chain, self._changed, self._progress)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._changed is not None:
            self._changed.__exit__(kind, error, trace)

    def items(self, unit: str) -> Iterator[list[bytes]]:
        assert self._changed is not None
        if unit == REST:
            yield from self._changed.rest()
            return
        for items in self._opened.items(self._parts[unit]):
            keys = [canonical_key(parse_item(one), self.full.key_names) for one in items]
            yield self._changed.over(keys, items)

    def skip(self, unit: str) -> None:
        if unit != REST:  # its keys are looked up all the same: what is left over is new
            for _ in self.items(unit):
                pass


def every_page(source: Source) -> Iterator[list[bytes]]:
    """All items, unit by unit; in a `with source`."""
    for unit in source.units:
        yield from source.items(unit)


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
