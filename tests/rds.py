"""RDS instances that tests make: real PostgreSQL servers behind the stand-in's control plane."""

import functools
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from local_aws.server import switch
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.rds.instances.contents import Login, Reading
from tablekeep.engine.rds.instances.record import SnapshotReport, shelf_of
from tablekeep.engine.rds.instances.service import PollingWait
from tablekeep.engine.rds.instances.snapshots import take_snapshot
from tests.servers import free_port
from tests.tables import make_bucket

BUCKET = "tablekeep-tests"
ROOT = f"s3://{BUCKET}/rds"

PASSWORD = "correct-horse"
USER = "shop"
ROLE = "arn:aws:iam::123456789012:role/monitoring"
ROWS = """
    CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, since timestamptz NOT NULL);
    INSERT INTO customers SELECT n, 'customer ' || n, timestamptz '2026-01-01' + n * interval '1 hour' FROM generate_series(1, 200) n;
    CREATE TABLE orders (id bigint PRIMARY KEY, customer int NOT NULL REFERENCES customers, total numeric(12, 2), note text);
    INSERT INTO orders SELECT n, 1 + n % 200, n * 1.25, repeat('x', n % 50) FROM generate_series(1, 1000) n;
    CREATE INDEX orders_by_customer ON orders (customer);
"""


def make_instance(
    local_aws: Any, name: str = "shop", region: str | None = None, *, sql: str = ROWS, **more: Any
) -> Any:
    """An instance that is available, with two tables; gives boto3's client."""
    client = clients(region or "us-east-1").client("rds")
    given = {
        "Engine": "postgres", "DBInstanceClass": "db.m7g.large", "AllocatedStorage": 20, "MasterUsername": USER,
        "MasterUserPassword": PASSWORD, "DBName": "shop", "Port": free_port(), "BackupRetentionPeriod": 0,
    }  # fmt: skip
    client.create_db_instance(DBInstanceIdentifier=name, **(given | more))
    client.get_waiter("db_instance_available").wait(DBInstanceIdentifier=name, WaiterConfig={"Delay": 0})
    if sql and given.get("Engine") == more.get("Engine", "postgres"):
        with connect(client, name) as connection:
            connection.execute(sql.encode())
    return client


def make_cluster(local_aws: Any, instances: int = 1) -> Any:
    """The cluster `shop` with instances `shop-1` …, protected from deletion, and a table; gives boto3's client."""
    client = local_aws.client("rds")
    client.create_db_cluster(
        DBClusterIdentifier="shop", Engine="aurora-postgresql", MasterUsername=USER, MasterUserPassword=PASSWORD, DatabaseName="shop",
        DeletionProtection=True,
    )  # fmt: skip
    client.describe_db_clusters()
    for number in range(1, instances + 1):
        client.create_db_instance(
            DBInstanceIdentifier=f"shop-{number}", DBClusterIdentifier="shop", Engine="aurora-postgresql", DBInstanceClass="db.r6g.large"
        )  # fmt: skip
    with connect(client, "shop-1") as connection:
        connection.execute("CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 50) n")
    return client


def groups(local_aws: Any, region: str | None = None) -> str:
    """A parameter group `tuned`, a subnet group `private`, and a security group, whose id is given."""
    ec2, client = local_aws.client("ec2", region), clients(region or "us-east-1").client("rds")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnets = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"][:2]]
    group: str = ec2.create_security_group(GroupName="db", Description="d", VpcId=vpc)["GroupId"]
    client.create_db_subnet_group(DBSubnetGroupName="private", DBSubnetGroupDescription="d", SubnetIds=subnets)
    client.create_db_parameter_group(DBParameterGroupName="tuned", DBParameterGroupFamily="postgres18", Description="d")
    return group


