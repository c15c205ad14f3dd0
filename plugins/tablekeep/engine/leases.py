"""One export of a table at a time, across DAGs, workers and command lines: a lease in the bucket, with a fencing number.

Kept by conditional writes, judged by the store's clock (a worker's own may be wrong). A lease that is not renewed for
`TTL_SECONDS` may be taken over, by a new try of the same run at once; whoever lost it learns so before publishing.
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Protocol

import msgspec

from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.errors import PermanentError, TransientError

TTL_SECONDS = 120.0
SHARED_TTL_SECONDS = 1800.0
"""Of a run whose tasks follow each other: between two of them nobody renews it."""


SHARED_TRIES = 50
MARGIN_SECONDS = 10.0
"""So much before the lease runs out its holder stops by itself."""


class _Info(Protocol):
    @property
    def etag(self) -> str: ...

    @property
    def last_modified(self) -> datetime | None: ...


class LeaseStore(Protocol):
    """What a lease needs of a store (`engine.backups.store.Store` has it)."""

    def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> _Info: ...

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes: ...

    def head(self, key: str) -> _Info | None: ...

    def now(self) -> datetime: ...


class _Held(msgspec.Struct, frozen=True):
    holder: str
    run: str
    fence: int
    since: str
    released: bool = False
    ttl: float = TTL_SECONDS


class Lease:
    """Used as a context: acquired on entering, renewed by a thread, released on leaving.

    :param key: of the lease object. :param holder: who asks, as others read it. :param conflict: the error class that the
        store raises when a condition does not hold.
    :param shared: several workers of one run hold it together; it is kept when one leaves, until one calls `release`.
    :param wait: told how many seconds until a lease that may be a dead run's is free; then waits that long, once.
    :raises TransientError: on entering, while another holds it; names the holder.
    """

    def __init__(
        self,
        store: LeaseStore,
        key: str,
        *,
        holder: str,
        run: str,
        clock: Clock,
        conflict: type[Exception],
        shared: bool = False,
        wait: Callable[[float, str], None] | None = None,
    ) -> None:
        self._store, self._key, self._clock, self._conflict = store, key, clock, conflict
        self._shared, self._wait = shared, wait
        self._mine = _Held(holder, run, 1, utc_text(clock.now()), ttl=SHARED_TTL_SECONDS if shared else TTL_SECONDS)
        self._etag = ""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._lost: str | None = None
        self._until = 0.0
        self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)

    @property
    def fence(self) -> int:
        """Grows by one with every holder."""
        return self._mine.fence

    @property
    def until(self) -> float:
        """Until when (`time.monotonic`) nobody else can have taken it; in the past once it is lost."""
        return 0.0 if self._lost else self._until

    def guard(self) -> None:
        """Before each step of a work that nobody else may do at the same time: asks nobody while the last renewal is fresh.

        :raises PermanentError: when another worker has taken it over.
        """
        if time.monotonic() >= self.until:
            self.check()

    def __enter__(self) -> "Lease":
        what, began = f"taking the lease {self._key}", time.monotonic()
        try:
            self._etag = self._store.put(self._key, msgspec.json.encode(self._mine), if_absent=True).etag
        except self._conflict:
            info, held = self._present()
            if info is None or held is None:
                raise TransientError(what, "it was removed meanwhile", "try again") from None
            left = held.ttl - ((self._store.now() - info.last_modified).total_seconds() if info.last_modified else 0.0)
            if not held.released and held.run != self._mine.run and left > 0:
                if self._wait is not None:
                    self._wait(left, f"{held.holder} (run {held.run})")
                    self._clock.sleep(left + 1)
                    self._wait = None
                    return self.__enter__()
                raise TransientError(
                    what,
                    f"{held.holder} holds it (run {held.run}, since {held.since})",
                    f"wait for that run; if it is dead, the lease is free in {left:.0f} s",
                ) from None
            joined = self._shared and held.run == self._mine.run and not held.released
            self._mine = msgspec.structs.replace(self._mine, fence=held.fence + (0 if joined else 1))
            try:
                self._etag = self._store.put(self._key, msgspec.json.encode(self._mine), if_match=info.etag).etag
            except self._conflict:
                if not joined:
                    raise TransientError(what, "another worker took it at the same moment", "try again") from None
                self._write(self._mine)
        self._renewed(began)
        self._renewer.start()
        return self

    def _renewed(self, began: float) -> None:
        """:param began: when the request was sent that renewed it."""
        self._until = began + self._mine.ttl - MARGIN_SECONDS

    def _present(self) -> tuple[_Info | None, _Held | None]:
        info = self._store.head(self._key)
        if info is None:
            return None, None
        return info, msgspec.json.decode(self._store.get(self._key, max_bytes=65536), type=_Held)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._renewer.join(timeout=5)
        if not self._shared:
            self.release()

    def release(self) -> None:
        """Others may take it now."""
        try:
            self._write(msgspec.structs.replace(self._mine, released=True))
        except (self._conflict, TransientError, PermanentError):
            return  # it expires by itself, and another holder's is not ours to touch

    def check(self) -> None:
        """Renews the lease now.

        :raises PermanentError: when another worker has taken it over: this one must not publish.
        """
        try:
            self._write(self._mine)
        except self._conflict:
            self._lost = "another worker has taken it over"
        if self._lost:
            raise PermanentError(
                f"keeping the lease {self._key}", self._lost, "this attempt publishes nothing; look at the other run"
            )

    def _write(self, held: _Held) -> None:
        text = msgspec.json.encode(held)
        with self._lock:
            for _ in range(SHARED_TRIES):
                began = time.monotonic()
                try:
                    self._etag = self._store.put(self._key, text, if_match=self._etag).etag
                    self._renewed(began)
                    return
                except self._conflict:
                    info, present = self._present()
                    if info is None or present is None or not self._is_ours(present):
                        raise
                    self._etag = (
                        info.etag
                    )  # a write of ours whose answer was lost, or of a worker that shares the lease
            raise TransientError(f"keeping the lease {self._key}", "many workers write it at once", "try again")

    def _is_ours(self, present: _Held) -> bool:
        """Whether what lies there was written by this holder, or by one that shares the lease with it."""
        if self._shared:
            return present.run == self._mine.run and present.fence == self._mine.fence and not present.released
        return msgspec.structs.replace(present, released=False) == self._mine

    def _renew(self) -> None:
        while not self._stop.wait(TTL_SECONDS / 4):
            try:
                self._write(self._mine)
            except self._conflict:
                self._lost = "another worker has taken it over"
                return
            except TransientError:
                continue  # tried again; `check` decides before publishing
