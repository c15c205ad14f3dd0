"""Restores of instances and clusters: planned, with every trap set, compared, gone on with, proved."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.errors import BadInputError, PermanentError
from tablekeep.engine.marks import RUN_TAG
from tablekeep.engine.prices import load_prices
from tablekeep.engine.rds.instances import restore as restore_module
from tablekeep.engine.rds.instances.costs import instance_hour
from tablekeep.engine.rds.instances.created import PLAN_TAG, Created, begin_deletion, modify
from tablekeep.engine.rds.instances.plan import InstanceRestorePlan, plan_instance_restore
from tablekeep.engine.rds.instances.request import InstanceRestoreRequest, Placement
from tablekeep.engine.rds.instances.restore import InstanceRestoreReport, restore_instance
from tablekeep.engine.rds.instances.service import Awaited
from tablekeep.engine.rds.instances.settings import BY_FAMILY, facts, modified_names, restore_parameters
from tablekeep.engine.rds.instances.snapshots import Reading, copy_snapshot, shelf_of, take_snapshot
from tablekeep.engine.rds.instances.words import plan_lines, plan_markdown
from tests.rds import BUCKET, PASSWORD, ROOT, USER, clients, common, connect, describe, login, make_instance, snapshot
from tests.tables import make_bucket

AWAY = "eu-west-1"
ROLE = "arn:aws:iam::123456789012:role/monitoring"


def groups(local_aws: Any, region: str | None = None) -> tuple[str, str]:
    """A parameter group `tuned`, a subnet group `private`, an option group `extra` and a security group; gives the last one's id."""
    ec2, client = local_aws.client("ec2", region), local_aws.client("rds", region)
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnets = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"][:2]]
    group = ec2.create_security_group(GroupName="db", Description="d", VpcId=vpc)["GroupId"]
    client.create_db_subnet_group(DBSubnetGroupName="private", DBSubnetGroupDescription="d", SubnetIds=subnets)
    client.create_db_parameter_group(DBParameterGroupName="tuned", DBParameterGroupFamily="postgres18", Description="d")
    return group, vpc


@pytest.fixture
def make_shop(local_aws: Any) -> Callable[..., Any]:
    """An instance on which nothing is as a restore would have it by default."""
    make_bucket(local_aws, BUCKET)
    group, _ = groups(local_aws)

    def make(**more: Any) -> Any:
        given: dict[str, Any] = {
            "DBParameterGroupName": "tuned", "VpcSecurityGroupIds": [group], "DBSubnetGroupName": "private", "MultiAZ": True,
            "DeletionProtection": True, "StorageType": "gp2", "AllocatedStorage": 100, "PubliclyAccessible": False, "CopyTagsToSnapshot": True,
            "Tags": [{"Key": "team", "Value": "shop"}], "EnableIAMDatabaseAuthentication": True, "AutoMinorVersionUpgrade": False,
            "EnableCloudwatchLogsExports": ["postgresql", "upgrade"], "PreferredBackupWindow": "01:00-01:30", "MaxAllocatedStorage": 500,
            "PreferredMaintenanceWindow": "mon:03:00-mon:03:30", "MonitoringInterval": 60, "MonitoringRoleArn": ROLE,
            "EnablePerformanceInsights": True, "PerformanceInsightsRetentionPeriod": 7, "CACertificateIdentifier": "rds-ca-ecc384-g1",
            "EngineLifecycleSupport": "open-source-rds-extended-support-disabled", "BackupRetentionPeriod": 0,
        }  # fmt: skip
        return make_instance(local_aws, **(given | more))

    return make


def request(to: str = "shop-restored", **more: Any) -> InstanceRestoreRequest:
    return InstanceRestoreRequest("shop", ROOT, to, "us-east-1", **more)


def plan(asked: InstanceRestoreRequest | None = None, region: str = "us-east-1") -> InstanceRestorePlan:
    return plan_instance_restore(
        asked or request(), clients=clients(region), record_clients=clients(), prices=load_prices()
    ).plan


def restore(
    asked: InstanceRestoreRequest | None = None, region: str = "us-east-1", **more: Any
) -> InstanceRestoreReport:
    reading = Reading(login(), marker="public.tablekeep_marker")
    given: dict[str, Any] = (
        {"reading": reading, "prices": load_prices(), "record_clients": clients()} | common(region) | more
    )
    return restore_instance(asked or request(), **given)


