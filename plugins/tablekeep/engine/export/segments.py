"""One segment's items become parts of bounded size."""

from collections.abc import Iterable

import msgspec

from tablekeep.engine.backups.location import SetLocation, part_name
from tablekeep.engine.backups.manifest import Part
from tablekeep.engine.backups.parts import PART_BYTES, PartWriter
from tablekeep.engine.backups.store import Store
from tablekeep.engine.items.codec import Encoder


class SegmentWriter:
    """Encodes pages and rolls parts. Not shared between threads.

    :param attempt: part of the parts' names, so that a second try never overwrites what a first one left.
    """

    def __init__(self, store: Store, location: SetLocation, segment: int, attempt: int, encoder: Encoder) -> None:
        self._store, self._location, self.segment, self._attempt = store, location, segment, attempt
        self.encoder = encoder
        self.parts: list[Part] = []
        self._writer: PartWriter | None = None

    def add(self, items: Iterable[bytes | msgspec.Raw]) -> int:
        """Encodes and writes items; returns the bytes of their canonical text."""
        encoded = self.encoder.encode(items)
        if encoded.batch.num_rows:
            if self._writer is None:
                name = part_name(self.segment, len(self.parts), self._attempt)
                self._writer = PartWriter(self._store, self._location, name, self.segment, self.encoder.layout)
            self._writer.add(encoded)
            if self._writer.size >= PART_BYTES:
                self._close()
        return encoded.raw_bytes

    def _close(self) -> None:
        if self._writer:
            self.parts.append(self._writer.finish())
            self._writer = None

    def finish(self) -> list[Part]:
        """Closes the last part and returns all of them, each read back."""
        self._close()
        return self.parts

    def abort(self) -> None:
        """Gives up the part that is being written."""
        if self._writer:
            self._writer.abort()
            self._writer = None
