"""A drill of an RDS instance or cluster that is killed after any call that changes something: the same run again, or the sweeper a day later,
leaves nothing that carries its marks, and touches nothing that does not."""

import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from local_aws.server import switch
from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.drills.instance_scratch import scratch_instance, sweep_instances
from tablekeep.engine.drills.marks import PREFIX, scratch_tags
from tablekeep.engine.marks import RUN_TAG
from tablekeep.engine.rds.instances.record import shelf_of
from tests.engine.drills import killed_instances
from tests.engine.drills.instances import drill
from tests.processes import exit_code
from tests.rds import BUCKET, ROOT, clients, make_cluster, make_instance, snapshot
from tests.tables import make_bucket


class Later(SystemClock):
    """When the runs of today are dead."""

    def now(self) -> datetime:
        return super().now() + timedelta(hours=25)


def everything(client: Any) -> dict[str, Any]:
    """What is there, by name; without what passes by itself."""
    found = [(one["DBInstanceIdentifier"], one) for one in client.describe_db_instances()["DBInstances"]]
    found += [(one["DBClusterIdentifier"], one) for one in client.describe_db_clusters()["DBClusters"]]
    found += [
        (f"backup of {one['DBInstanceIdentifier']}", {})
        for one in client.describe_db_instance_automated_backups()["DBInstanceAutomatedBackups"]
    ]
    passing = ("LatestRestorableTime", "EarliestRestorableTime")
    return {name: {key: value for key, value in one.items() if key not in passing} for name, one in found}


def status(one: dict[str, Any]) -> str:
    return str(one.get("DBInstanceStatus") or one.get("Status"))


@pytest.fixture(params=["instance", "cluster"])
def rds(request: pytest.FixtureRequest, local_aws: Any) -> tuple[str, Any]:
    """Its family, and boto3's client: a source with a snapshot of ours, and things that only look like what a dead drill has left."""
    make_bucket(local_aws, BUCKET)
    client = make_instance(local_aws) if request.param == "instance" else make_cluster(local_aws)
    snapshot()
    alive = scratch_tags("alive", Later()) | {RUN_TAG: "alive"}
    for name, tags in {
        f"{PREFIX}by-hand": {}, "shop-marked": scratch_tags("run-1", SystemClock()) | {RUN_TAG: "run-1"}, scratch_instance("shop", "alive"): alive,
    }.items():  # fmt: skip
        make_instance(
            local_aws, name, Engine="mysql", sql="", Tags=[{"Key": key, "Value": one} for key, one in tags.items()]
        )
    switch(local_aws.endpoint, "rds", {"polls": 1})
    return request.param, client


def killed_everywhere(client: Any, of: tuple[str, ...], then: Callable[[str], None]) -> int:
    """Kills a drill after each of its changing calls, does `then`, and looks whether all is as it was. How many calls there are."""
    before, at = everything(client), 1
    while exit_code(killed_instances.drill, at, of, f"run-{at}") == -signal.SIGKILL:
        then(f"run-{at}")
        assert everything(client) == before, at
        at += 1
    assert everything(client) == before, "of one that nobody killed, too"
    return at - 1


def test_killed_after_every_call_the_same_run_again_proves_and_leaves_nothing(rds: tuple[str, Any]) -> None:
    family, client = rds

    def again(run: str) -> None:
        report = drill(run)
        assert report.passed, (run, report.problems)

    # of a cluster S3 is left out: it is written to in the same places
    calls = killed_everywhere(client, killed_instances.STATE if family == "instance" else ("/none/",), again)
    assert calls == (12 if family == "instance" else 4)
    shelf = shelf_of(ROOT, clients().account(), "us-east-1", "shop")
    drills = [
        (one["run"], one["result"]["started"]) for one in read_records(S3Store(clients(), BUCKET), shelf, "drill")
    ]
    assert len(set(drills)) == len(drills), "each drill has one record, whenever its try died"
    assert {run for run, _ in drills} == {f"run-{at}" for at in range(1, calls + 2)}


def test_killed_after_every_call_of_rds_the_sweeper_leaves_nothing_a_day_later(rds: tuple[str, Any]) -> None:
    family, client = rds

    def swept(run: str) -> None:
        standing = {name for name, one in everything(client).items() if status(one) != "deleting"}
        assert sweep_instances(clients(), SystemClock()) == [], "it may be alive"
        sweep_instances(clients(), Later(), dry_run=True)
        assert standing <= set(everything(client)), "it was only looked at"
        for _ in range(4):  # what is being deleted is gone some questions later
            sweep_instances(clients(), Later())

    assert killed_everywhere(client, ("/none/",), swept) == (2 if family == "instance" else 4)