def make_odd_shop(local_aws: Any, **more: Any) -> Any:
    """The instance `shop`, on which nothing is as a restore would have it by default."""
    make_bucket(local_aws, BUCKET)
    given: dict[str, Any] = {
        "DBParameterGroupName": "tuned", "VpcSecurityGroupIds": [groups(local_aws)], "DBSubnetGroupName": "private", "MultiAZ": True,
        "DeletionProtection": True, "StorageType": "gp2", "AllocatedStorage": 100, "PubliclyAccessible": False, "CopyTagsToSnapshot": True,
        "Tags": [{"Key": "team", "Value": "shop"}], "EnableIAMDatabaseAuthentication": True, "AutoMinorVersionUpgrade": False,
        "EnableCloudwatchLogsExports": ["postgresql", "upgrade"], "PreferredBackupWindow": "01:00-01:30", "MaxAllocatedStorage": 500,
        "PreferredMaintenanceWindow": "mon:03:00-mon:03:30", "MonitoringInterval": 60, "MonitoringRoleArn": ROLE,
        "EnablePerformanceInsights": True, "PerformanceInsightsRetentionPeriod": 7, "CACertificateIdentifier": "rds-ca-ecc384-g1",
        "EngineLifecycleSupport": "open-source-rds-extended-support-disabled", "BackupRetentionPeriod": 0,
    }  # fmt: skip
    return make_instance(local_aws, **(given | more))


@pytest.fixture(scope="module")
def shared_shop(local_aws_server: Any) -> Any:
    """`make_odd_shop` and a snapshot of it, once for a file: making them takes most of a test's time. Tests take `shop`."""
    local_aws_server.use_postgres(None)
    local_aws_server.reset()
    client = make_odd_shop(local_aws_server)
    snapshot()
    return client


@pytest.fixture
def shop(shared_shop: Any, local_aws_server: Any) -> Iterator[Any]:
    """boto3's client for `shared_shop`, as it was: what a test leaves is removed. Not to be changed, and not together with `local_aws`."""
    yield shared_shop
    switch(local_aws_server.endpoint, "rds", {"polls": 0, "lazy_answers": 0, "fail": ""})
    for one in shared_shop.describe_db_instances()["DBInstances"]:
        if one["DBInstanceIdentifier"] != "shop":
            name = {"DBInstanceIdentifier": one["DBInstanceIdentifier"]}
            shared_shop.modify_db_instance(**name, DeletionProtection=False, ApplyImmediately=True)
            shared_shop.delete_db_instance(**name, SkipFinalSnapshot=True)
    shared_shop.describe_db_instances()
    store, prefix = S3Store(clients(), BUCKET), shelf_of(ROOT, clients().account(), "us-east-1", "shop").prefix
    for folder in ("_drills/", "_records/drill/", "_records/restore/"):
        for info in list(store.list(f"{prefix}/{folder}")):
            store.delete(info.key)


def describe(client: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = client.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    return found


def connect(client: Any, name: str, database: str = "shop") -> psycopg.Connection[Any]:
    """As the master user."""
    endpoint = describe(client, name)["Endpoint"]
    return psycopg.connect(
        host=endpoint["Address"], port=endpoint["Port"], user=USER, password=PASSWORD, dbname=database, autocommit=True
    )


def make_snapshot(client: Any, name: str, of: str = "shop", **more: Any) -> dict[str, Any]:
    """A snapshot that is available."""
    client.create_db_snapshot(DBInstanceIdentifier=of, DBSnapshotIdentifier=name, **more)
    found: dict[str, Any] = client.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]
    return found


@functools.cache
def clients(region: str = "us-east-1") -> SessionClients:
    """As the command line makes them: the environment points to the stand-in. Kept, for making a client of RDS takes a while."""
    return SessionClients(region=region)


def login(user: str = USER, password: str = PASSWORD, database: str = "shop") -> Login:
    return Login.of({"user": user, "password": password, "dbname": database, "host": "elsewhere", "port": 1})


def common(region: str = "us-east-1", run: str = "run-1") -> dict[str, Any]:
    """What every use case takes; nothing waits between two questions."""
    mine, clock = clients(region), SystemClock()
    return {
        "clients": mine, "clock": clock, "progress": NoProgress(), "actor": "test", "run": run,
        "wait": PollingWait(mine, clock, NoProgress(), poll_seconds=0.01),
    }  # fmt: skip


def snapshot(
    name: str = "tablekeep-shop-one", *, run: str = "run-1", reading: Reading | None = None, of: str = "shop"
) -> SnapshotReport:
    """A snapshot of ours, with a record of what was in it."""
    chosen = reading or Reading(login(), marker="public.tablekeep_marker")
    return take_snapshot(of, ROOT, name=name, reading=chosen, **common(run=run))
