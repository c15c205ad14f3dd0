"""The stand-in for RDS: its rules, its traps, and the real servers behind it."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.exceptions
import pytest

from local_aws.server import switch
from tests.rds import PASSWORD, USER, connect, describe, make_instance, make_snapshot


def refused(call: Any, **given: Any) -> str:
    """The code with which the service refuses."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**given)
    return str(caught.value.response["Error"]["Code"])


def orders(client: Any, name: str) -> int:
    with connect(client, name) as connection:
        return int(connection.execute("SELECT count(*) FROM orders").fetchone()[0])  # type: ignore[index]


@pytest.fixture
def rds(local_aws: Any) -> Any:
    return make_instance(local_aws, BackupRetentionPeriod=1)


def test_a_snapshot_holds_what_was_there_and_a_restore_makes_a_new_server(local_aws: Any, rds: Any) -> None:
    make_snapshot(rds, "one")
    with connect(rds, "shop") as connection:
        connection.execute("DELETE FROM orders WHERE id <= 100")
    rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="again", DBSnapshotIdentifier="one")
    assert (orders(rds, "again"), orders(rds, "shop")) == (1000, 900)
    assert describe(rds, "again")["Endpoint"] != describe(rds, "shop")["Endpoint"]
    assert describe(rds, "again")["DbiResourceId"] != describe(rds, "shop")["DbiResourceId"]
    with pytest.raises(botocore.exceptions.ClientError, match="already exists"):
        rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="shop", DBSnapshotIdentifier="one")


def test_a_restore_to_a_time_brings_that_time(local_aws: Any, rds: Any) -> None:
    with connect(rds, "shop") as connection:
        connection.execute("INSERT INTO orders VALUES (5000, 1, 1, '')")
        time.sleep(0.05)
        when = datetime.now(UTC)
        time.sleep(0.05)
        connection.execute("DELETE FROM orders WHERE id <= 100")
    rds.restore_db_instance_to_point_in_time(
        SourceDBInstanceIdentifier="shop", TargetDBInstanceIdentifier="then", RestoreTime=when
    )
    rds.restore_db_instance_to_point_in_time(
        SourceDBInstanceIdentifier="shop", TargetDBInstanceIdentifier="latest", UseLatestRestorableTime=True
    )
    assert (orders(rds, "then"), orders(rds, "latest")) == (1001, 901)
    past = rds.restore_db_instance_to_point_in_time
    given = {"SourceDBInstanceIdentifier": "shop", "TargetDBInstanceIdentifier": "x"}
    assert refused(past, RestoreTime=when - timedelta(hours=1), **given) == "InvalidParameterValue"
    assert refused(past, RestoreTime=when + timedelta(hours=1), **given) == "InvalidParameterValue"
    assert refused(past, **given) == "InvalidParameterCombination"
    make_instance(local_aws, "young", sql="")
    given["SourceDBInstanceIdentifier"] = "young"
    assert refused(past, UseLatestRestorableTime=True, **given) == "PointInTimeRestoreNotEnabled"


