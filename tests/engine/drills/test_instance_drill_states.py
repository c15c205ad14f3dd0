"""Drills of states that are special: changed while they were taken, automated, points in time, clusters; and what is swept."""

from datetime import timedelta
from typing import Any

import pytest

from local_aws.server import switch
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.store import AlreadyExistsError
from tablekeep.engine.checkpoints import Checkpoint
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock, utc_text
from tablekeep.engine.drills import instances as drill_module
from tablekeep.engine.drills.instance_scratch import scratch_instance, sweep_instances, tear_down_instance
from tablekeep.engine.drills.instances import InstanceCheck
from tablekeep.engine.drills.marks import DRILL_TAG, PREFIX, UNTIL_TAG, run_part, scratch_tags
from tablekeep.engine.errors import BadInputError, PermanentError
from tablekeep.engine.marks import RUN_TAG
from tablekeep.engine.rds.instances import contents as contents_module
from tablekeep.engine.rds.instances.contents import Reading
from tablekeep.engine.rds.instances.record import shelf_of
from tablekeep.engine.rds.instances.service import Awaited
from tablekeep.engine.rds.instances.snapshots import take_snapshot
from tests.engine.drills.instances import Left, drill, names, page_of
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
    make_cluster,
    make_instance,
    make_snapshot,
    snapshot,
)
from tests.tables import make_bucket


@pytest.fixture
def shop(local_aws: Any) -> Any:
    """An instance of this test's own."""
    make_bucket(local_aws, BUCKET)
    return make_instance(local_aws, MultiAZ=True, DeletionProtection=True)


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
    assert {"name": "backup retention", "expected": 3, "actual": 0, "told": True} in report.settings
    latest = drill("two", take="point-in-time", checks=[InstanceCheck("gone", "SELECT count(*) = 1000 FROM orders")])
    assert latest.passed, "the recorded time again, though the rows are deleted by now"


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
    client = make_cluster(local_aws, 2)
    snapshot()
    report = drill()
    assert report.passed, report.problems
    assert report.members == [f"{report.scratch}-1"]
    assert names(client) == ["shop-1", "shop-2"]
    assert [one["DBClusterIdentifier"] for one in client.describe_db_clusters()["DBClusters"]] == ["shop"]


def test_another_database_with_the_same_rows_is_no_proof(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot()
    real = drill_module.read_first

    def read(*given: Any, **more: Any) -> Any:
        found, proof = real(*given, **more)
        assert found["shop"].system, "the login may ask for it"
        found["shop"].system = "1"
        return found, proof

    monkeypatch.setattr(drill_module, "read_first", read)
    report = drill()
    assert not report.proved
    assert report.problems == ["database shop: it is no physical copy of the database of which the record tells"]


def test_what_an_ended_try_has_left_goes_before_the_next(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot()
    monkeypatch.setattr(drill_module, "tear_down_instance", lambda *given: False)
    left = drill()
    assert not left.torn_down
    monkeypatch.undo()
    with connect(shop, left.scratch) as connection:
        connection.execute("DELETE FROM orders WHERE id = 7")
    report = drill()
    assert report.passed, "what was left is not drilled once more"
    assert names(shop) == ["shop"]


def test_a_worker_that_was_thought_dead_does_not_tear_down_what_another_drills(local_aws: Any, shop: Any) -> None:
    snapshot()
    shelf = shelf_of(ROOT, clients().account(), "us-east-1", "shop")
    key = f"{shelf.prefix}/_drills/{run_part('drill-1')}.json"
    real, taken = common()["wait"], list[str]()

    def wait(awaited: Awaited) -> None:
        real(awaited)
        if not taken:  # another worker goes on from here
            taken.append(awaited.name)
            other = Checkpoint(S3Store(clients(), BUCKET), key, AlreadyExistsError)
            known = other.load()
            assert known is not None
            other.save(known | {"marks": known["marks"] | {"restore": utc_text(SystemClock().now())}})

    with pytest.raises(PermanentError, match="another worker has gone on from here"):
        drill(wait=wait)
    assert names(shop) == ["shop", scratch_instance("shop", "drill-1")], "the other one needs it"
    assert drill().passed
    assert names(shop) == ["shop"]


def test_a_teardown_looks_whether_anything_is_left(local_aws: Any) -> None:
    client, wait = local_aws.client("rds"), common()["wait"]
    for run, keep in (("gone", False), ("kept", True)):
        name = scratch_instance("shop", run)
        make_instance(local_aws, name, sql="", BackupRetentionPeriod=1, Tags=[{"Key": RUN_TAG, "Value": run}])
        using = SessionClients(region="us-east-1")
        if keep:
            using.client("rds").meta.events.register(
                "before-parameter-build.rds.DeleteDBInstance",
                lambda params, **_: params.update(DeleteAutomatedBackups=False),
            )
        assert tear_down_instance(using, "instance", name, run, wait) == (not keep)
        assert names(client) == []
    (left,) = client.describe_db_instance_automated_backups()["DBInstanceAutomatedBackups"]
    assert (left["DBInstanceIdentifier"], left["Status"]) == (scratch_instance("shop", "kept"), "retained")


def test_a_scratch_cluster_with_an_instance_of_others_is_left_alone(local_aws: Any) -> None:
    client, name = local_aws.client("rds"), scratch_instance("shop", "run-1")
    client.create_db_cluster(
        DBClusterIdentifier=name, Engine="aurora-mysql", MasterUsername=USER, MasterUserPassword=PASSWORD,
        Tags=[{"Key": RUN_TAG, "Value": "run-1"}],
    )  # fmt: skip
    client.describe_db_clusters()
    client.create_db_instance(
        DBInstanceIdentifier="reports", DBClusterIdentifier=name, Engine="aurora-mysql", DBInstanceClass="db.r6g.large"
    )
    client.describe_db_instances()
    with pytest.raises(PermanentError, match="its member reports is not this run's"):
        tear_down_instance(clients(), "cluster", name, "run-1", common()["wait"])
    assert names(client) == ["reports"]
    assert client.describe_db_clusters()["DBClusters"][0]["Status"] == "available"
