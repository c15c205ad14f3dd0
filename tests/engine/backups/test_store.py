"""One suite for every store: S3 (the stand-in) and memory."""

import base64
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tablekeep.engine.backups.s3 import PIECE_BYTES, S3Store
from tablekeep.engine.backups.sets import probe_conditional_writes
from tablekeep.engine.backups.store import AlreadyExistsError, MemoryStore, NotFoundError, Store
from tablekeep.engine.errors import BadInputError, PermanentError
from tests.tables import BUCKET, clients, make_bucket


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
    else:
        make_bucket(request.getfixturevalue("local_aws"))
        yield S3Store(clients(), BUCKET, owner="123456789012")


def test_put_and_get_give_the_same_bytes(store: Store) -> None:
    info = store.put("a/b c/é.txt", b"hello")
    assert store.get("a/b c/é.txt") == b"hello"
    head = store.head("a/b c/é.txt")
    assert head is not None
    assert (head.size, head.checksum) == (5, info.checksum)
    assert info.checksum == base64.b64encode(hashlib.sha256(b"hello").digest()).decode()


def test_missing_objects_are_told(store: Store) -> None:
    assert store.head("nothing") is None
    with pytest.raises(NotFoundError, match="nothing"):
        store.get("nothing")
    store.delete("nothing")


def test_if_absent_lets_exactly_one_writer_win(store: Store) -> None:
    def write(number: int) -> bool:
        try:
            store.put("once", str(number).encode(), if_absent=True)
        except AlreadyExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(write, range(16))) == 1


def test_if_match_refuses_what_changed(store: Store) -> None:
    first = store.put("lease", b"1")
    second = store.put("lease", b"2", if_match=first.etag)
    with pytest.raises(AlreadyExistsError):
        store.put("lease", b"3", if_match=first.etag)
    with pytest.raises(AlreadyExistsError):
        store.put("other", b"3", if_match=second.etag)
    assert store.get("lease") == b"2"


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES + 5])
def test_a_sink_stores_every_byte_and_nothing_before_finish(store: Store, size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    sink = store.open_write("big")
    for start in range(0, size, 5_000_003):
        sink.write(body[start : min(size, start + 5_000_003)])
    assert store.head("big") is None
    info = sink.finish()
    assert b"".join(store.chunks("big")) == body[:size]
    head = store.head("big")
    assert head is not None
    assert (head.size, head.checksum) == (size, info.checksum)


def test_an_aborted_sink_leaves_nothing(store: Store) -> None:
    sink = store.open_write("big")
    sink.write(b"x" * (PIECE_BYTES + 1))
    sink.abort()
    sink.abort()
    assert store.head("big") is None


def test_get_refuses_more_than_was_allowed(store: Store) -> None:
    store.put("a", b"12345")
    with pytest.raises(PermanentError, match="more than 4"):
        store.get("a", max_bytes=4)


def test_lists_are_sorted_and_folders_are_one_level(store: Store) -> None:
    for key in ("r/b/2", "r/a/1", "r/a/0", "r/c", "s/x"):
        store.put(key, b"")
    assert [info.key for info in store.list("r/")] == ["r/a/0", "r/a/1", "r/b/2", "r/c"]
    assert list(store.folders("r/")) == ["a", "b"]
    assert list(store.folders("")) == ["r", "s"]


def test_probe_accepts_stores_with_conditional_writes(store: Store) -> None:
    probe_conditional_writes(store, "root")
    probe_conditional_writes(store, "root")


def test_probe_refuses_a_store_that_ignores_conditions() -> None:
    class Forgetful(MemoryStore):
        def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> Any:
            return super().put(key, body)

    with pytest.raises(PermanentError, match="If-None-Match"):
        probe_conditional_writes(Forgetful(), "")


def test_a_missing_bucket_and_a_foreign_one_are_bad_input(local_aws: Any) -> None:
    with pytest.raises(BadInputError, match="no such bucket"):
        S3Store(clients(), "not-there").check()
    make_bucket(local_aws)
    with pytest.raises(BadInputError, match="999999999999"):
        S3Store(clients(), BUCKET, owner="999999999999").check()
