"""Drills on real tables: proved, measured, judged, torn down; and a lease that lets one export run."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tablekeep.engine import leases
from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.backups.store import AlreadyExistsError, MemoryStore, ObjectInfo
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.drills.drill import PREFIX, DrillReport, Objectives, run_drill
from tablekeep.engine.errors import BadInputError, PermanentError, TransientError
from tablekeep.engine.leases import Lease
from tablekeep.engine.progress import NoProgress
from tests.tables import ROOT, clients, export, make_bucket, make_table, orders


@pytest.fixture
def aws(local_aws: Any) -> Any:
    make_bucket(local_aws)
    make_table(local_aws, "orders", orders())
    return local_aws


def drill(**more: Any) -> DrillReport:
    return run_drill(
        clients=clients(),
        clock=SystemClock(),
        progress=NoProgress(),
        backups=ROOT,
        table="orders",
        actor="test",
        run="drill-1",
        **more,
    )


def tables(aws: Any) -> list[str]:
    names: list[str] = aws.client("dynamodb").list_tables()["TableNames"]
    return names


def test_a_drill_proves_measures_and_leaves_nothing(aws: Any) -> None:
    backup = export("orders").backup
    report = drill(objectives=Objectives(rto_seconds=600, rpo_seconds=3600))
    assert report.passed
    assert report.proved
    assert report.content_hash == str(open_backup(clients(), backup).manifest.content)
    assert {"find", "create", "load", "indexes", "proof"} <= report.phases.keys()
    assert 0 < report.rpo_seconds < 600
    assert tables(aws) == ["orders"]
    opened = open_backup(clients(), backup)
    (record,) = read_records(opened.store, opened.manifest.location.shelf, "drill")
    assert record["result"]["passed"]


def test_a_drill_fails_when_an_objective_is_missed(aws: Any) -> None:
    export("orders")
    report = drill(objectives=Objectives(rto_seconds=0.001, rpo_seconds=0.001))
    assert report.proved
    assert not report.passed
    assert [one.split()[0] for one in report.problems] == ["RTO", "RPO"]


def test_a_drill_of_a_damaged_backup_fails_and_leaves_nothing(aws: Any) -> None:
    opened = open_backup(clients(), export("orders").backup)
    key = opened.manifest.location.key(opened.manifest.parts[0].name)
    opened.store.put(key, b"?")
    report = drill()
    assert not report.passed
    assert not report.proved
    assert "damaged" in report.problems[0]
    assert tables(aws) == ["orders"]


def test_a_drill_removes_nothing_that_another_run_made(aws: Any) -> None:
    make_table(aws, f"{PREFIX}orders-00000000", [])
    export("orders")
    assert drill().passed
    assert tables(aws) == ["orders", f"{PREFIX}orders-00000000"]


def test_a_drill_without_a_backup_is_bad_input(aws: Any) -> None:
    with pytest.raises(BadInputError, match="no backup"):
        drill()


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
