"""What a process does that will be killed: a drill whose table a service makes, and that ends itself with SIGKILL at its n-th call around
that table."""

import os

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.drills.drill import run_drill
from tablekeep.engine.drills.request import DrillRequest
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore import making
from tests.engine.restore.killed import counting
from tests.tables import ROOT

CHANGING = (
    "s3.PutObject", "s3.DeleteObject", "dynamodb.ImportTable", "dynamodb.RestoreTableToPointInTime",
    "dynamodb.RestoreTableFromBackup", "backup.StartRestoreJob", "dynamodb.TagResource", "dynamodb.DeleteTable",
)  # fmt: skip


class Quick(SystemClock):
    """Waits for nothing: what the stand-in makes is there after so many questions."""

    def sleep(self, seconds: float) -> None:
        super().sleep(min(seconds, 0.01))


def drill(environment: dict[str, str], at: int, after: bool, request: DrillRequest, run: str) -> None:
    """Of S3's calls those around intents and staged objects count."""
    os.environ.update(environment)
    making.POLL_SECONDS = 0.01
    session, _ = counting(at, after, CHANGING, of=("/_intents/", "/_restores/"))
    report = run_drill(
        request, clients=SessionClients(session), clock=Quick(), progress=NoProgress(), actor="t", run=run
    )
    assert report.passed, report.problems


def of(path: str, backup_arn: str | None = None) -> DrillRequest:
    """The request."""
    return DrillRequest(ROOT, "orders", path=path, backup_arn=backup_arn)  # type: ignore[arg-type]
