"""Parts: Parquet files of items, written in bounded memory and read only after their SHA-256 was checked."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tablekeep.engine.backups.location import SetLocation
from tablekeep.engine.backups.manifest import Manifest, Part
from tablekeep.engine.backups.store import NotFoundError, PartSink, Store
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.items.canonical import canonical_key, parse_item
from tablekeep.engine.items.changes import decode_records
from tablekeep.engine.items.codec import Encoded
from tablekeep.engine.items.decode import decode
from tablekeep.engine.items.hashing import MODULUS, ContentHash, key_hash
from tablekeep.engine.items.layout import REST, Column, Layout, layout_of_schema, layout_text

ROW_GROUP_BYTES = 16 * 1024 * 1024
"""Canonical bytes of items after which a row group is written: the most that a segment in flight holds."""
PART_BYTES = 128 * 1024 * 1024
"""Stored bytes after which a new part begins."""
PAGE_ROWS, PAGE_BYTES = 4096, 4 * 1024 * 1024
"""Of items that are decoded at a time."""
SPOOL_BYTES = 4 * 1024 * 1024
"""Of a part in memory while it is read, several at a time in a restore; the rest waits on the disk."""
_COMPRESSION, _LEVEL = "zstd", 1
"""Level 3 takes 8 % more CPU for 3 % less on S3 (benchmarks/export.py)."""


class _CountedFile:
    """What pyarrow writes to: passes bytes on and takes their size and SHA-256."""

    def __init__(self, sink: PartSink) -> None:
        self._sink = sink
        self.sha256 = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, data: Any) -> int:
        block = bytes(data)
        self.sha256.update(block)
        self.size += len(block)
        return self._sink.write(block)

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        return None

    def close(self) -> None:
        self.closed = True


class PartWriter:
    """Writes one part. `add` encoded pages, then `finish`, which reads back what the store holds; or `abort`."""

    def __init__(self, store: Store, location: SetLocation, name: str, segment: int, layout: Layout) -> None:
        self._store, self._location, self._name, self._segment = store, location, name, segment
        metadata = {
            "tablekeep.backup": location.backup_id,
            "tablekeep.part": name,
            "tablekeep.layout": layout_text(layout),
        }
        self._schema = layout.arrow_schema().with_metadata(metadata)
        self._sink = store.open_write(location.key(name))
        self._file = _CountedFile(self._sink)
        self._layout = layout
        self._writer: Any = None
        self._batches: list[Any] = []
        self._pending = self._raw = self._rows = self._total = 0
        self._first = self._last = b""

    @property
    def size(self) -> int:
        """Bytes that went to the store until now; what is still in memory is not counted."""
        return self._file.size

    def add(self, encoded: Encoded) -> None:
        """Takes one encoded page."""
        self._batches.append(encoded.batch)
        self._pending += encoded.raw_bytes
        self._raw += encoded.raw_bytes
        self._rows += encoded.batch.num_rows
        self._total += encoded.total
        if encoded.keys:
            self._first = self._first or encoded.keys[0]
            self._last = encoded.keys[-1]
        if self._pending >= ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._batches:
            table = pa.Table.from_batches(self._batches).replace_schema_metadata(self._schema.metadata)
            if self._writer is None:
                self._open(_repeating(table, self._layout))
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
            pa.default_memory_pool().release_unused()
        self._batches.clear()
        self._pending = 0

    def _open(self, dictionary: list[str]) -> None:
        self._writer = pq.ParquetWriter(
            self._file, self._schema, compression=_COMPRESSION, compression_level=_LEVEL, use_dictionary=dictionary
        )

    def finish(self) -> Part:
        """Closes the file, makes it visible and compares what the store answers with what was sent.

        :raises IntegrityError: when the store holds something else; the object is left for the sweeper and named by no manifest.
        """
        self._flush()
        if self._writer is None:
            self._open([])
        self._writer.close()
        stored = self._sink.finish()
        key = self._location.key(self._name)
        sha256 = self._file.sha256.hexdigest()
        present = self._store.head(key)
        if present is None or present.size != self._file.size:
            raise IntegrityError(
                f"reading back {key}",
                f"the store holds {present.size if present else 'nothing'} of {self._file.size:,} bytes",
            )
        if present.checksum is None:
            read = hashlib.sha256()
            for piece in self._store.chunks(key):
                read.update(piece)
            if read.hexdigest() != sha256:
                raise IntegrityError(f"reading back {key}", "its SHA-256 differs from what was sent")
        elif present.checksum != stored.checksum:
            raise IntegrityError(f"reading back {key}", "the store's checksum differs from what was sent")
        return Part(
            self._name, self._segment, self._file.size, sha256, present.checksum, present.version_id, self._rows, self._raw,
            ContentHash(self._rows, self._total % MODULUS), key_hash(self._first), key_hash(self._last),
        )  # fmt: skip

    def abort(self) -> None:
        """Gives up; nothing stays in the store."""
        self._batches.clear()
        self._sink.abort()


def _repeating(table: Any, layout: Layout) -> list[str]:
    """The columns of text in which values repeat, as Parquet names their leaves: a dictionary pays there, and costs elsewhere."""
    found = []
    for column in layout.columns:
        if column.type in ("S", "SS") and column.logical is None:
            values = table.column(column.column)
            if column.type == "SS":
                values = pc.list_flatten(values)
            if pc.count_distinct(values).as_py() * 2 < len(values):
                found.append(column.column if column.type == "S" else f"{column.column}.list.element")
    return found


def fetch_part(store: Store, manifest: Manifest, part: Part) -> IO[bytes]:
    """The part's bytes in a temporary file (in memory up to 4 MiB), their size and SHA-256 checked, read twice if need be. The caller
    closes it.

    :raises IntegrityError: when they differ from the manifest; NotFoundError when the part is missing.
    """
    for last in (False, True):  # a byte that was flipped on its way comes right the second time
        try:
            spool, why = _read_part(store, manifest.location.key(part.name), part)
        except NotFoundError:
            if last:
                raise
            continue
        if not why:
            return spool
        spool.close()
        if last:
            raise IntegrityError(
                f"reading the part {part.name}",
                f"it is damaged: {why}",
                "use another backup; this part cannot be restored",
            )
    raise AssertionError


def _read_part(store: Store, key: str, part: Part) -> tuple[IO[bytes], str]:
    """The bytes, and what is wrong with them."""
    digest, size = hashlib.sha256(), 0
    spool: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115 - handed to the caller
    try:
        for piece in store.chunks(key):
            digest.update(piece)
            size += len(piece)
            if size > part.size:
                break
            spool.write(piece)
    except BaseException:
        spool.close()
        raise
    spool.seek(0)
    if size != part.size:
        return spool, f"it has {size:,} bytes instead of {part.size:,}"
    return spool, "" if digest.hexdigest() == part.sha256 else "its SHA-256 differs from the manifest's"


def part_batches(
    store: Store, manifest: Manifest, part: Part, *, columns: Sequence[str] | None = None, pages: int = 1
) -> Iterator[tuple[Any, Layout]]:
    """The part's record batches with the layout that the file itself tells, after the whole part was checked. A batch has at most
    `PAGE_ROWS`, and of large items so many as have about `PAGE_BYTES`: decoding takes several times their bytes.

    :param columns: only these; all when not given. :param pages: so many times as much a batch, for what works on whole columns.
    :raises IntegrityError: for a damaged part, a part of another backup, or one whose columns differ from the manifest's.
    """
    what = f"reading the part {part.name}"
    rows = max(1, pages * min(PAGE_ROWS, PAGE_BYTES * part.rows // max(1, part.raw_bytes)))
    with fetch_part(store, manifest, part) as spool:
        try:
            file = pq.ParquetFile(spool)
            schema = file.schema_arrow
        except (pa.ArrowInvalid, OSError) as error:
            raise IntegrityError(what, f"it is no Parquet file ({type(error).__name__})") from None
        metadata = schema.metadata or {}
        if (
            metadata.get(b"tablekeep.backup") != manifest.backup_id.encode()
            or metadata.get(b"tablekeep.part") != part.name.encode()
        ):
            raise IntegrityError(what, "it says that it belongs to another backup or place")
        layout = layout_of_schema(schema, manifest.layout.schema)
        if layout != manifest.layout:
            raise IntegrityError(what, "its columns differ from the manifest's")
        if file.metadata.num_rows != part.rows:
            raise IntegrityError(what, f"it holds {file.metadata.num_rows:,} rows instead of {part.rows:,}")
        for group in range(
            file.num_row_groups
        ):  # one by one: a batch is filled from several otherwise, however large their items
            for batch in file.iter_batches(batch_size=rows, row_groups=[group], columns=columns):
                yield batch, layout


def part_keys(store: Store, manifest: Manifest, part: Part) -> Iterator[list[bytes]]:
    """The canonical keys of a part of items, a few thousand at a time; of the columns only the key's are decoded."""
    columns = [*(column.column for column in _key_columns(manifest.layout, manifest.key_names)), REST]
    for batch, layout in part_batches(store, manifest, part, columns=columns):
        yield _keys(batch, layout, manifest.key_names)


def part_keyed(store: Store, manifest: Manifest, part: Part) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """The canonical keys of a part of items and the canonical items, a few thousand at a time."""
    for batch, layout in part_batches(store, manifest, part):
        yield _keys(batch, layout, manifest.key_names), decode(batch, layout)


def _keys(batch: Any, layout: Layout, key_names: Sequence[str]) -> list[bytes]:
    columns = _key_columns(layout, key_names)
    texts = decode(batch, replace(layout, columns=columns))
    rest = batch.column(REST)
    if rest.null_count == len(rest):
        return texts
    return [canonical_key(parse_item(text), key_names) for text in texts]  # these have all that is in `_rest`, too


def _key_columns(layout: Layout, key_names: Sequence[str]) -> tuple[Column, ...]:
    return tuple(column for column in layout.columns if column.attribute in key_names)


def part_records(store: Store, manifest: Manifest, part: Part) -> Iterator[list[bytes]]:
    """The part's canonical records, a few thousand at a time."""
    for batch, layout in part_batches(store, manifest, part):
        yield decode_records(batch, layout)
