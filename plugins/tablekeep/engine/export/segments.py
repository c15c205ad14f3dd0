"""One segment's items become parts of bounded size, and its state is kept after each of them."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from tablekeep.engine.backups.location import SetLocation, part_name
from tablekeep.engine.backups.manifest import Part, Segment
from tablekeep.engine.backups.parts import PART_BYTES, PartWriter
from tablekeep.engine.backups.store import AlreadyExistsError, Store
from tablekeep.engine.checkpoints import Checkpoint
from tablekeep.engine.clock import utc_text
from tablekeep.engine.dynamodb.wire import Page
from tablekeep.engine.export.plan import ExportPlan, segment_key
from tablekeep.engine.items.changes import encoder_for
from tablekeep.engine.items.codec import Encoder
from tablekeep.engine.items.shapes import Learned

TakeKeys = Callable[[Sequence[bytes]], None]


class SegmentWriter:
    """Encodes pages and rolls parts. Not shared between threads.

    :param attempt: part of the parts' names, so that a second try never overwrites what a first one left.
    :param parts: those that an earlier worker has finished. :param on_keys: takes the canonical keys of what is written.
    """

    def __init__(
        self,
        store: Store,
        location: SetLocation,
        segment: int,
        attempt: int,
        encoder: Encoder,
        parts: Iterable[Part] = (),
        on_keys: TakeKeys | None = None,
    ) -> None:
        self._store, self._location, self.segment, self._attempt = store, location, segment, attempt
        self.encoder = encoder
        self.parts = list(parts)
        self._on_keys = on_keys
        self._writer: PartWriter | None = None

    def add(self, items: Iterable[bytes | msgspec.Raw]) -> bool:
        """Encodes and writes items; returns whether a part was finished with them."""
        encoded = self.encoder.encode(items)
        if encoded.batch.num_rows:
            if self._writer is None:
                name = part_name(self.segment, len(self.parts), self._attempt)
                self._writer = PartWriter(self._store, self._location, name, self.segment, self.encoder.layout)
            self._writer.add(encoded)
            if self._on_keys:
                self._on_keys(encoded.keys)
            if self._writer.size >= PART_BYTES:
                self._close()
                return True
        return False

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


class ScannedSegment:
    """One segment of a scan with its state: where it stands, what it has counted, the parts that are finished.

    :ivar done: it was read to its end. :ivar start: the key after which to go on (raw JSON); None: at its beginning.
    :param attempt: of this worker. :param learned: what its encoders know of the items' shapes.
    """

    def __init__(
        self,
        store: Store,
        plan: ExportPlan,
        segment: int,
        attempt: int,
        learned: Learned | None = None,
        on_keys: TakeKeys | None = None,
    ) -> None:
        self._checkpoint = Checkpoint(store, segment_key(plan, segment), AlreadyExistsError)
        encoder = encoder_for(plan.layout, plan.key_names, learned)
        self.pages = self.items = 0
        self.consumed = 0.0
        self.start: bytes | None = None
        self.done = False
        self.began = self.ended = ""
        document = self._checkpoint.load()
        parts: list[Part] = []
        if document is not None:
            self.pages, self.items, self.consumed = document["pages"], document["items"], document["consumed"]
            self.began, self.ended, self.done = document["from"], document["to"], document["done"]
            self.start = document["next_key"].encode() if document["next_key"] is not None else None
            parts = [Part.from_json(one) for one in document["parts"]]
            encoder.restore(document["counts"])
        self.kept = len(parts)
        self.writer = SegmentWriter(store, plan.location, segment, attempt, encoder, parts, on_keys)

    def add(self, page: Page) -> None:
        """Takes a page of a scan; when a part is full, keeps the state.

        :raises PermanentError: when another worker has gone on with this segment.
        """
        self.pages += 1
        self.items += page.count
        self.consumed += page.consumed
        assert page.asked_at
        assert page.answered_at
        self.began = self.began or utc_text(page.asked_at)
        self.ended = utc_text(page.answered_at)
        if self.writer.add(page.items) and page.last_key is not None:
            self._save(page.last_key)

    def close(self) -> None:
        """The segment's end was read: closes the last part."""
        self.writer.finish()

    def finish(self) -> None:
        """Keeps the state for good; the last part is closed."""
        self.done = True
        self._save(None)

    def _save(self, key: bytes | None) -> None:
        self._checkpoint.save(
            {
                "done": self.done,
                "next_key": key.decode() if key is not None else None,
                "pages": self.pages,
                "items": self.items,
                "consumed": self.consumed,
                "from": self.began,
                "to": self.ended,
                "parts": [part.as_json() for part in self.writer.parts],
                "counts": self.writer.encoder.counts_as_json(),
            }
        )

    def rewritten(self, read: Segment) -> None:
        """The state of a segment whose parts were written anew, from what was read."""
        self.pages, self.items, self.began, self.ended = read.pages, read.items, read.from_, read.to
        self.close()
        self.finish()

    def as_segment(self) -> Segment:
        """As the manifest lists it."""
        return Segment(self.writer.segment, self.pages, self.items, self.began, self.ended)
