"""RDS instances that tests make: real PostgreSQL servers behind the stand-in's control plane."""

import functools
from typing import Any

import psycopg

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.rds.instances.contents import Login
from tablekeep.engine.rds.instances.service import PollingWait
from tablekeep.engine.rds.instances.snapshots import Reading, SnapshotReport, take_snapshot
from tests.servers import free_port

BUCKET = "tablekeep-tests"
ROOT = f"s3://{BUCKET}/rds"

PASSWORD = "correct-horse"
USER = "shop"
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
