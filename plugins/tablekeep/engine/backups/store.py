"""Where objects are kept: the interface that everything above S3 uses, and an implementation in memory.

One conformance suite (tests/engine/backups/test_store.py) runs over all implementations.
"""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from tablekeep.engine.errors import PermanentError


class AlreadyExistsError(PermanentError):
    """A conditional write found an object under its key (HTTP 412)."""


class NotFoundError(PermanentError):
    """No object lies under the key."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What the store says of one object.

    :ivar size: bytes.
    :ivar checksum: the store's own full SHA-256 (base64; `…-n` for an object of n uploaded pieces), None where it keeps none.
    :ivar etag: opaque; equal for equal content written in the same way.
    :ivar version_id: None where versioning is off.
    """

    key: str
    size: int
    etag: str = ""
    checksum: str | None = None
    version_id: str | None = None
    last_modified: datetime | None = None


class PartSink(Protocol):
    """A file to write once, front to back. Nothing is visible in the store before `finish` returned."""

    def write(self, data: bytes) -> int:
        """Takes all of `data`."""
        ...

    def finish(self) -> ObjectInfo:
        """Makes the object visible and returns what was stored. Called once, last."""
        ...

    def abort(self) -> None:
        """Gives up: nothing stays in the store. May be called after a failed `finish`, and twice."""
        ...


class Store(Protocol):
    """Objects by key. Every method may be called from any thread; each raises TablekeepError, with the key in it."""

    def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> ObjectInfo:
        """Writes a whole object.

        :param if_absent: only when nothing lies under the key; atomic.
        :param if_match: only when the present object has this etag; atomic.
        :raises AlreadyExistsError: when the condition does not hold.
        """
        ...

    def open_write(self, key: str) -> PartSink:
        """A sink for an object of any size, in bounded memory."""
        ...

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
        """The whole object.

        :raises NotFoundError: when there is none. :raises PermanentError: when it is larger than `max_bytes`.
        """
        ...

    def chunks(self, key: str) -> Iterator[bytes]:
        """The object's bytes, in pieces of a few hundred KiB, front to back."""
        ...

    def head(self, key: str) -> ObjectInfo | None:
        """What the store says of the object, None when there is none. Read after write is consistent."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose key begins with `prefix`, sorted by key."""
        ...

    def folders(self, prefix: str) -> Iterator[str]:
        """The names that follow `prefix` up to the next slash, sorted. `prefix` is empty or ends with a slash."""
        ...

    def delete(self, key: str) -> None:
        """Removes the object; nothing happens when there is none."""
        ...

    def locked_until(self, key: str) -> datetime | None:
        """Until when the object may not be deleted (Object Lock); the end of time under a legal hold, None when it may."""
        ...

    def default_lock(self) -> timedelta | None:
        """How long new objects may not be deleted (Object Lock's default retention); None when there is no such, or it may not be asked."""
        ...

    def now(self) -> datetime:
        """The store's own clock, to the second; leases are judged by it, never by a worker's."""
        ...

    @property
    def address(self) -> str:
        """How people call it: `s3://bucket`."""
        ...

    def region(self) -> str:
        """The Region in which the objects lie; empty where there is none."""
        ...


class MemoryStore:
    """A store in this process; behaves as S3 does, checksums included."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[bytes, ObjectInfo]] = {}
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        return "memory://"

    def region(self) -> str:
        return ""

    def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> ObjectInfo:
        import base64

        digest = hashlib.sha256(body).digest()
        info = ObjectInfo(key, len(body), digest.hex()[:32], base64.b64encode(digest).decode(), None, datetime.now(UTC))
        with self._lock:
            present = self._objects.get(key)
            if (if_absent and present) or (if_match is not None and (present is None or present[1].etag != if_match)):
                raise AlreadyExistsError(f"writing {key}", "the condition on what lies there does not hold")
            self._objects[key] = (bytes(body), info)
        return info

    def open_write(self, key: str) -> "MemorySink":
        return MemorySink(self, key)

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
        with self._lock:
            if key not in self._objects:
                raise NotFoundError(f"reading {key}", "there is no such object")
            body = self._objects[key][0]
        if max_bytes is not None and len(body) > max_bytes:
            raise PermanentError(f"reading {key}", f"it has {len(body):,} bytes, more than {max_bytes:,}")
        return body

    def chunks(self, key: str) -> Iterator[bytes]:
        body = self.get(key)
        for start in range(0, len(body), 1 << 18):
            yield body[start : start + (1 << 18)]

    def head(self, key: str) -> ObjectInfo | None:
        with self._lock:
            return self._objects[key][1] if key in self._objects else None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        with self._lock:
            found = sorted(key for key in self._objects if key.startswith(prefix))
            infos = [self._objects[key][1] for key in found]
        yield from infos

    def folders(self, prefix: str) -> Iterator[str]:
        names = {info.key[len(prefix) :].split("/")[0] for info in self.list(prefix) if "/" in info.key[len(prefix) :]}
        yield from sorted(names)

    def locked_until(self, key: str) -> datetime | None:
        return None

    def default_lock(self) -> timedelta | None:
        return None

    def now(self) -> datetime:
        return datetime.now(UTC)

    def delete(self, key: str) -> None:
        with self._lock:
            self._objects.pop(key, None)


class MemorySink:
    """The sink of a MemoryStore."""

    def __init__(self, store: MemoryStore, key: str) -> None:
        self._store, self._key, self._pieces = store, key, list[bytes]()

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def finish(self) -> ObjectInfo:
        return self._store.put(self._key, b"".join(self._pieces))

    def abort(self) -> None:
        self._pieces.clear()
