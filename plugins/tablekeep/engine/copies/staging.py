"""Converted batches of a set → Parquet files on S3 for a database that loads from there, and nothing left of them afterwards."""

import io
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tablekeep.engine.backups.location import STATE, SetLocation
from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.backups.store import Store
from tablekeep.engine.copies.convert import Converted, Converter
from tablekeep.engine.copies.mapping import Mapping
from tablekeep.engine.copies.redshift_raw import RawColumn
from tablekeep.engine.copies.sent import Sent
from tablekeep.engine.progress import Progress

FILE_BYTES = 48 * 1024 * 1024
"""A file is closed when it has so many bytes: several files let a warehouse load in parallel, and memory stays bounded."""
CHANGE_COLUMN = RawColumn("c_change", "varchar(6)", pa.string(), "c_change", lambda array: array.cast(pa.string()))
"""Of a set of changes, the last column of its rows: `put` or `delete`."""


class FileGroup:
    """The files of one table: parts of its rows, and the manifest that COPY reads.

    :param prefix: of the keys, without a slash at its end.
    """

    def __init__(self, store: Store, bucket: str, prefix: str, columns: Sequence[RawColumn]) -> None:
        self._store, self._bucket, self._prefix, self.columns = store, bucket, prefix, list(columns)
        self._schema = pa.schema([pa.field(column.name, column.arrow) for column in columns])
        self._entries: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self._sink = io.BytesIO()
        self._writer: Any = None
        self.rows = 0

    @property
    def manifest_uri(self) -> str:
        """What COPY … MANIFEST reads."""
        return f"s3://{self._bucket}/{self._prefix}/copy.manifest"

    def add(self, arrays: Sequence[Any]) -> None:
        """Takes a batch of cells, in the columns' order."""
        staged = [column.stage(array) for column, array in zip(self.columns, arrays, strict=True)]
        batch = pa.record_batch(staged, schema=self._schema)
        if not batch.num_rows:
            return
        if self._writer is None:
            self._sink = io.BytesIO()
            self._writer = pq.ParquetWriter(self._sink, self._schema, compression="snappy", version="1.0")
        self._writer.write_batch(batch)
        self.rows += batch.num_rows
        if self._sink.tell() >= FILE_BYTES:
            self._close()

    def finish(self) -> None:
        """Writes what is left, then the manifest with the length of each file (which COPY wants for Parquet)."""
        self._close()
        if self._entries:
            self._put(f"{self._prefix}/copy.manifest", json.dumps({"entries": self._entries}).encode())

    def _close(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        key, body = f"{self._prefix}/part-{len(self._entries):06d}.parquet", self._sink.getvalue()
        self._put(key, body)
        url = f"s3://{self._bucket}/{key}"
        self._entries.append({"url": url, "mandatory": True, "meta": {"content_length": len(body)}})

    def _put(self, key: str, body: bytes) -> None:
        self.keys.append(key)
        self._store.put(key, body)


class StagedFiles:
    """The files of one copy, under a prefix of the set's bucket. As a context it deletes them at its end, after an error too.

    :param prefix: below the set's `_state/`, of this copy alone. :param rows: the columns of the table's own files, without that of the
        change. :param children: those of each child table.
    """

    def __init__(
        self, opened: BackupSet, prefix: str, rows: Sequence[RawColumn], children: Sequence[Sequence[RawColumn]]
    ) -> None:
        self._opened = opened
        bucket = opened.manifest.location.shelf.bucket
        changes = [CHANGE_COLUMN] if opened.manifest.window else []
        self.rows = FileGroup(opened.store, bucket, f"{prefix}/rows", [*rows, *changes])
        self.children = [
            FileGroup(opened.store, bucket, f"{prefix}/child-{number}", columns)
            for number, columns in enumerate(children)
        ]

    def write(self, mapping: Mapping, table: str, progress: Progress) -> Sent:
        """Writes all items.

        :raises BadInputError: for values that the mapping does not allow. :raises IntegrityError: for a damaged part.
        """
        converter = Converter(mapping, self._opened.manifest)
        progress.phase("stage", self._opened.manifest.items)
        for converted in converter.batches(self._opened, progress):
            self._add(converted)
        sent = converter.check(table)
        for group in (self.rows, *self.children):
            group.finish()
        return sent

    def _add(self, converted: Converted) -> None:
        changes = [] if converted.changes is None else [converted.changes]
        self.rows.add([*converted.arrays, *changes])
        for group, arrays in zip(self.children, converted.children, strict=True):
            group.add(arrays)

    def __enter__(self) -> "StagedFiles":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        for group in (self.rows, *self.children):
            for key in group.keys:
                try:
                    self._opened.store.delete(key)
                except Exception:
                    if error is None:
                        raise


def staging_prefix(location: SetLocation, token: str) -> str:
    """Where a copy of that token (its time, and something random) stages files."""
    return location.key(f"{STATE}/redshift-{token}")


def forget_staged(store: Store, location: SetLocation, now: datetime, age: timedelta) -> int:
    """Deletes what copies of this set left that did not end and are older; returns the number of objects."""
    top, gone = location.key(f"{STATE}/redshift-"), 0
    for info in list(store.list(top)):
        if info.last_modified is not None and now - info.last_modified > age:
            store.delete(info.key)
            gone += 1
    return gone
