"""What a process does that will be killed: a drill of an RDS instance or cluster that ends itself with SIGKILL after its n-th changing call."""

import os

import botocore.session

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.drills.instances import InstanceDrillRequest, run_instance_drill
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.rds.instances.contents import Reading
from tablekeep.engine.rds.instances.service import PollingWait
from tests.engine.restore.killed import counting
from tests.rds import ROOT, login

CHANGING = (
    "s3.PutObject", "rds.RestoreDBInstanceFromDBSnapshot", "rds.RestoreDBClusterFromSnapshot", "rds.CreateDBInstance",
    "rds.ModifyDBInstance", "rds.ModifyDBCluster", "rds.DeleteDBInstance", "rds.DeleteDBCluster",
)  # fmt: skip
STATE = ("/_drills/", "/_records/drill/")
"""Where a drill writes down how far it has come, and what it found."""

botocore.session.create_loader(None).load_service_model("rds", "service-2")


def drill(environment: dict[str, str], at: int, of: tuple[str, ...], run: str) -> None:
    """Of S3's calls those for objects below `of` count."""
    os.environ.update(environment)
    session, _ = counting(at, True, CHANGING, of=of)
    clients, clock = SessionClients(session), SystemClock()
    request = InstanceDrillRequest("shop", ROOT, "us-east-1", Reading(login(), marker="public.tablekeep_marker"))
    report = run_instance_drill(
        request, clients=clients, clock=clock, progress=NoProgress(), actor="t", run=run,
        wait=PollingWait(clients, clock, NoProgress(), poll_seconds=0.01),
    )  # fmt: skip
    assert report.passed, report.problems
