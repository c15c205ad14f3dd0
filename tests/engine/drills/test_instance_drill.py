"""Drills of RDS snapshots on real servers: proved, measured, judged, torn down; damaged in every way that must be found."""

import re
from datetime import timedelta
from typing import Any

import pytest

from local_aws.server import switch
from tablekeep.engine.backups.records import broken_links, read_records
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.drills import instances as drill_module
from tablekeep.engine.drills.instance_page import instance_drill_page
from tablekeep.engine.drills.instance_report import InstanceDrillReport
from tablekeep.engine.drills.instances import InstanceCheck
from tablekeep.engine.drills.report import Objectives
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.rds.instances.record import shelf_of
from tablekeep.engine.rds.instances.request import SKIPPABLE, Placement
from tablekeep.engine.rds.instances.service import Awaited
from tests.engine.drills.instances import Left, after_restore, drill, names, page_of
from tests.rds import BUCKET, PASSWORD, ROOT, clients, common, connect


def test_a_drill_proves_measures_and_leaves_nothing(shop: Any) -> None:
    checks = [
        InstanceCheck("orders", "SELECT count(*) = 1000 FROM orders"),
        InstanceCheck("server", "SELECT true", "postgres"),
    ]
    report = drill(objectives=Objectives(600, 3600), checks=checks)
    assert report.problems == []
    assert (report.passed, report.proved, report.compared, report.marker) == (True, True, True, True)
    assert (report.tables, report.items, report.equal, report.bounded) == (2, 1200, 2, 0)
    assert report.told == []
    assert list(report.phases) == ["find", "restore", "settings", "connect", "scan", "checks"]
    assert report.rto_seconds == pytest.approx(sum(report.phases.values()) - report.phases["checks"], abs=0.01)
    assert 0 < report.rpo_seconds < 600
    assert report.usd is not None
    assert names(shop) == ["shop"]
    assert {one["name"] for one in report.settings} <= set(SKIPPABLE)
    assert all(one["told"] for one in report.settings)
    store, shelf = S3Store(clients(), BUCKET), shelf_of(ROOT, clients().account(), "us-east-1", "shop")
    (record,) = read_records(store, shelf, "drill")
    assert record["result"] == report.as_dict()
    assert record["backup_id"] == "tablekeep-shop-one"
    page = page_of(report)
    for part in (
        "2 of 2 tables came back exactly",
        "within the objective",
        "tablekeep-shop-one",
        "nothing",
        "First read of everything",
    ):
        assert part in page, part
    assert not re.search(r"<script|<link|<img|\son\w+=|https?:", page)
    assert PASSWORD not in page + str(record)
    second = drill("drill-2", objectives=Objectives(600, 3600))
    assert second.passed
    assert page_of(second).count("<circle") == 2
    assert broken_links(store, shelf, "drill") == []


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (
            "UPDATE orders SET total = total + 0.01 WHERE id = 77",
            "table public.orders: its 1,000 rows are not the reference's, 1 of them",
        ),
        ("DELETE FROM orders WHERE id = 77", "table public.orders: it has 999 rows instead of 1,000"),
        ("DROP TABLE orders", "table public.orders: it is not there, and had 1,000 rows"),
        ("DROP INDEX orders_by_customer", "table public.orders: its indexes are not as they were"),
        (
            "DELETE FROM tablekeep_marker",
            "the marker that was left in public.tablekeep_marker before the snapshot is not there",
        ),
    ],
)
def test_damage_fails_the_drill_for_its_reason(
    shop: Any, monkeypatch: pytest.MonkeyPatch, damage: str, why: str
) -> None:
    after_restore(monkeypatch, shop, damage)
    report = drill()
    assert not report.passed
    assert not report.proved
    assert [one[: len(why)] for one in report.problems] == [why]
    assert report.rto_seconds is None
    assert list(report.phases) == ["find", "restore", "settings", "connect", "scan", "checks"]
    page = page_of(report)
    assert "could NOT be proved restorable" in page
    assert "<th>Time to restore (RTO)</th><td><strong>not reached</strong></td>" in page
    assert names(shop) == ["shop"]


def test_a_damaged_block_is_found_by_the_first_full_read(local_aws_server: Any, shop: Any) -> None:
    with connect(shop, "shop") as connection:
        path = connection.execute("SELECT pg_relation_filepath('orders')").fetchone()[0]  # type: ignore[index]

    def wait(awaited: Awaited) -> None:
        given = common()["wait"]
        if awaited.goal == "available":
            server = local_aws_server.rds_server(awaited.name)
            server.stop()
            file = server.data / path
            content = bytearray(file.read_bytes())
            content[8192 + 4000] ^= 0xFF
            file.write_bytes(content)
            server.start()
        given(awaited)

    report = drill(wait=wait)
    assert not report.passed
    assert names(shop) == ["shop"]
    assert any(
        "DataCorrupted" in one or "XX001" in one or "connection or the server failed" in one for one in report.problems
    ), report.problems


