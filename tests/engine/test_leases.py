"""A lease lets one worker at a time do its work."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tablekeep.engine import leases
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.backups.store import AlreadyExistsError, MemoryStore, ObjectInfo
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import PermanentError, TransientError
from tablekeep.engine.leases import Lease
from tests.tables import clients, export, make_bucket, make_table, orders


@pytest.fixture
def aws(local_aws: Any) -> Any:
    make_bucket(local_aws)
    make_table(local_aws, "orders", orders())
    return local_aws


class OldStore(MemoryStore):
    """A store in which everything was last written an hour ago."""

    def head(self, key: str) -> ObjectInfo | None:
        info = super().head(key)
        return dataclasses.replace(info, last_modified=datetime.now(UTC) - timedelta(hours=1)) if info else None


def lease(store: Any, holder: str) -> Lease:
    return Lease(store, "lease", holder=holder, run=f"run-{holder}", clock=SystemClock(), conflict=AlreadyExistsError)


def test_a_lease_is_held_by_one_and_names_its_holder() -> None:
    store = MemoryStore()
    with lease(store, "ana") as mine:
        mine.check()
        with pytest.raises(TransientError, match="ana holds it"), lease(store, "ben"):
            pass
    with lease(store, "ben") as next_one:
        assert next_one.fence == 2


def test_a_lease_that_nobody_renews_is_taken_over_and_the_loser_cannot_publish() -> None:
    store = OldStore()
    with lease(store, "ana") as stale:
        with lease(store, "ben") as fresh:
            assert fresh.fence == 2
            with pytest.raises(PermanentError, match="taken it over"):
                stale.check()
            fresh.check()
        assert leases.TTL_SECONDS > 60


class Counting(OldStore):
    """Counts what is written."""

    puts = 0

    def put(self, *given: Any, **more: Any) -> ObjectInfo:
        self.puts += 1
        return super().put(*given, **more)


def test_a_guard_asks_nobody_while_the_lease_is_fresh_and_stops_the_one_who_slept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, asleep = Counting(), [0.0]
    real = leases.time.monotonic
    monkeypatch.setattr(leases.time, "monotonic", lambda: real() + asleep[0])
    with lease(store, "ana") as stale:
        before = store.puts
        for _ in range(1000):
            stale.guard()
        assert store.puts == before
        assert 0 < stale.until - leases.time.monotonic() < leases.TTL_SECONDS
        asleep[0] += 3600
        stale.guard()
        assert store.puts == before + 1, "nobody has taken it: it is renewed"
        asleep[0] += 3600
        with lease(store, "ben"):
            with pytest.raises(PermanentError, match="taken it over"):
                stale.guard()
            assert stale.until == 0.0
            with pytest.raises(PermanentError, match="taken it over"):
                stale.guard()


def test_an_export_refuses_while_another_runs(aws: Any) -> None:
    manifest = open_backup(clients(), export("orders").backup).manifest
    store = open_backup(clients(), manifest.uri).store
    with (
        Lease(
            store,
            manifest.location.shelf.lease_key,
            holder="ana",
            run="r",
            clock=SystemClock(),
            conflict=AlreadyExistsError,
        ),
        pytest.raises(TransientError, match="ana holds it"),
    ):
        export("orders")
    assert export("orders").items == 40
