"""The final state of every key that a run of increments has changed, on disk, looked up page by page."""

import hashlib
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

from tablekeep.engine.items.canonical import encode_canonical
from tablekeep.engine.items.changes import Change

CACHE_KIB = 64 * 1024
_TABLE = "(key BLOB PRIMARY KEY, new BLOB, new_hash BLOB, old_hash BLOB, told INTEGER, written INTEGER, found INTEGER) WITHOUT ROWID"


def image_hash(image: bytes | None) -> bytes:
    """SHA-256 of a canonical item; empty for none."""
    return b"" if image is None else hashlib.sha256(image).digest()


class ChangedKeys:
    """Keys with their state after the increments, in SQLite; memory holds its cache alone. Used as a context.

    :ivar boundary: keys whose old image differs from what was there. In a window that overlaps the one before, that is as it should
        be; elsewhere it shows a cut's minute, or a fault.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tablekeep-")
        self._base = sqlite3.connect(Path(self._folder.name) / "changes.sqlite", isolation_level=None)
        for line in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}", "temp_store = FILE"):
            self._base.execute(f"PRAGMA {line}")
        self._base.execute(f"CREATE TABLE changes {_TABLE}")
        self._base.execute(f"CREATE TEMP TABLE page {_TABLE}")
        self.boundary = 0

    def __enter__(self) -> "ChangedKeys":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._base.close()
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
        self._base.executemany("INSERT INTO page VALUES (?, ?, ?, ?, ?, ?, 0)", rows)
        (differ,) = self._base.execute(
            "SELECT count(*) FROM page JOIN changes USING (key) WHERE page.told AND page.old_hash <> changes.new_hash"
        ).fetchone()
        self.boundary += differ
        self._base.execute(
            "INSERT INTO changes SELECT * FROM page WHERE true ON CONFLICT (key) DO UPDATE SET"
            " new = excluded.new, new_hash = excluded.new_hash, written = max(written, excluded.written)"
        )
        self._base.execute("COMMIT")

    def over(self, keys: Sequence[bytes], items: Sequence[bytes]) -> list[bytes]:
        """The items of a page of the full set as they are after the changes; deleted ones are left out.

        :param keys: their canonical keys. Every key is asked for once.
        """
        asked = f"SELECT key, new, old_hash, told FROM changes WHERE key IN ({','.join('?' * len(keys))})"  # noqa: S608 - marks
        found = {key: (new, old_hash, told) for key, new, old_hash, told in self._base.execute(asked, keys)}
        if not found:
            return list(items)
        self._base.executemany("UPDATE changes SET found = 1 WHERE key = ?", [(key,) for key in found])
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

    def rest(self, count: int = 4096) -> Iterator[list[bytes]]:
        """The items whose keys `over` was never asked for, some at a time."""
        (differ,) = self._base.execute(
            "SELECT count(*) FROM changes WHERE NOT found AND told AND old_hash <> x''"
        ).fetchone()
        self.boundary += differ
        rows = self._base.execute("SELECT new FROM changes WHERE NOT found AND new IS NOT NULL ORDER BY key")
        while page := rows.fetchmany(count):
            yield [new for (new,) in page]

    def written(self, key: bytes) -> int | None:
        """When a key was written last, in microseconds since 1970; None when the increments do not have it."""
        row = self._base.execute("SELECT written FROM changes WHERE key = ?", (key,)).fetchone()
        return None if row is None else int(row[0])
