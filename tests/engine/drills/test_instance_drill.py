"""Drills of RDS snapshots on real servers: proved, measured, judged, torn down; damaged in every way that must be found."""

import re
from datetime import timedelta
from typing import Any

import pytest

from local_aws.server import switch
from tablekeep.engine.backups.records import broken_links, read_records
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.drills import instances as drill_module
from tablekeep.engine.drills.instance_page import instance_drill_page
from tablekeep.engine.drills.instance_report import InstanceDrillReport
from tablekeep.engine.drills.instance_scratch import scratch_instance, sweep_instances, tear_down_instance
from tablekeep.engine.drills.instances import InstanceCheck, InstanceDrillRequest, run_instance_drill
from tablekeep.engine.drills.marks import DRILL_TAG, PREFIX, UNTIL_TAG, scratch_tags
from tablekeep.engine.drills.report import Objectives
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.marks import RUN_TAG
from tablekeep.engine.rds.instances import contents as contents_module
from tablekeep.engine.rds.instances.request import Placement
from tablekeep.engine.rds.instances.service import Awaited
from tablekeep.engine.rds.instances.snapshots import Reading, shelf_of, take_snapshot
from tests.rds import (
    BUCKET,
    PASSWORD,
    ROOT,
    USER,
    clients,
    common,
    connect,
    describe,
    login,
    make_instance,
    make_snapshot,
    snapshot,
)
from tests.tables import make_bucket


@pytest.fixture
def shop(local_aws: Any) -> Any:
    make_bucket(local_aws, BUCKET)
    client = local_aws.client("rds")
    client.create_db_parameter_group(DBParameterGroupName="tuned", DBParameterGroupFamily="postgres18", Description="d")
    return make_instance(
        local_aws, DBParameterGroupName="tuned", MultiAZ=True, DeletionProtection=True, CopyTagsToSnapshot=True,
        EnableCloudwatchLogsExports=["postgresql"], Tags=[{"Key": "team", "Value": "shop"}],
    )  # fmt: skip


def drill(run: str = "drill-1", wait: Any = None, **more: Any) -> InstanceDrillReport:
    given = common(run=run) | ({"wait": wait} if wait else {})
    reading = Reading(login(), marker="public.tablekeep_marker")
    return run_instance_drill(InstanceDrillRequest("shop", ROOT, "us-east-1", **({"reading": reading} | more)), **given)


def names(client: Any) -> list[str]:
    return [one["DBInstanceIdentifier"] for one in client.describe_db_instances()["DBInstances"]]


def after_restore(monkeypatch: pytest.MonkeyPatch, client: Any, damage: str) -> None:
    """Damages the scratch database when it is available, before it is read."""
    real = drill_module.read_first

    def read(record: Any, reading: Any, endpoint: Any, **more: Any) -> Any:
        with connect(client, scratch_instance("shop", "drill-1")) as connection:
            connection.execute(damage.encode())
        return real(record, reading, endpoint, **more)

    monkeypatch.setattr(drill_module, "read_first", read)


def page_of(report: InstanceDrillReport) -> str:
    bucket, key = report.page.removeprefix("s3://").split("/", 1)
    return clients().client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()  # type: ignore[no-any-return]