def test_a_restore_that_says_nothing_gets_the_defaults_that_are_traps(local_aws: Any) -> None:
    ec2 = local_aws.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnets = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"][:2]]
    group = ec2.create_security_group(GroupName="db", Description="d", VpcId=vpc)["GroupId"]
    client = local_aws.client("rds")
    client.create_db_subnet_group(DBSubnetGroupName="private", DBSubnetGroupDescription="d", SubnetIds=subnets)
    client.create_db_parameter_group(DBParameterGroupName="tuned", DBParameterGroupFamily="postgres18", Description="d")
    make_instance(
        local_aws, sql="", DBParameterGroupName="tuned", VpcSecurityGroupIds=[group], DBSubnetGroupName="private", MultiAZ=True,
        DeletionProtection=True, StorageType="gp2", PubliclyAccessible=False, Tags=[{"Key": "team", "Value": "shop"}], CopyTagsToSnapshot=True,
        EnableIAMDatabaseAuthentication=True, EnableCloudwatchLogsExports=["postgresql"],
    )  # fmt: skip
    make_snapshot(client, "one")
    client.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="again", DBSnapshotIdentifier="one")
    source, restored = describe(client, "shop"), describe(client, "again")
    lost = {name for name in source if source[name] != restored.get(name)}
    assert {
        "DBParameterGroups", "VpcSecurityGroups", "DBSubnetGroup", "MultiAZ", "DeletionProtection", "PubliclyAccessible",
        "IAMDatabaseAuthenticationEnabled", "EnabledCloudwatchLogsExports", "StorageType", "CopyTagsToSnapshot",
    } <= lost  # fmt: skip
    assert restored["TagList"] == source["TagList"], "a snapshot's tags go over when no new ones are given"
    assert restored["Endpoint"]["Port"] == source["Endpoint"]["Port"]
    for wrong, code in (
        ({"DBParameterGroupName": "none"}, "DBParameterGroupNotFound"), ({"DBSubnetGroupName": "none"}, "DBSubnetGroupNotFoundFault"),
        ({"VpcSecurityGroupIds": ["sg-none"]}, "InvalidParameterValue"), ({"OptionGroupName": "none"}, "OptionGroupNotFoundFault"),
        ({"MultiAZ": True, "AvailabilityZone": "us-east-1a"}, "InvalidParameterCombination"),
        ({"StorageType": "gp3", "Iops": 12000}, "InvalidParameterCombination"), ({"StorageType": "io2"}, "InvalidParameterCombination"),
        ({"DBInstanceIdentifier": "-x"}, "InvalidParameterValue"), ({"Domain": "d-1"}, "InvalidParameterCombination"),
    ):  # fmt: skip
        assert (
            refused(
                client.restore_db_instance_from_db_snapshot,
                **({"DBInstanceIdentifier": "x", "DBSnapshotIdentifier": "one"} | wrong),
            )
            == code
        ), wrong


def test_states_are_waited_for(local_aws: Any) -> None:
    client = make_instance(local_aws, sql="")
    switch(local_aws.endpoint, "rds", {"polls": 2})
    client.create_db_snapshot(DBInstanceIdentifier="shop", DBSnapshotIdentifier="one")
    assert (
        refused(client.restore_db_instance_from_db_snapshot, DBInstanceIdentifier="x", DBSnapshotIdentifier="one")
        == "InvalidDBSnapshotState"
    )
    assert refused(client.delete_db_snapshot, DBSnapshotIdentifier="one") == "InvalidDBSnapshotState"
    seen = [client.describe_db_snapshots()["DBSnapshots"][0]["Status"] for _ in range(3)]
    assert seen == ["creating", "creating", "available"]
    client.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="x", DBSnapshotIdentifier="one")
    assert "Endpoint" not in describe(client, "x")
    assert (
        refused(client.create_db_snapshot, DBInstanceIdentifier="x", DBSnapshotIdentifier="y")
        == "InvalidDBInstanceState"
    )
    client.stop_db_instance(DBInstanceIdentifier="shop")
    assert (
        refused(client.create_db_snapshot, DBInstanceIdentifier="shop", DBSnapshotIdentifier="z")
        == "InvalidDBInstanceState"
    )
    client.delete_db_instance(DBInstanceIdentifier="x", SkipFinalSnapshot=True)
    assert describe(client, "x")["DBInstanceStatus"] == "deleting"
    describe(client, "x")
    assert refused(client.describe_db_instances, DBInstanceIdentifier="x") == "DBInstanceNotFound"
    switch(local_aws.endpoint, "rds", {"polls": 0, "fail": "snapshot"})
    for _ in range(3):
        describe(client, "shop")
    client.start_db_instance(DBInstanceIdentifier="shop")
    describe(client, "shop")
    assert make_snapshot(client, "bad")["Status"] == "failed"


