"""What a service reads: the wanted items as gzip of DynamoDB JSON beside the backups, for as long as it takes."""

import gzip
import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from tablekeep.engine.backups.store import Store
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.order import mixed_pages
from tablekeep.engine.restore.plan import Prepared
from tablekeep.engine.restore.state import Loaded

OBJECT_BYTES = 256 * 1024 * 1024
"""Of lines, after which the next object begins: many of one size are read side by side (Developer Guide, "Best practices for bulk put
items"), and one may have 5 GB."""
SHUFFLED_BYTES = 32 * 1024 * 1024
"""Of items that are brought out of order at a time."""


def stage_prefix(prepared: Prepared, token: str, kind: Literal["import", "bulk"] = "import") -> str:
    """Where the staged objects of a restore lie; with a slash at the end."""
    shelf = prepared.source.full.location.shelf
    return f"{shelf.prefix}/_restores/{kind}-{hashlib.sha256(token.encode()).hexdigest()[:16]}/"


def stage_units(
    prepared: Prepared,
    prefix: str,
    take: Callable[[], str | None],
    *,
    progress: Progress,
    done: Callable[[str, Loaded], None],
    guard: Callable[[], None],
) -> None:
    """Writes what is wanted of units, an object each; the source must be open.

    :param take: gives them out. :param done: told of each when its object is there. :param guard: raises when this worker must stop.
    :raises IntegrityError: for a damaged part.
    """
    source = prepared.source
    numbers = {unit: number for number, unit in enumerate(source.units)}
    while (unit := take()) is not None:
        guard()
        content = ContentHash()
        with _object(source.store, f"{prefix}{numbers[unit]:06d}.json.gz") as file:
            for page in source.items(unit):
                picked = prepared.selection.pick(page)
                _lines(file, picked)
                content += ContentHash.of(picked)
                progress.advance(len(page))
        done(unit, Loaded(content, content.count, memo=source.memo(unit)))


def stage_shuffled(prepared: Prepared, prefix: str, progress: Progress) -> Loaded:
    """Writes all that is wanted in an order of its own: a scan's parts follow the table's partitions, and whoever writes them in that
    order writes to one partition after the other (Developer Guide, "Best practices for bulk put items")."""
    source, loaded, number = prepared.source, Loaded(), 0
    progress.phase("stage", prepared.plan.items)
    with source:
        mixed = _shuffled(prepared, loaded, progress)
        piece = next(mixed, None)
        while piece is not None:
            with _object(source.store, f"{prefix}{number:06d}.json.gz") as file:
                size = 0
                while piece is not None and size < OBJECT_BYTES:
                    size += _lines(file, piece)
                    piece = next(mixed, None)
            number += 1
    loaded.written = loaded.items
    return loaded


def _shuffled(prepared: Prepared, loaded: Loaded, progress: Progress) -> Iterator[list[bytes]]:
    """Items of distant units, mixed, some 32 MB at a time."""
    held, size = list[bytes](), 0
    for page in mixed_pages(prepared.source):
        picked = prepared.selection.pick(page)
        loaded.content += ContentHash.of(picked)
        progress.advance(len(page))
        held += picked
        size += sum(map(len, picked))
        if size >= SHUFFLED_BYTES:
            random.shuffle(held)
            yield held
            held, size = [], 0
    if held:
        random.shuffle(held)
        yield held


@contextmanager
def _object(store: Store, key: str) -> Iterator[Any]:
    """A gzip file that becomes an object when it was left without an error."""
    sink = store.open_write(key)
    try:
        with gzip.GzipFile(fileobj=_Sink(sink), mode="wb", compresslevel=1, mtime=0) as file:
            yield file
        sink.finish()
    except BaseException:
        sink.abort()
        raise


def _lines(file: Any, items: list[bytes]) -> int:
    text = b"".join([b'{"Item":%b}\n' % item for item in items])
    file.write(text)
    return len(text)


class _Sink:
    """A part's sink as a file."""

    def __init__(self, sink: Any) -> None:
        self._sink = sink

    def write(self, data: bytes) -> int:
        return int(self._sink.write(bytes(data)))

    def flush(self) -> None:
        """gzip calls it."""


def clear_stage(store: Store, prefix: str) -> None:
    """Removes the staged objects."""
    for info in list(store.list(prefix)):
        store.delete(info.key)