def test_a_drill_proves_measures_and_leaves_nothing(shop: Any) -> None:
    made = snapshot()
    checks = [
        InstanceCheck("orders", "SELECT count(*) = 1000 FROM orders"),
        InstanceCheck("server", "SELECT true", "postgres"),
    ]
    report = drill(objectives=Objectives(600, 3600), checks=checks)
    assert report.problems == []
    assert (report.passed, report.proved, report.compared, report.marker) == (True, True, True, True)
    assert (report.tables, report.items, report.equal, report.bounded) == (2, 1200, 2, 0)
    assert report.told == [
        {"database": "shop", "table": "public.tablekeep_marker", "state": "not compared", "rows": 0, "why": "left out as configured"}
    ] or report.told == []  # fmt: skip
    assert list(report.phases) == ["find", "restore", "settings", "connect", "scan", "checks"]
    assert report.rto_seconds == pytest.approx(sum(report.phases.values()) - report.phases["checks"], abs=0.01)
    assert 0 < report.rpo_seconds < 600
    assert report.usd is not None
    assert names(shop) == ["shop"]
    assert {one["name"] for one in report.settings} <= {
        "Multi-AZ",
        "deletion protection",
        "log exports",
        "copy tags to snapshots",
        "tags",
        "storage type",
    }
    assert all(one["told"] for one in report.settings)
    store, shelf = S3Store(clients(), BUCKET), shelf_of(ROOT, clients().account(), "us-east-1", "shop")
    (record,) = read_records(store, shelf, "drill")
    assert record["result"] == report.as_dict()
    assert record["backup_id"] == made.snapshot
    page = page_of(report)
    for part in (
        "2 of 2 tables came back exactly",
        "within the objective",
        made.snapshot,
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
    snapshot()
    after_restore(monkeypatch, shop, damage)
    report = drill()
    assert not report.passed
    assert not report.proved
    assert [one[: len(why)] for one in report.problems] == [why]
    assert "could NOT be proved restorable" in page_of(report)
    assert names(shop) == ["shop"]


def test_a_damaged_block_is_found_by_the_first_full_read(local_aws: Any, shop: Any) -> None:
    snapshot()
    with connect(shop, "shop") as connection:
        path = connection.execute("SELECT pg_relation_filepath('orders')").fetchone()[0]  # type: ignore[index]

    def wait(awaited: Awaited) -> None:
        given = common()["wait"]
        if awaited.goal == "available":
            server = local_aws.rds_server(awaited.name)
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
    snapshot()
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
    snapshot()
    real = drill_module.begin

    def forget(prepared: Any, **more: Any) -> Any:
        prepared.plan.parameters.pop("DBParameterGroupName")
        return real(prepared, **more)

    monkeypatch.setattr(drill_module, "begin", forget)
    report = drill()
    assert report.proved
    assert report.problems == ["setting parameter group differs: default.postgres18 instead of tuned"]
    assert "DIFFERS" in page_of(report)


def test_tables_that_changed_meanwhile_are_bounded_and_said_so(shop: Any) -> None:
    class Stopped(Exception):
        pass

    def stop(awaited: Awaited) -> None:
        raise Stopped

    reading = Reading(login(), marker="public.tablekeep_marker")
    real = contents_module.keep_marker
    with pytest.raises(Stopped):
        take_snapshot("shop", ROOT, name="tablekeep-shop-one", reading=reading, **(common() | {"wait": stop}))
    assert real is contents_module.keep_marker
    with connect(shop, "shop") as connection:
        connection.execute("UPDATE customers SET name = 'x' WHERE id <= 20")
    snapshot()
    with connect(shop, "shop") as connection:
        connection.execute("DELETE FROM orders")
    report = drill()
    assert report.passed, report.problems
    assert (report.equal, report.bounded) == (2, 0), (
        "the snapshot was made before the change: it is what the first look saw"
    )


def test_a_state_between_the_two_looks_is_within_bounds(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes before and after the moment of the snapshot, both between the looks."""
    from tablekeep.engine.rds.instances import snapshots as snapshots_module

    real = snapshots_module._Taker._ask

    def ask(self: Any, source: Any) -> None:
        with connect(shop, "shop") as connection:
            connection.execute(
                "DELETE FROM customers WHERE id NOT IN (SELECT customer FROM orders); UPDATE customers SET name = 'a' WHERE id = 1"
            )
        real(self, source)
        with connect(shop, "shop") as connection:
            connection.execute("UPDATE customers SET name = 'b' WHERE id = 2")

    monkeypatch.setattr(snapshots_module._Taker, "_ask", ask)
    snapshot()
    report = drill()
    assert report.passed, report.problems
    assert (report.equal, report.bounded) == (1, 1)
    (told,) = [one for one in report.told if one["state"] == "bounds"]
    assert told["why"].startswith(
        "it changed while the snapshot was made: 199 of the reference's rows are there, and must be from 198 to 200"
    )
    assert "1 of 2 tables came back exactly, and 1 that changed meanwhile lie within their bounds" in page_of(report)


class Left(BaseException):
    """A deferred task's way out."""


def test_a_drill_is_left_while_rds_works_and_gone_on_with(local_aws: Any, shop: Any) -> None:
    snapshot()
    switch(local_aws.endpoint, "rds", {"polls": 2})
    waits: list[tuple[str, str]] = []

    def leave(awaited: Awaited) -> None:
        from tablekeep.engine.rds.instances.service import settled

        if not settled(clients(), awaited):
            waits.append((awaited.goal, awaited.name))
            raise Left

    scratch, tries = scratch_instance("shop", "drill-1"), 0
    while True:
        tries += 1
        try:
            report = drill(wait=leave)
            break
        except Left:
            # the source's settings may change meanwhile: the drill goes on with the plan that it began with
            if tries == 1:
                shop.add_tags_to_resource(
                    ResourceName=describe(shop, "shop")["DBInstanceArn"], Tags=[{"Key": "new", "Value": "1"}]
                )
    assert report.passed, report.problems
    assert {("available", scratch), ("gone", scratch)} == set(waits)
    assert names(shop) == ["shop"]
    assert drill("drill-1", wait=common()["wait"]).passed, "the same run once more, as after a clear, begins anew"


def test_a_killed_drill_leaves_nothing_behind_the_next_one(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot()

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


def test_any_other_error_tears_down_and_is_raised(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot()

    def fail(*given: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(drill_module, "read_first", fail)
    with pytest.raises(KeyboardInterrupt):
        drill()
    assert names(shop) == ["shop"]


def test_what_cannot_be_removed_is_a_problem(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot()
    monkeypatch.setattr(drill_module, "tear_down_instance", lambda *given: False)
    report = drill()
    assert not report.torn_down
    assert [one for one in report.problems if report.scratch in one]
    assert not report.passed


def test_a_restore_that_ends_badly_fails_the_drill_and_is_torn_down(local_aws: Any, shop: Any) -> None:
    snapshot()
    switch(local_aws.endpoint, "rds", {"fail": "restore"})
    report = drill()
    assert "incompatible-restore" in report.problems[0]
    assert names(shop) == ["shop"]
    switch(local_aws.endpoint, "rds", {"fail": "", "polls": 40})
    slow = drill("slow", time_limit=timedelta(milliseconds=300))
    assert ["it is not after" in one or "has not ended within" in one for one in slow.problems] == [True], slow.problems
    assert names(shop) == ["shop"]


def test_the_time_until_everything_is_readable_counts(local_aws: Any, shop: Any) -> None:
    snapshot()
    switch(local_aws.endpoint, "rds", {"lazy_answers": 20})
    report = drill(objectives=Objectives(rto_seconds=1.9))
    assert report.phases["connect"] + report.phases["scan"] >= 2.0
    assert report.phases["scan"] >= 1.0
    assert report.problems == [f"RTO missed: {report.rto_seconds:,.0f} s measured, the objective is 2 s"]
    assert len(report.slowest) == 2


def test_what_is_drilled_is_chosen_and_recorded(shop: Any) -> None:
    with pytest.raises(BadInputError, match="there is no ours snapshot"):
        drill()
    for name in ("tablekeep-a", "tablekeep-b"):
        snapshot(name)
    make_snapshot(shop, "manual")
    assert drill("a").snapshot == "tablekeep-b"
    oldest = drill("b", choose="oldest")
    assert (oldest.snapshot, oldest.chosen) == ("tablekeep-a", "the oldest of 2")
    with pytest.raises(BadInputError, match="so young"):
        drill("c", choose="random", within=timedelta(microseconds=1))
    with pytest.raises(BadInputError, match="no automated snapshot"):
        drill("d", take="automated")


def test_without_a_record_the_teams_checks_must_prove_it(shop: Any) -> None:
    take_snapshot("shop", ROOT, name="tablekeep-bare", reading=None, **common())
    with pytest.raises(BadInputError, match="could prove nothing"):
        drill()
    report = drill(checks=[InstanceCheck("orders", "SELECT count(*) = 1000 FROM orders")])
    assert (report.passed, report.compared, report.equal) == (True, False, 0)
    assert "nothing told what had to be in it" in page_of(report)
    assert not drill("no", checks=[InstanceCheck("orders", "SELECT false")]).proved


def test_a_point_in_time_is_drilled_against_the_record_of_its_time(local_aws: Any) -> None:
    make_bucket(local_aws, BUCKET)
    client = make_instance(local_aws, BackupRetentionPeriod=3)
    snapshot()
    with connect(client, "shop") as connection:
        connection.execute("DELETE FROM orders")
    report = drill(take="point-in-time")
    assert (report.passed, report.snapshot, report.equal) == (True, None, 2), report.problems
    assert "the time of the snapshot tablekeep-shop-one" in report.chosen
    latest = drill("two", take="point-in-time", checks=[InstanceCheck("gone", "SELECT count(*) = 1000 FROM orders")])
    assert latest.passed, "the recorded time again, though the rows are deleted by now"


def test_money_is_looked_at_before(shop: Any) -> None:
    snapshot()
    with pytest.raises(BadInputError, match=r"for 6 hours it would cost about 1\.\d+ dollars"):
        drill(max_usd=0.5)
    assert names(shop) == ["shop"]
    assert drill(max_usd=0.5, placement=Placement(instance_class="db.t4g.micro")).passed


def test_databases_that_cannot_be_read_are_refused_before(local_aws: Any) -> None:
    make_bucket(local_aws, BUCKET)
    client = make_instance(local_aws, Engine="mysql", sql="")
    take_snapshot("shop", ROOT, name="tablekeep-one", reading=None, **common())
    with pytest.raises(BadInputError, match="PostgreSQL only"):
        drill(checks=[InstanceCheck("one", "SELECT true")])
    assert names(client) == ["shop"]


def test_the_sweeper_removes_only_what_carries_all_marks(local_aws: Any) -> None:
    client = local_aws.client("rds")
    over = {UNTIL_TAG: "2020-01-01T00:00:00.000Z"}
    marks = scratch_tags("dead", SystemClock()) | {RUN_TAG: "dead"}
    cases: dict[str, dict[str, str]] = {
        scratch_instance("shop", "dead"): marks | over,
        f"{PREFIX}no-marks": {},
        f"{PREFIX}other-run": marks | over | {RUN_TAG: "alive"},
        f"{PREFIX}no-drill": {name: value for name, value in (marks | over).items() if name != DRILL_TAG},
        f"{PREFIX}bad-time": marks | {UNTIL_TAG: "yesterday"},
        f"{PREFIX}still-alive": marks,
        "shop-marked": marks | over,
    }
    for name, tags in cases.items():
        make_instance(
            local_aws, name, Engine="mysql", sql="", Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
        )
    looked = sweep_instances(clients(), SystemClock(), dry_run=True)
    assert [(one.table, one.removed) for one in looked] == [(scratch_instance("shop", "dead"), False)]
    assert set(names(client)) == set(cases)
    sweep_instances(clients(), SystemClock())
    client.describe_db_instances()
    assert set(names(client)) == set(cases) - {scratch_instance("shop", "dead")}
    assert tear_down_instance(clients(), "instance", "shop-marked", "alive", common()["wait"]), (
        "another run's is none of ours"
    )
    assert "shop-marked" in names(client)


def test_a_cluster_is_drilled_with_one_instance_and_both_go(local_aws: Any) -> None:
    make_bucket(local_aws, BUCKET)
    client = local_aws.client("rds")
    client.create_db_cluster(
        DBClusterIdentifier="shop", Engine="aurora-postgresql", MasterUsername=USER, MasterUserPassword=PASSWORD, DatabaseName="shop",
        DeletionProtection=True,
    )  # fmt: skip
    client.describe_db_clusters()
    for number in (1, 2):
        client.create_db_instance(
            DBInstanceIdentifier=f"shop-{number}",
            DBClusterIdentifier="shop",
            Engine="aurora-postgresql",
            DBInstanceClass="db.r6g.large",
        )
    with connect(client, "shop-1") as connection:
        connection.execute("CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 50) n")
    snapshot()
    report = drill()
    assert report.passed, report.problems
    assert report.members == [f"{report.scratch}-1"]
    assert names(client) == ["shop-1", "shop-2"]
    assert [one["DBClusterIdentifier"] for one in client.describe_db_clusters()["DBClusters"]] == ["shop"]


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