def test_every_setting_for_which_a_restore_has_a_default_is_given(make_shop: Callable[..., Any]) -> None:
    client = make_shop()
    snapshot()
    shown = plan()
    report = restore(plan_hash=shown.hash)
    source, restored = describe(client, "shop"), describe(client, "shop-restored")
    moving = {
        "DBInstanceIdentifier", "DBInstanceArn", "DbiResourceId", "InstanceCreateTime", "Endpoint", "TagList", "AvailabilityZone",
    }  # fmt: skip
    assert {name for name in source.keys() | restored.keys() if source.get(name) != restored.get(name)} <= moving
    assert source["Endpoint"]["Port"] == restored["Endpoint"]["Port"]
    tags = {one["Key"]: one["Value"] for one in restored["TagList"]}
    assert tags == {"team": "shop", RUN_TAG: "run-1", PLAN_TAG: shown.hash[:32]}
    assert report.settings == []
    assert report.proved
    assert (report.tables, report.rows, report.equal) == (2, 1200, 2)
    assert {"restore", "settings", "scan"} == report.phases.keys()
    (record,) = read_records(
        S3Store(clients(), BUCKET), shelf_of(ROOT, clients().account(), "us-east-1", "shop"), "restore"
    )
    assert record["result"] == report.as_dict()
    assert plan(request("third")).seconds == report.rto_seconds, "the next plan knows how long it takes"


def test_each_setting_is_given_by_name(make_shop: Callable[..., Any]) -> None:
    """Whoever forgets one finds it here: a setting is given to the restore, set afterwards, or can only be compared."""
    client = make_shop()
    given = facts(describe(client, "shop"), "instance")
    by_itself = {"engine", "engine version", "encrypted", "key", "roles", "master user"}
    nothing = {
        "iops",
        "storage throughput",
        "processor features",
        "dedicated log volume",
    }  # this source has none of them
    parameters = restore_parameters(given, "instance")
    for setting in BY_FAMILY["instance"]:
        here = setting.restore in parameters or setting.name in modified_names(given, "instance")
        assert here != (setting.name in by_itself | nothing), setting.name


def test_a_setting_that_is_lost_is_named(make_shop: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    make_shop()
    snapshot()
    real = restore_module.begin

    def forget(prepared: Any, **more: Any) -> Any:
        for name in ("DBParameterGroupName", "MultiAZ", "DeletionProtection"):
            prepared.plan.parameters.pop(name)
        return real(prepared, **more)

    monkeypatch.setattr(restore_module, "begin", forget)
    report = restore()
    assert sorted(report.settings_differ) == [
        "Multi-AZ", "deletion protection", "parameter group",
    ]  # fmt: skip
    assert report.proved, "the data is whole all the same"


def test_a_plan_says_what_it_will_be_and_what_it_costs(make_shop: Callable[..., Any]) -> None:
    client = make_shop()
    client.add_role_to_db_instance(DBInstanceIdentifier="shop", RoleArn=ROLE, FeatureName="s3Import")
    snapshot()
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


def test_a_class_without_a_price_is_told_and_refused_under_a_limit(make_shop: Callable[..., Any]) -> None:
    make_shop(DBInstanceClass="db.x99.large", MonitoringInterval=0)
    snapshot()
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


def test_what_may_not_be_is_refused_before_anything_is_made(local_aws: Any, make_shop: Callable[..., Any]) -> None:
    client = make_shop()
    with pytest.raises(BadInputError, match="no snapshot of ours"):
        plan()
    snapshot()
    make_instance(local_aws, "other", sql="")
    take_snapshot("other", ROOT, name="tablekeep-other", reading=None, **common())
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
    assert {one["DBInstanceIdentifier"] for one in client.describe_db_instances()["DBInstances"]} == {"shop", "other"}


class Stopped(Exception):
    """The try ended here, as a deferred task's does."""


def test_a_restore_that_died_is_gone_on_with_and_another_plan_is_not(make_shop: Callable[..., Any]) -> None:
    make_shop()
    snapshot()
    shown = plan()

    def stop(awaited: Awaited) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        restore(wait=stop)
    with pytest.raises(BadInputError, match="of this name"):
        restore(request(skip=("tags",)))
    report = restore(run="another", plan_hash=shown.hash)
    assert report.proved
    assert report.settings == []


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


def test_a_point_in_time_within_the_window_comes_back(make_shop: Callable[..., Any]) -> None:
    client = make_shop(BackupRetentionPeriod=3)
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


def test_in_another_region_what_belongs_to_a_region_has_to_be_named(
    local_aws: Any, make_shop: Callable[..., Any]
) -> None:
    make_shop(StorageEncrypted=True, MonitoringInterval=0)
    name = snapshot().snapshot
    key = local_aws.client("kms", AWAY).create_key()["KeyMetadata"]["Arn"]
    group, _ = groups(local_aws, AWAY)
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


def test_a_source_that_is_gone_is_restored_from_its_record(local_aws: Any, make_shop: Callable[..., Any]) -> None:
    client = make_shop(DeletionProtection=False)
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


def test_settings_that_changed_since_are_said(make_shop: Callable[..., Any]) -> None:
    client = make_shop()
    snapshot()
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
