"""Restores that are special: other Regions, sources that are gone, points in time, clusters; and what is refused."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.errors import BadInputError, PermanentError
from tablekeep.engine.marks import RUN_TAG
from tablekeep.engine.prices import load_prices
from tablekeep.engine.rds.instances.copy import copy_snapshot
from tablekeep.engine.rds.instances.costs import instance_hour
from tablekeep.engine.rds.instances.created import Created, begin_deletion, modify
from tablekeep.engine.rds.instances.plan import InstanceRestorePlan
from tablekeep.engine.rds.instances.request import Placement
from tablekeep.engine.rds.instances.snapshots import take_snapshot
from tablekeep.engine.rds.instances.words import plan_lines, plan_markdown
from tests.engine.rds.instances import AWAY, plan, request, restore
from tests.rds import (
    BUCKET,
    PASSWORD,
    ROLE,
    ROOT,
    USER,
    clients,
    common,
    connect,
    describe,
    groups,
    make_instance,
    make_odd_shop,
    snapshot,
)
from tests.tables import make_bucket


def bare(of: str = "shop") -> str:
    """A snapshot of an instance whose contents are not looked at."""
    return take_snapshot(of, ROOT, name=f"tablekeep-{of}", reading=None, **common()).snapshot


def test_a_plan_says_what_it_will_be_and_what_it_costs(local_aws: Any) -> None:
    client = make_odd_shop(local_aws, Engine="mysql")
    client.add_role_to_db_instance(DBInstanceIdentifier="shop", RoleArn=ROLE, FeatureName="s3Import")
    bare()
    shown = plan(
        request(placement=Placement(instance_class="db.r6g.large", multi_az=False), skip=("deletion protection",))
    )
    told = dict(plan_lines(shown))
    assert told["to"].startswith("the new instance shop-restored in account 123456789012, us-east-1")
    lines = [text for _, text in plan_lines(shown)]
    assert "class: db.r6g.large instead of db.m7g.large" in lines
    assert "deletion protection: the default instead of yes" in lines
    assert any(
        text.startswith("role s3Import: a restore takes no roles. aws rds add-role-to-db-instance") for text in lines
    )
    assert shown.usd_hour == pytest.approx(0.225 + 100 * 0.115 / 730)
    assert "an hour while it is there" in told["cost"]
    assert plan_markdown(shown).count("\n") == len(lines) + 1
    assert InstanceRestorePlan.from_dict(shown.as_dict()) == shown
    with pytest.raises(BadInputError, match=r"limits.max_usd is 1\.00"):
        plan(request(max_usd=1.0))
    assert plan(request(max_usd=100.0)).usd == pytest.approx(24 * 2 * (0.168 + 100 * 0.115 / 730), abs=0.001)


def test_a_class_without_a_price_is_told_and_refused_under_a_limit(local_aws: Any) -> None:
    make_odd_shop(local_aws, Engine="mysql", DBInstanceClass="db.x99.large", MonitoringInterval=0)
    bare()
    assert "NOT KNOWN: there is no price for the class db.x99.large" in dict(plan_lines(plan()))["cost"]
    with pytest.raises(BadInputError, match="no price for the class"):
        plan(request(max_usd=1000.0))
    aurora = {"class": "db.r6g.xlarge", "engine": "aurora-postgresql"}
    assert instance_hour(aurora, load_prices().rds).usd == pytest.approx(0.52)
    assert (
        instance_hour(
            {"class": "db.m5.large", "storage": 100, "storage type": "io1", "iops": 1000}, load_prices().rds
        ).usd
        is not None
    )


def test_what_may_not_be_is_refused_before_anything_is_made(local_aws: Any) -> None:
    client = make_odd_shop(local_aws, Engine="mysql")
    with pytest.raises(BadInputError, match="no snapshot of ours"):
        plan()
    bare()
    make_instance(local_aws, "other", Engine="mysql", sql="")
    bare("other")
    for wrong, why in (
        ({"to": "shop"}, "the source has that name"), ({"to": "a--b"}, "single hyphens"), ({"snapshot": "nothing"}, "there is no instance snapshot"),
        ({"snapshot": "tablekeep-other"}, "is a snapshot of other"), ({"snapshot": "x", "latest": True}, "a snapshot and a time"),
        ({"at": datetime.fromisoformat("2026-01-01")}, "no zone"), ({"latest": True}, "keeps no automated backups"), ({"to": "other"}, "of this name"),
        ({"skip": ("port",)}, "cannot be left out"), ({"patterns_refused": ("shop-*",)}, "refuses names like"), ({"accounts": ("1",)}, "allows 1"),
        ({"placement": Placement(parameter_group="none")}, "no parameter group none"),
        ({"placement": Placement(subnet_group="none")}, "no subnet group none"),
        ({"placement": Placement(option_group="none")}, "no option group none"),
    ):  # fmt: skip
        with pytest.raises(BadInputError, match=why):
            plan(replace(request(), **wrong))
    with pytest.raises(BadInputError, match="has changed since the plan"):
        restore(plan_hash="0" * 64)
    with pytest.raises(BadInputError, match="at least 16 digits"):
        restore(plan_hash=plan().hash[:15])
    assert {one["DBInstanceIdentifier"] for one in client.describe_db_instances()["DBInstances"]} == {"shop", "other"}


def test_nothing_is_changed_or_deleted_that_a_run_did_not_make(local_aws: Any) -> None:
    client = make_instance(local_aws, Engine="mysql", sql="", Tags=[{"Key": RUN_TAG, "Value": "another"}])
    real = describe(client, "shop")["DbiResourceId"]
    for created, why in (
        (Created("instance", "shop", real, "us-east-1", "run-1"), "does not name this run"),
        (Created("instance", "shop", "db-OLD", "us-east-1", "another"), "another instance has its name"),
        (Created("instance", "gone", real, "us-east-1", "another"), "not there any more"),
    ):
        with pytest.raises(PermanentError, match=why):
            modify(clients(), created, {"MultiAZ": True})
    for prefix, run, why in (
        ("tablekeep-drill-", "another", "does not begin with"),
        ("", "another", "does not begin"),
        ("sho", "run-1", "this run"),
    ):
        with pytest.raises(PermanentError, match=why):
            begin_deletion(clients(), Created("instance", "shop", real, "us-east-1", run), prefix=prefix)
    assert describe(client, "shop")["DBInstanceStatus"] == "available"
    assert begin_deletion(clients(), Created("instance", "shop", real, "us-east-1", "another"), prefix="shop")


def test_a_point_in_time_within_the_window_comes_back(local_aws: Any) -> None:
    client = make_odd_shop(local_aws, BackupRetentionPeriod=3)
    with connect(client, "shop") as connection:
        connection.execute("DELETE FROM orders WHERE id <= 10")
        time.sleep(0.05)
        when = datetime.now(UTC)
        time.sleep(0.05)
        connection.execute("DELETE FROM orders")
    report = restore(request(at=when), reading=None)
    assert (report.proved, report.compared, report.snapshot) == (False, False, None)
    with connect(client, "shop-restored") as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (990,)
    with pytest.raises(BadInputError, match="lies outside of"):
        plan(request(at=when - timedelta(days=1)))
    with pytest.raises(BadInputError, match="in its own Region"):
        plan(request(at=when), region=AWAY)
    latest = restore(request("shop-latest", latest=True), reading=None)
    assert latest.at == "latest"
    with connect(client, "shop-latest") as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)


def test_in_another_region_what_belongs_to_a_region_has_to_be_named(local_aws: Any) -> None:
    make_odd_shop(local_aws, StorageEncrypted=True, MonitoringInterval=0)
    name = snapshot().snapshot
    key = local_aws.client("kms", AWAY).create_key()["KeyMetadata"]["Arn"]
    group = groups(local_aws, AWAY)
    given = common()
    copy_snapshot(
        name,
        family="instance",
        to_region=AWAY,
        key=key,
        option_group=None,
        clients=given["clients"],
        run="run-1",
        wait=given["wait"],
    )
    with pytest.raises(
        BadInputError, match="the source's parameter group and subnet group and security groups are not there"
    ):
        plan(request(), region=AWAY)
    placement = Placement(parameter_group="tuned", subnet_group="private", security_groups=(group,))
    report = restore(request(placement=placement), region=AWAY)
    assert report.proved
    assert report.settings_differ == []
    assert {one["name"] for one in report.settings} == {"security groups", "key"}
    assert describe(local_aws.client("rds", AWAY), "shop-restored")["KmsKeyId"] == key


def test_a_source_that_is_gone_is_restored_from_its_record(local_aws: Any) -> None:
    client = make_odd_shop(local_aws, DeletionProtection=False)
    snapshot()
    client.delete_db_instance(DBInstanceIdentifier="shop", SkipFinalSnapshot=True)
    client.describe_db_instances()
    assert plan().settings_from.startswith("the record of the snapshot")
    report = restore()
    assert report.proved
    assert report.settings == []
    assert describe(client, "shop-restored")["DBParameterGroups"][0]["DBParameterGroupName"] == "tuned"
    make_instance(local_aws, sql="")
    assert "another instance has the source's name" in str(plan(request("third")).notes)
    local_aws.client("s3").delete_objects(
        Bucket=BUCKET,
        Delete={
            "Objects": [
                {"Key": one["Key"]} for one in local_aws.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
            ]
        },
    )
    client.delete_db_instance(DBInstanceIdentifier="shop", SkipFinalSnapshot=True)
    client.describe_db_instances()
    with pytest.raises(BadInputError, match="no record tells how it was set"):
        plan(request("fourth"))


def test_settings_that_changed_since_are_said(local_aws: Any) -> None:
    client = make_odd_shop(local_aws, Engine="mysql")
    bare()
    client.modify_db_instance(DBInstanceIdentifier="shop", BackupRetentionPeriod=5, ApplyImmediately=True)
    client.describe_db_instances()
    assert any("backup retention; they are restored as they are now" in note for note in plan().notes)


def test_a_cluster_comes_back_with_its_instances(local_aws: Any) -> None:
    make_bucket(local_aws, BUCKET)
    client = local_aws.client("rds")
    client.create_db_cluster_parameter_group(
        DBClusterParameterGroupName="fleet", DBParameterGroupFamily="aurora-postgresql18", Description="d"
    )
    client.create_db_cluster(
        DBClusterIdentifier="shop", Engine="aurora-postgresql", MasterUsername=USER, MasterUserPassword=PASSWORD, DatabaseName="shop",
        DBClusterParameterGroupName="fleet", DeletionProtection=True, BackupRetentionPeriod=9, EnableCloudwatchLogsExports=["postgresql"],
        ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 4},
    )  # fmt: skip
    for number, size in ((1, "db.r6g.large"), (2, "db.t4g.medium")):
        client.create_db_instance(
            DBInstanceIdentifier=f"shop-{number}", DBClusterIdentifier="shop", Engine="aurora-postgresql", DBInstanceClass=size,
            PromotionTier=number, Tags=[{"Key": "n", "Value": str(number)}],
        )  # fmt: skip
    client.describe_db_clusters()
    with connect(client, "shop-1") as connection:
        connection.execute("CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 50) n")
    snapshot()
    report = restore()
    assert report.proved
    assert report.settings == []
    assert report.members == ["shop-restored-1", "shop-restored-2"]
    assert describe(client, "shop-restored-2")["DBInstanceClass"] == "db.t4g.medium"
    assert (
        client.describe_db_clusters(DBClusterIdentifier="shop-restored")["DBClusters"][0]["DBClusterParameterGroup"]
        == "fleet"
    )
    shown = plan(request("third", writer_only=True))
    assert [one["name"] for one in shown.members] == ["third-1"]
    assert shown.usd_hour == pytest.approx(0.26)
    latest = restore(request("fourth", latest=True), reading=None)
    assert latest.members == ["fourth-1", "fourth-2"]
    with pytest.raises(BadInputError, match="is a member of the cluster shop"):
        snapshot("tablekeep-x", of="shop-1")


def test_an_instance_that_others_made_at_this_moment_is_not_taken_for_the_restored_one(local_aws: Any) -> None:
    client = make_odd_shop(local_aws, Engine="mysql")
    bare()
    using = SessionClients(region="us-east-1")
    using.client("rds").meta.events.register(
        "before-parameter-build.rds.RestoreDBInstanceFromDBSnapshot",
        lambda **_: make_instance(local_aws, "shop-restored", Engine="mysql", sql=""),
    )
    with pytest.raises(BadInputError, match="another instance of this name was made at the same moment"):
        restore(clients=using, reading=None)
    assert describe(client, "shop-restored")["TagList"] == []


def test_an_instance_of_others_is_not_taken_for_a_new_cluster_s(local_aws: Any) -> None:
    make_bucket(local_aws, BUCKET)
    client = local_aws.client("rds")
    client.create_db_cluster(
        DBClusterIdentifier="shop",
        Engine="aurora-mysql",
        MasterUsername=USER,
        MasterUserPassword=PASSWORD,
        DeletionProtection=False,
    )
    client.describe_db_clusters()
    client.create_db_instance(
        DBInstanceIdentifier="shop-1", DBClusterIdentifier="shop", Engine="aurora-mysql", DBInstanceClass="db.r6g.large"
    )
    client.describe_db_instances()
    bare()
    make_instance(local_aws, "shop-restored-1", Engine="mysql", sql="")
    with pytest.raises(PermanentError, match="another instance has this name"):
        restore(reading=None)
    assert "DBClusterIdentifier" not in describe(client, "shop-restored-1")