def test_deletion_is_refused_while_it_is_protected_or_nothing_is_said_of_a_last_snapshot(local_aws: Any) -> None:
    client = make_instance(local_aws, sql="", DeletionProtection=True)
    assert (
        refused(client.delete_db_instance, DBInstanceIdentifier="shop", SkipFinalSnapshot=True)
        == "InvalidParameterCombination"
    )
    client.modify_db_instance(DBInstanceIdentifier="shop", DeletionProtection=False, ApplyImmediately=True)
    assert refused(client.delete_db_instance, DBInstanceIdentifier="shop") == "InvalidParameterCombination"


def test_a_copy_to_another_region_is_asked_for_there_by_arn_and_with_a_key(local_aws: Any) -> None:
    key = local_aws.client("kms", "eu-west-1").create_key()["KeyMetadata"]["Arn"]
    here = make_instance(local_aws, StorageEncrypted=True)
    snapshot, there = make_snapshot(here, "one"), local_aws.client("rds", "eu-west-1")
    copy = there.copy_db_snapshot
    given = {
        "SourceDBSnapshotIdentifier": snapshot["DBSnapshotArn"],
        "TargetDBSnapshotIdentifier": "two",
        "SourceRegion": "us-east-1",
    }
    assert refused(copy, **(given | {"SourceDBSnapshotIdentifier": "one"})) == "DBSnapshotNotFound"
    assert refused(copy, **given) == "InvalidParameterCombination"
    assert refused(copy, **given, KmsKeyId=snapshot["KmsKeyId"]) == "KMSKeyNotAccessibleFault"
    # what Airflow's own operator sends
    assert refused(copy, **given, KmsKeyId=key, PreSignedUrl="") == "InvalidParameterCombination"
    copy(**given, KmsKeyId=key)
    found = there.describe_db_snapshots(DBSnapshotIdentifier="two")["DBSnapshots"][0]
    assert (found["Status"], found["KmsKeyId"], found["SourceRegion"]) == ("available", key, "us-east-1")
    there.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="away", DBSnapshotIdentifier="two")
    assert orders(there, "away") == 1000
    assert refused(here.describe_db_instances, DBInstanceIdentifier="away") == "DBInstanceNotFound"


def test_copies_wait_for_each_other_are_limited_and_need_their_source(local_aws: Any) -> None:
    here, there = make_instance(local_aws, Engine="mysql", sql=""), local_aws.client("rds", "eu-west-1")
    arn = make_snapshot(here, "one")["DBSnapshotArn"]
    switch(local_aws.endpoint, "rds", {"polls": 3})
    for number in range(20):
        there.copy_db_snapshot(
            SourceDBSnapshotIdentifier=arn, TargetDBSnapshotIdentifier=f"copy-{number}", SourceRegion="us-east-1"
        )
    given = {"SourceDBSnapshotIdentifier": arn, "TargetDBSnapshotIdentifier": "copy-x", "SourceRegion": "us-east-1"}
    assert refused(there.copy_db_snapshot, **given) == "SnapshotQuotaExceeded"
    progress = [one["PercentProgress"] for one in there.describe_db_snapshots()["DBSnapshots"]]
    assert sorted(progress) == [0] * 19 + [50], "copies of one instance follow each other"
    here.delete_db_snapshot(DBSnapshotIdentifier="one")
    assert {one["Status"] for one in there.describe_db_snapshots()["DBSnapshots"]} == {"failed"}


def test_what_is_shared_and_encrypted_stays_in_its_region(local_aws: Any) -> None:
    here = make_instance(local_aws, sql="", StorageEncrypted=True)
    arn = make_snapshot(here, "one")["DBSnapshotArn"]
    other = local_aws.client("rds")
    other.meta.events.register(
        "before-sign.rds", lambda request, **_: request.headers.add_header("X-Moto-Account-Id", "999999999999")
    )
    given = {"SourceDBSnapshotIdentifier": arn, "TargetDBSnapshotIdentifier": "mine"}
    assert refused(other.copy_db_snapshot, **given) == "DBSnapshotNotFound"
    here.modify_db_snapshot_attribute(DBSnapshotIdentifier="one", AttributeName="restore", ValuesToAdd=["999999999999"])
    assert refused(other.copy_db_snapshot, **given) == "InvalidParameterCombination", (
        "the copy needs a key of its own account"
    )
    assert refused(
        here.modify_db_snapshot_attribute, DBSnapshotIdentifier="one", AttributeName="restore", ValuesToAdd=["all"]
    )
    other.copy_db_snapshot(**given, KmsKeyId="alias/aws/rds")


