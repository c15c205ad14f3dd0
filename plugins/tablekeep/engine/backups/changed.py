"""The final state of every key that a run of increments has changed, on disk, looked up page by page."""

import hashlib
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tablekeep.engine.items.canonical import encode_canonical
from tablekeep.engine.items.changes import Change

CACHE_KIB = 64 * 1024
_TABLE = "(key BLOB PRIMARY KEY, new BLOB, new_hash BLOB, old_hash BLOB, told INTEGER, written INTEGER) WITHOUT ROWID"
NAME_BYTES = 16
"""Of a key's SHA-256, by which a key is named where it was found by somebody else: two of 10^9 keys share them with a chance of 10^-20."""
_FOUND = (
    "EXISTS (SELECT 1 FROM temp.found WHERE found.key = changes.key)"
    " OR EXISTS (SELECT 1 FROM temp.named WHERE named.name = name_of(changes.key))"
)


def image_hash(image: bytes | None) -> bytes:
    """SHA-256 of a canonical item; empty for none."""
    return b"" if image is None else hashlib.sha256(image).digest()


def name_of(key: bytes) -> bytes:
    """How a key is named where it was found: the beginning of its SHA-256."""
    return hashlib.sha256(key).digest()[:NAME_BYTES]


class ChangedKeys:
    """Keys with their state after the increments, in SQLite; memory holds its cache alone. Used as a context.

    :param file: of another one that has taken all its changes, in this process or another: it is only looked up here.
    :ivar boundary: keys whose old image differs from what was there. In a window that overlaps the one before, that is as it should
        be; elsewhere it shows a cut's minute, or a fault.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tablekeep-") if file is None else None
        self.file = file or Path(self._folder.name if self._folder else "") / "changes.sqlite"
        where = f"{self.file.absolute().as_uri()}?{'mode=ro&immutable=1' if file else 'mode=rwc'}"
        self._base = sqlite3.connect(where, uri=True, isolation_level=None)
        for line in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}", "temp_store = FILE"):
            self._base.execute(f"PRAGMA {line}")
        if file is None:
            self._base.execute(f"CREATE TABLE changes {_TABLE}")
        self._base.execute(f"CREATE TEMP TABLE page {_TABLE}")
        self._base.execute("CREATE TEMP TABLE found (key BLOB PRIMARY KEY) WITHOUT ROWID")
        self._base.execute("CREATE TEMP TABLE named (name BLOB PRIMARY KEY) WITHOUT ROWID")
        self._base.create_function("name_of", 1, name_of, deterministic=True)
        self.boundary = 0

    def __enter__(self) -> "ChangedKeys":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._base.close()
        if self._folder is not None:
            self._folder.cleanup()

    def apply(self, changes: Iterable[Change], *, old_images: bool) -> None:
        """Takes changes of the next increment; one key is there once in an increment."""
        rows = []
        for one in changes:
            new = None if one.new is None else encode_canonical(one.new)
            old = None if one.old is None else encode_canonical(one.old)
            rows.append((encode_canonical(one.key), new, image_hash(new), image_hash(old), old_images, one.written))
        self._base.execute("BEGIN")
        self._base.execute("DELETE FROM page")
        self._base.executemany("INSERT INTO page VALUES (?, ?, ?, ?, ?, ?)", rows)
        (differ,) = self._base.execute(
            "SELECT count(*) FROM page JOIN changes USING (key) WHERE page.told AND page.old_hash <> changes.new_hash"
        ).fetchone()
        self.boundary += differ
        self._base.execute(
            "INSERT INTO changes SELECT * FROM page WHERE true ON CONFLICT (key) DO UPDATE SET"
            " new = excluded.new, new_hash = excluded.new_hash, written = max(written, excluded.written)"
        )
        self._base.execute("COMMIT")

    def over(self, keys: Sequence[bytes], items: Sequence[bytes], names: list[bytes] | None = None) -> list[bytes]:
        """The items of a page of the full set as they are after the changes; deleted ones are left out.

        :param keys: their canonical keys. Every key is asked for once. :param names: gets the names of those that were changed.
        """
        found = {key: more for key, *more in self._look_up(keys, "new, old_hash, told")}
        if not found:
            return list(items)
        if names is not None:
            names += map(name_of, found)
        result = []
        for key, item in zip(keys, items, strict=True):
            if key not in found:
                result.append(item)
                continue
            new, old_hash, told = found[key]
            if told and old_hash != image_hash(item):
                self.boundary += 1
            if new is not None:
                result.append(new)
        return result

    def count_over(self, keys: Sequence[bytes]) -> int:
        """How many items `over` would give for a page with these keys."""
        return len(keys) - sum(int(gone) for _, gone in self._look_up(keys, "new IS NULL"))

    def _look_up(self, keys: Sequence[bytes], wanted: str) -> list[Any]:
        """The key and what is wanted of each of the keys that were changed, which are found with this."""
        marks = ",".join("?" * len(keys))
        found = self._base.execute(f"SELECT key, {wanted} FROM changes WHERE key IN ({marks})", keys).fetchall()  # noqa: S608
        self._base.executemany("INSERT OR IGNORE INTO temp.found VALUES (?)", [(key,) for key, *_ in found])
        return found

    def found_elsewhere(self, names: Iterable[bytes]) -> None:
        """Another one of the same changes was asked for these keys (`over`)."""
        self._base.executemany("INSERT OR IGNORE INTO temp.named VALUES (?)", [(name,) for name in names])

    def rest(self, count: int = 4096) -> Iterator[list[bytes]]:
        """The items whose keys `over` was never asked for, here or elsewhere, some at a time."""
        (differ,) = self._base.execute(
            f"SELECT count(*) FROM changes WHERE told AND old_hash <> x'' AND NOT ({_FOUND})"  # noqa: S608 - no value
        ).fetchone()
        self.boundary += differ
        rows = self._base.execute(
            f"SELECT new FROM changes WHERE new IS NOT NULL AND NOT ({_FOUND}) ORDER BY key"  # noqa: S608 - no value
        )
        while page := rows.fetchmany(count):
            yield [new for (new,) in page]

    def written(self, key: bytes) -> int | None:
        """When a key was written last, in microseconds since 1970; None when the increments do not have it."""
        row = self._base.execute("SELECT written FROM changes WHERE key = ?", (key,)).fetchone()
        return None if row is None else int(row[0])