def test_missed_objectives_and_failed_checks_are_each_a_reason(shop: Any) -> None:
    checks = [
        InstanceCheck("false", "SELECT count(*) = 1 FROM orders"), InstanceCheck("number", "SELECT count(*) FROM orders"),
        InstanceCheck("write", "DELETE FROM orders RETURNING true"), InstanceCheck("two", "SELECT true; SELECT true"),
        InstanceCheck("value", "SELECT note::int > 0 FROM orders WHERE id = 1"), InstanceCheck("name", "SELECT nothing FROM orders"),
    ]  # fmt: skip
    report = drill(objectives=Objectives(0.001, 0.001), checks=checks)
    assert report.proved
    assert not report.passed
    told = [re.split(r" missed| failed", one)[0] for one in report.problems]
    assert told == ["RTO", "RPO", *(f"check {one.name}" for one in checks)]
    assert "read-only transaction" in report.checks[2]["why"]
    assert "multiple commands" in report.checks[3]["why"]
    assert "'x'" not in str(report.checks[4])
    assert 'column "nothing" does not exist' in report.checks[5]["why"]
    assert names(shop) == ["shop"]


def test_a_setting_that_is_lost_fails_the_drill(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = drill_module.begin

    def forget(prepared: Any, **more: Any) -> Any:
        prepared.plan.parameters.pop("DBParameterGroupName")
        return real(prepared, **more)

    monkeypatch.setattr(drill_module, "begin", forget)
    report = drill()
    assert report.proved
    assert report.problems == ["setting parameter group differs: default.postgres18 instead of tuned"]
    assert "DIFFERS" in page_of(report)


def test_a_killed_drill_leaves_nothing_behind_the_next_one(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:

    def die(*given: Any, **more: Any) -> Any:
        raise Left

    monkeypatch.setattr(drill_module, "read_first", die)
    with pytest.raises(Left):
        drill("killed")
    assert len(names(shop)) == 2
    monkeypatch.undo()
    assert drill("another").swept == [], "its time is not over, it may be alive"
    report = drill("killed")
    assert report.passed, report.problems
    assert names(shop) == ["shop"]


def test_a_try_that_died_after_its_record_leaves_one(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = drill_module.keep_report

    def die(*given: Any, **more: Any) -> None:
        real(*given, **more)
        raise Left

    monkeypatch.setattr(drill_module, "keep_report", die)
    with pytest.raises(Left):
        drill()
    monkeypatch.undo()
    report = drill()
    store, shelf = S3Store(clients(), BUCKET), shelf_of(ROOT, clients().account(), "us-east-1", "shop")
    (record,) = read_records(store, shelf, "drill")
    assert record["result"] == report.as_dict()


def test_any_other_error_tears_down_and_is_raised(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:

    def fail(*given: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(drill_module, "read_first", fail)
    with pytest.raises(KeyboardInterrupt):
        drill()
    assert names(shop) == ["shop"]


def test_what_cannot_be_removed_is_a_problem(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill_module, "tear_down_instance", lambda *given: False)
    report = drill()
    assert not report.torn_down
    assert [one for one in report.problems if report.scratch in one]
    assert not report.passed


def test_a_restore_that_ends_badly_fails_the_drill_and_is_torn_down(local_aws_server: Any, shop: Any) -> None:
    switch(local_aws_server.endpoint, "rds", {"fail": "restore"})
    report = drill()
    assert "incompatible-restore" in report.problems[0]
    assert (report.rto_seconds, list(report.phases)) == (None, ["find"])
    assert names(shop) == ["shop"]
    switch(local_aws_server.endpoint, "rds", {"fail": "", "polls": 40})
    slow = drill("slow", time_limit=timedelta(milliseconds=300))
    assert ["it is not after" in one or "has not ended within" in one for one in slow.problems] == [True], slow.problems
    assert names(shop) == ["shop"]


def test_the_time_until_everything_is_readable_counts(local_aws_server: Any, shop: Any) -> None:
    switch(local_aws_server.endpoint, "rds", {"lazy_answers": 20})
    report = drill(objectives=Objectives(rto_seconds=1.9))
    assert report.phases["connect"] + report.phases["scan"] >= 2.0
    assert report.phases["scan"] >= 1.0
    assert report.problems == [f"RTO missed: {report.rto_seconds:.1f} s measured, the objective is 1.9 s"]
    assert len(report.slowest) == 2


def test_money_is_looked_at_before(shop: Any) -> None:
    with pytest.raises(BadInputError, match=r"for 6 hours it would cost about 1\.\d+ dollars"):
        drill(max_usd=0.5)
    assert names(shop) == ["shop"]
    assert drill(max_usd=0.5, placement=Placement(instance_class="db.t4g.micro")).passed


def test_names_of_others_cannot_write_into_the_page() -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=y>"
    report = InstanceDrillReport(evil, evil, evil, evil, evil, evil, evil, proved=True, problems=[evil], notes=[evil])
    report.settings = [{"name": evil, "expected": evil, "actual": evil, "told": False}]
    report.told = [{"database": evil, "table": evil, "state": evil, "why": evil}]
    report.slowest = [{"table": evil, "seconds": 1.0}]
    report.checks = [{"name": evil, "passed": False, "why": evil}]
    report.not_restored = [{"name": evil, "why": evil, "command": evil}]
    page = instance_drill_page(report, [])
    assert "<script" not in page
    assert "<img" not in page