def test_a_restored_instance_is_available_before_it_is_fast(local_aws: Any) -> None:
    client = make_instance(local_aws)
    make_snapshot(client, "one")
    switch(local_aws.endpoint, "rds", {"lazy_answers": 10})
    client.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="again", DBSnapshotIdentifier="one")
    assert describe(client, "again")["DBInstanceStatus"] == "available"
    took = []
    for _ in range(4):
        began = time.monotonic()
        assert orders(client, "again") == 1000
        took.append(time.monotonic() - began)
    assert sum(took) >= 1.0
    assert took[0] > took[-1]


def test_a_cluster_answers_only_when_an_instance_is_in_it(local_aws: Any) -> None:
    client = local_aws.client("rds")
    client.create_db_cluster(
        DBClusterIdentifier="fleet",
        Engine="aurora-postgresql",
        MasterUsername=USER,
        MasterUserPassword=PASSWORD,
        DatabaseName="shop",
    )
    member = {"Engine": "aurora-postgresql", "DBInstanceClass": "db.r6g.large"}
    client.create_db_instance(DBInstanceIdentifier="fleet-1", DBClusterIdentifier="fleet", **member)
    with connect(client, "fleet-1") as connection:
        connection.execute("CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 7) n")
    client.describe_db_clusters()
    client.create_db_cluster_snapshot(DBClusterIdentifier="fleet", DBClusterSnapshotIdentifier="one")
    client.describe_db_cluster_snapshots()
    client.restore_db_cluster_from_snapshot(
        DBClusterIdentifier="again", SnapshotIdentifier="one", Engine="aurora-postgresql"
    )
    assert "Endpoint" not in client.describe_db_clusters(DBClusterIdentifier="again")["DBClusters"][0]
    client.restore_db_cluster_to_point_in_time(
        DBClusterIdentifier="then", SourceDBClusterIdentifier="fleet", UseLatestRestorableTime=True
    )
    for cluster in ("again", "then"):
        client.create_db_instance(DBInstanceIdentifier=f"{cluster}-1", DBClusterIdentifier=cluster, **member)
        assert orders(client, f"{cluster}-1") == 7
    assert (
        refused(client.delete_db_cluster, DBClusterIdentifier="again", SkipFinalSnapshot=True)
        == "InvalidDBClusterStateFault"
    )
    client.delete_db_instance(DBInstanceIdentifier="again-1")
    client.describe_db_instances()
    client.delete_db_cluster(DBClusterIdentifier="again", SkipFinalSnapshot=True)
    client.describe_db_clusters()
    assert [one["DBClusterIdentifier"] for one in client.describe_db_clusters()["DBClusters"]] == ["fleet", "then"]


def test_tags_and_what_moto_keeps(local_aws: Any) -> None:
    client = make_instance(local_aws, sql="")
    arn = describe(client, "shop")["DBInstanceArn"]
    client.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    client.remove_tags_from_resource(ResourceName=arn, TagKeys=["a"])
    assert client.list_tags_for_resource(ResourceName=arn)["TagList"] == [{"Key": "b", "Value": "2"}]
    group = client.create_db_parameter_group(
        DBParameterGroupName="tuned", DBParameterGroupFamily="postgres18", Description="d"
    )
    assert client.list_tags_for_resource(ResourceName=group["DBParameterGroup"]["DBParameterGroupArn"])["TagList"] == []
