"""Converted batches of a set → Parquet files on S3 for a database that loads from there, and nothing left of them afterwards."""

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.copies.convert import Converter, Sent
from tablekeep.engine.copies.mapping import Mapping
from tablekeep.engine.progress import Progress

FILE_BYTES = 48 * 1024 * 1024
"""A file is closed when it has so many bytes: several files let a warehouse load in parallel, and memory stays bounded."""


class StagedFiles:
    """Files under one prefix of the set's bucket. As a context it deletes them at its end, after an error too.

    :param prefix: below the set's `_state/`, of this copy alone.
    """

    def __init__(self, opened: BackupSet, mapping: Mapping, prefix: str) -> None:
        self._opened, self._mapping, self._prefix = opened, mapping, prefix
        self._entries: list[dict[str, Any]] = []
        self._keys: list[str] = []
        self.sent = Sent()

    @property
    def manifest_uri(self) -> str:
        """What COPY … MANIFEST reads."""
        return f"s3://{self._opened.manifest.location.shelf.bucket}/{self._prefix}/copy.manifest"

    def write(self, table: str, progress: Progress) -> None:
        """Writes all items, then the manifest with the length of each file (which COPY wants for Parquet).

        :raises BadInputError: for values that the database cannot hold. :raises IntegrityError: for a damaged part.
        """
        converter = Converter(self._mapping, self._opened.manifest)
        progress.phase("stage", self._opened.manifest.items)
        schema = self._mapping.schema
        sink, writer = io.BytesIO(), None
        for converted in converter.batches(self._opened, progress):
            if writer is None:
                sink = io.BytesIO()
                writer = pq.ParquetWriter(sink, schema, compression="snappy", version="1.0")
            writer.write_batch(pa.record_batch(converted.arrays, schema=schema))
            if sink.tell() >= FILE_BYTES:
                writer.close()
                self._put(sink.getvalue())
                writer = None
        self.sent = converter.check(table)
        if writer is not None:
            writer.close()
            self._put(sink.getvalue())
        body = json.dumps({"entries": self._entries}).encode()
        key = f"{self._prefix}/copy.manifest"
        self._keys.append(key)
        self._opened.store.put(key, body)

    @property
    def empty(self) -> bool:
        """No file was written: the set has no items."""
        return not self._entries

    def _put(self, body: bytes) -> None:
        key = f"{self._prefix}/part-{len(self._entries):06d}.parquet"
        self._keys.append(key)
        self._opened.store.put(key, body)
        url = f"s3://{self._opened.manifest.location.shelf.bucket}/{key}"
        self._entries.append({"url": url, "mandatory": True, "meta": {"content_length": len(body)}})

    def __enter__(self) -> "StagedFiles":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        for key in self._keys:
            try:
                self._opened.store.delete(key)
            except Exception:
                if error is None:
                    raise
