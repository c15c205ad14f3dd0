"""A restore by a service that dies at any call is gone on with: the same order, the same table, and the same content."""

import functools
import signal
from typing import Any

import pytest

from local_aws.server import switch
from tablekeep.engine.backups.catalog import list_backups
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.table import restore_table
from tests.engine.drills.test_killed import aws as aws
from tests.engine.restore import killed
from tests.local_aws.test_aws_backup import recovery_point
from tests.local_aws.test_ondemand import backed_up
from tests.processes import exit_code
from tests.tables import BUCKET, clients


@functools.cache
def once() -> SessionClients:
    return clients()


def in_a_process(at: int, after: bool, request: RestoreRequest) -> int:
    return exit_code(killed.restore_by_service, at, after, request)


def newest_set() -> str:
    return list_backups(S3Store(once(), BUCKET), BUCKET, "backups").backups[0].uri


@pytest.mark.parametrize("path", ["import-table", "pitr", "backup", "recovery point"])
def test_killed_at_every_call_of_a_service_it_goes_on(aws: Any, path: str) -> None:
    switch(aws.endpoint, "dynamodb", {"restore_polls": 1})
    switch(aws.endpoint, "backup", {"restore_polls": 1})
    more: dict[str, Any] = {"path": path}
    if path in ("backup", "recovery point"):
        more = {"path": "backup", "backup_arn": (backed_up if path == "backup" else recovery_point)(aws)}
    backup, at = newest_set(), 1
    while True:
        request = RestoreRequest(f"again-{at}", backup, **more)
        code = in_a_process(at, True, request)
        if code != -signal.SIGKILL:
            break
        report = restore_table(request, clients=once(), clock=killed.Quick(), progress=NoProgress(), actor="t", run="t")
        assert (report.proved, report.items) == (True, 1), at
        at += 1
    assert code == 0
    assert at >= 5
    jobs = aws.client("backup").list_restore_jobs()["RestoreJobs"]
    assert len(jobs) == (at if path == "recovery point" else 0), "no order was given twice"
    assert len(aws.client("dynamodb").list_tables()["TableNames"]) == at + 1
