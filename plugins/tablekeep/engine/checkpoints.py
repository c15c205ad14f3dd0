"""Documents that one worker at a time writes: where work stands, so that whoever comes after a crash goes on from there.

Kept by conditional writes, so a worker that was thought dead and comes back loses: its write is refused, and it stops.
"""

from typing import Any, Protocol

import msgspec

from tablekeep.engine.errors import IntegrityError, PermanentError

MAX_BYTES = 256 * 1024 * 1024


class _Info(Protocol):
    @property
    def etag(self) -> str: ...


class CheckpointStore(Protocol):
    """What a checkpoint needs of a store (`engine.backups.store.Store` has it)."""

    def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> _Info: ...

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes: ...

    def head(self, key: str) -> _Info | None: ...


class Checkpoint:
    """One document. `load`, then `save` as often as there is something to keep; not shared between threads.

    :param key: of the object. :param conflict: the error class that the store raises when a condition does not hold.
    """

    def __init__(self, store: CheckpointStore, key: str, conflict: type[Exception]) -> None:
        self._store, self.key, self._conflict = store, key, conflict
        self._etag: str | None = None

    def load(self) -> dict[str, Any] | None:
        """The document, or None when there is none.

        :raises IntegrityError: when it is no JSON object.
        """
        info = self._store.head(self.key)
        self._etag = info.etag if info else None
        if info is None:
            return None
        try:
            document = msgspec.json.decode(self._store.get(self.key, max_bytes=MAX_BYTES))
        except msgspec.DecodeError:
            document = None
        if not isinstance(document, dict):
            raise IntegrityError(f"reading the checkpoint {self.key}", "it is no JSON object", "begin anew")
        return document

    def save(self, document: dict[str, Any]) -> None:
        """Writes the document over the one that was loaded or saved last.

        :raises PermanentError: when another worker has written meanwhile: this one must stop.
        """
        text = msgspec.json.encode(document, order="sorted")
        try:
            if self._etag is None:
                self._etag = self._store.put(self.key, text, if_absent=True).etag
            else:
                self._etag = self._store.put(self.key, text, if_match=self._etag).etag
        except self._conflict:
            info = self._store.head(self.key)
            if info is None or self._store.get(self.key, max_bytes=MAX_BYTES) != text:
                raise PermanentError(
                    f"writing the checkpoint {self.key}",
                    "another worker has gone on from here",
                    "this worker stops; look at the other one",
                ) from None
            self._etag = info.etag  # it was our own write, whose answer was lost
